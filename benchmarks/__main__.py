"""``python -m benchmarks spiral|gradient|solvers|flows|cold|memory [--quick] [--json FILE]``."""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path

from benchmarks.environment import describe_machine, installed_peers, use_one_thread

WORKLOADS = {
    "spiral": "gradient of the torchdiffeq spiral: adjoint solved backwards, and backpropagation through the steps",
    "gradient": "one trajectory with 50 times: gradients of theta, z0 and all times",
    "solvers": "one system with 200 output times, 65536 systems with own steps, and evaluations on DETEST",
    "flows": "log-likelihood of a batch under a continuous normalising flow, and its gradient",
    "cold": "fresh processes up to the first gradient",
    "memory": "what 10 000 steps cost in memory",
}


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Speed and memory of nodeedu beside torchdiffeq and diffrax: the same work, one run, one thread.",
        epilog="workloads: " + "; ".join(f"{name}: {text}" for name, text in WORKLOADS.items()),
    )
    parser.add_argument("workload", choices=WORKLOADS)
    parser.add_argument("--quick", action="store_true", help="fewer repetitions: a look, not a measurement")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write rows, machine and versions to FILE")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    """Run one workload. The libraries are imported after the threads are set."""
    options = parse(arguments)
    use_one_thread()
    print(f"{options.workload}: {WORKLOADS[options.workload]}")
    print(", ".join(f"{name} {value}" for name, value in describe_machine().items()), end="\n\n")
    peers = installed_peers()
    rows = importlib.import_module(f"benchmarks.{options.workload}").run(options, peers)
    if options.json:
        from benchmarks.tables import write_json

        write_json(options.json, options.workload, rows)


if __name__ == "__main__":
    main()
