"""Events: located on the dense output, counted, and followed by a reset or by the end of a solve."""
