"""Speed and memory of nodeedu beside its peers: ``python -m benchmarks spiral|gradient|solvers|cold|memory``."""
