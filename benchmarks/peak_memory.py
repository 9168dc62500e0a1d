"""Peak memory of one gradient in a fresh process: ``python -m benchmarks.peak_memory LIBRARY METHOD STEPS``.

Prints, as JSON, by how many bytes resident memory rose, the gradient dL/dz0, dL/dtheta in one list, and the number of
stored states and their bytes where the library tells them.
"""

from __future__ import annotations

import json
import sys

from benchmarks.problem import long_problem
from benchmarks.routes import Contender, make_route
from nodeedu.verify.peak_memory import peak_memory


def main() -> None:
    """Compute the gradient once, so that all is compiled, and again under measurement."""
    library, method, steps = sys.argv[1:]
    route = make_route(Contender(library, method), long_problem(int(steps)))
    route.run()
    result, peak = peak_memory(route.run)
    if peak is None:
        sys.exit("the peak of memory can be measured on Linux only")
    gradient = route.gradient(result)
    told = {name: getattr(gradient, name) for name in ("stored_states", "stored_bytes")}
    print(json.dumps({"peak": peak, "gradient": gradient.flat().tolist(), **told}))


if __name__ == "__main__":
    main()
