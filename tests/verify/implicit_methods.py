"""Implicit methods as they were published, for the auditor: typed in anew, not those of the solvers."""

from math import sqrt

import numpy as np

from nodeedu.verify import ClaimedTableau

GAMMA = 1 - sqrt(1 / 2)
IMPLICIT = {  # order, A, b, c: Hairer & Wanner II, sections IV.5 and IV.6
    "implicit euler": (1, [[1]], [1], [1]),
    "trapezoid": (2, [[0, 0], [1 / 2, 1 / 2]], [1 / 2, 1 / 2], [0, 1]),
    "sdirk2": (2, [[GAMMA, 0], [1 - GAMMA, GAMMA]], [1 - GAMMA, GAMMA], [GAMMA, 1]),
    "gauss4": (
        4,
        [[1 / 4, 1 / 4 - sqrt(3) / 6], [1 / 4 + sqrt(3) / 6, 1 / 4]],
        [1 / 2, 1 / 2],
        [1 / 2 - sqrt(3) / 6, 1 / 2 + sqrt(3) / 6],
    ),
    "radau3": (3, [[5 / 12, -1 / 12], [3 / 4, 1 / 4]], [3 / 4, 1 / 4], [1 / 3, 1]),
    "lobatto4": (
        4,
        [[0, 0, 0], [5 / 24, 1 / 3, -1 / 24], [1 / 6, 2 / 3, 1 / 6]],
        [1 / 6, 2 / 3, 1 / 6],
        [0, 1 / 2, 1],
    ),
}


def implicit(name):
    order, *arrays = IMPLICIT[name]
    A, b, c = (np.array(array, dtype=float) for array in arrays)
    return ClaimedTableau(name, A, b, c, order=order)
