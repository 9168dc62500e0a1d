"""Speed and memory of nodeedu beside torchdiffeq and diffrax: ``python -m benchmarks spiral|gradient|cold|memory``."""
