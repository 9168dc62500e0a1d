"""The failure microscope: why a solve failed or struggled, with the evidence and the remedy."""
