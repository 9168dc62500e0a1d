"""A fresh process up to its first gradient: ``python -m benchmarks.first_gradient LIBRARY METHOD SHAPE``.

Prints `time.perf_counter()` when the gradient is there, for the process that knows when it started this one; and the
processor time up to there.
"""

from __future__ import annotations

import sys
import time

from benchmarks.problem import random_problem
from benchmarks.routes import Contender, make_route


def main() -> None:
    """Import the library, make the problem, and compute one gradient."""
    library, method, shape = sys.argv[1:]
    route = make_route(Contender(library, method), random_problem(shape))
    route.run()
    print(time.perf_counter(), time.process_time())


if __name__ == "__main__":
    main()
