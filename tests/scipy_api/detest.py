"""The non-stiff DETEST problems, classes A-E: T. E. Hull, W. H. Enright, B. M. Fellen & A. E. Sedgwick, SIAM J. Numer.
Anal. 9 (1972) 603-637. Each is (f, y0); the interval starts at t = 0. State sizes: 1, 2-3, 10-51, 4, 2.

Class F, where f or a derivative of it jumps: W. H. Enright & J. D. Pryce, ACM Trans. Math. Software 13 (1987) 1-27.
"""

from __future__ import annotations

import numpy as np


def _tridiagonal(y, diagonal):
    dy = diagonal * y
    dy[1:] += y[:-1]
    dy[:-1] += y[1:]
    return dy


def _c1(t, y):  # radioactive decay chain
    return np.append(-y[:-1], 0.0) + np.append(0.0, y[:-1])


def _c2(t, y):
    flow = np.arange(1.0, 10.0) * y[:-1]
    return np.append(-flow, 0.0) + np.append(0.0, flow)


# C5: the Sun with Mercury to Mars in one, Jupiter, Saturn, Uranus, Neptune, Pluto; units of the paper.
_MASSES = np.array([9.54786104043e-4, 2.85583733151e-4, 4.37273164546e-5, 5.17759138449e-5, 2.77777777778e-6])
_GRAVITY, _SUN = 2.95912208286, 1.00000597682
_PLANETS = np.array([
    [3.42947415189, 3.35386959711, 1.35494901715], [6.64145542550, 5.97156957878, 2.18231499728],
    [11.2630437207, 14.6952576794, 6.27960525067], [-30.1552268759, 1.65699966404, 1.43785752721],
    [-21.1238353380, 28.4465098142, 15.3882659679],
])  # fmt: skip
_VELOCITIES = np.array([
    [-0.557160570446, 0.505696783289, 0.230578543901], [-0.415570776342, 0.365682722812, 0.169143213293],
    [-0.325325669158, 0.189706021964, 0.0877265322780], [-0.0240476254170, -0.287659532608, -0.117219543175],
    [-0.176860753121, -0.216393453025, -0.0148647893090],
])  # fmt: skip


def _c5(t, y):
    x, v = y.reshape(2, 5, 3)
    r3 = (x**2).sum(axis=1) ** 1.5
    between = x[None] - x[:, None]
    d3 = (between**2).sum(axis=2) ** 1.5 + np.eye(5)
    pull = (_MASSES[None, :, None] * (between / d3[:, :, None] - (x / r3[:, None])[None])).sum(axis=1)
    own = _MASSES[:, None] * x / r3[:, None]  # the sum over the others holds it once too often
    return np.concatenate([v, _GRAVITY * (-(_SUN + _MASSES)[:, None] * x / r3[:, None] + pull + own)]).ravel()


def _orbit(eccentricity):
    def f(t, y):
        r3 = (y[0] ** 2 + y[1] ** 2) ** 1.5
        return [y[2], y[3], -y[0] / r3, -y[1] / r3]

    return f, [1 - eccentricity, 0.0, 0.0, np.sqrt((1 + eccentricity) / (1 - eccentricity))]


def _b5(t, y):  # Euler's equations of a rigid body
    return [y[1] * y[2], -y[0] * y[2], -0.51 * y[0] * y[1]]


def _b4(t, y):
    r = np.sqrt(y[0] ** 2 + y[1] ** 2)
    return [-y[1] - y[0] * y[2] / r, y[0] - y[1] * y[2] / r, y[0] / r]


PROBLEMS = {
    "A1": (lambda t, y: -y, [1.0]),
    "A2": (lambda t, y: -(y**3) / 2, [1.0]),
    "A3": (lambda t, y: y * np.cos(t), [1.0]),
    "A4": (lambda t, y: y / 4 * (1 - y / 20), [1.0]),
    "A5": (lambda t, y: (y - t) / (y + t), [4.0]),
    "B1": (lambda t, y: [2 * (y[0] - y[0] * y[1]), -(y[1] - y[0] * y[1])], [1.0, 3.0]),
    "B2": (lambda t, y: [-y[0] + y[1], y[0] - 2 * y[1] + y[2], y[1] - y[2]], [2.0, 0.0, 1.0]),
    "B3": (lambda t, y: [-y[0], y[0] - y[1] ** 2, y[1] ** 2], [1.0, 0.0, 0.0]),
    "B4": (_b4, [3.0, 0.0, 0.0]),
    "B5": (_b5, [0.0, 1.0, 1.0]),
    "C1": (_c1, [1.0] + [0.0] * 9),
    "C2": (_c2, [1.0] + [0.0] * 9),
    "C3": (lambda t, y: _tridiagonal(y, -2.0), [1.0] + [0.0] * 9),
    "C4": (lambda t, y: _tridiagonal(y, -2.0), [1.0] + [0.0] * 50),
    "C5": (_c5, np.concatenate([_PLANETS, _VELOCITIES]).ravel()),
    "D1": _orbit(0.1),
    "D2": _orbit(0.3),
    "D3": _orbit(0.5),
    "D4": _orbit(0.7),
    "D5": _orbit(0.9),
    "E1": (
        lambda t, y: [y[1], -(y[1] / (t + 1) + (1 - 0.25 / (t + 1) ** 2) * y[0])],
        [0.6713967071418030, 0.09540051444747446],
    ),
    "E2": (lambda t, y: [y[1], (1 - y[0] ** 2) * y[1] - y[0]], [2.0, 0.0]),
    "E3": (lambda t, y: [y[1], y[0] ** 3 / 6 - y[0] + 2 * np.sin(2.78535 * t)], [0.0, 0.0]),
    "E4": (lambda t, y: [y[1], 0.032 - 0.4 * y[1] ** 2], [30.0, 0.0]),
    "E5": (lambda t, y: [y[1], np.sqrt(1 + y[1] ** 2) / (25 - t)], [0.0, 0.0]),
}


def _f1(t, y):
    force = 1 if np.floor(t) % 2 == 0 else -1
    return [y[1], 0.2 * y[1] - (np.pi**2 + 0.01) * y[0] + force]


def _f4(t, y):
    return -2 / 21 - 120 * (t - 5) / (1 + 4 * (t - 5) ** 2) + 0 * y if t <= 10 else -2 * y


_POINTS = np.arange(1.0, 20.0)

DISCONTINUOUS = {
    "F1": (_f1, [0.0, 0.0]),
    "F2": (lambda t, y: 55 - (1.5 if np.floor(t) % 2 == 0 else 0.5) * y, [110.0]),
    "F3": (lambda t, y: [y[1], 0.01 * y[1] * (1 - y[0] ** 2) - y[0] - abs(np.sin(np.pi * t))], [0.0, 0.0]),
    "F4": (_f4, [1.0]),
    "F5": (lambda t, y: 4 / 3 * np.cbrt(t - _POINTS).sum() / (_POINTS ** (4 / 3)).sum() * y, [1.0]),
}
