"""Solves that fail or struggle for known reasons, and healthy ones: the material of the failure microscope's tests.

`FAILURES` and the rules of the microscope came about together; diagnosis_held_out.py has more.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from problems import ARENSTORF_PERIOD, ARENSTORF_START, PROBLEMS, arenstorf, blow_up, duffing, swing
from scipy_api import detest


class Scripted(NamedTuple):
    name: str
    cause: str
    f: Callable[..., Any]
    z0: Any
    ts: Any
    options: dict[str, Any] = {}  # noqa: RUF012 - never written to
    t: float | None = None  # where the diagnosis must place it


class Healthy(NamedTuple):
    name: str
    f: Callable[..., Any]
    z0: Any
    ts: Any
    theta: Any = None


def stiff_oscillator(t, z):
    return np.array([z[1], 1000 * (1 - z[0] ** 2) * z[1] - z[0]])


def robertson(t, z):
    a, b, c = 0.04 * z[0], 1e4 * z[1] * z[2], 3e7 * z[1] ** 2
    return np.array([b - a, a - b - c, c])


def heat(t, z):
    return 4e4 * (np.append(z[1:], 0.0) - 2 * z + np.append(0.0, z[:-1]))


def tracking(t, z):
    return -1e6 * (z - np.cos(t))


def growing_pair(t, z):
    """x' = x y, y' = x y: with x - y constant, a pole."""
    return np.array([z[0] * z[1], z[0] * z[1]])


def pole(t, z):
    return np.array([1.0 / (2.0 - t), -z[1]])


def quench(t, z):
    return -1.0 / z


def backwards_cube(t, z):
    return np.array([-(z[0] ** 3), z[0]])


def nan_in_time(t, z):
    return np.array([-z[0], np.sqrt(1.5 - t)])


def nan_in_state(t, z):
    return np.array([-1.0, np.log(z[0]) - z[1]])


def nan_at_start(t, z):
    return np.array([z[0], np.sin(t) / t])


def nan_backwards(t, z):
    return np.array([np.nan if t < -0.7 else 1.0, 0.5])


def friction(t, z):
    """A block that a sine drags over a rough floor: it sticks while the drag is weaker than the friction."""
    return np.array([np.sin(t) * 0.5 - np.sign(z[0])])


def square_wave(t, z):
    return np.array([z[1], -z[0] + 10 * np.sign(np.sin(40 * t))])


def strong_jump(t, z):
    return np.array([z[1], -1.0 if t < 0.6 else 1e6])


def relay(t, z):
    return np.array([z[1], -np.sign(z[0] + 1e-1 * z[1])])


def decay(t, z):
    return -z


def single_precision(t, z):
    return (-z.astype(np.float32) * np.float32(1.1) * np.cos(z.astype(np.float32))).astype(float)


def cancelling(t, z):
    return np.cos(t) + ((1e8 + z) - 1e8 - z) * 10


def rotation(t, z):
    return np.array([z[1], -z[0]])


def lorenz(t, z):
    x, y, w = z
    return np.array([10 * (y - x), x * (28 - w) - y, x * y - 8 / 3 * w])


def explosion(t, z):
    return 3.0 * z


FAILURES = [
    Scripted("van der Pol 1000", "stiff", stiff_oscillator, [2.0, 0.0], [0.0, 100.0], {"max_steps": 2000}),
    Scripted("Robertson", "stiff", robertson, [1.0, 0.0, 0.0], [0.0, 1e4], {"max_steps": 3000, "rtol": 1e-4}),
    Scripted("heat, backwards bosh3", "stiff", lambda t, z: -heat(t, z), np.ones(10), [1.0, 0.0],
             {"max_steps": 1000, "method": "bosh3"}),
    Scripted("tracking, rk4", "stiff", tracking, [0.0], [0.0, 1.0], {"method": "rk4", "step_size": 1e-3}),
    Scripted("tracking, PI", "stiff", tracking, [0.0], [0.0, 1.0], {"controller": "PI", "max_steps": 400}),
    Scripted("cubic, euler", "stiff", lambda t, z: -1e3 * z**3, [10.0], [0.0, 1.0],
             {"method": "euler", "step_size": 1e-2}),
    Scripted("z^2", "blow-up", blow_up, [1.0], [0.0, 2.0], t=1.0),
    Scripted("z^2 at 0, loose", "blow-up", blow_up, [1.0], [-1.0, 2.0], {"rtol": 1e-3, "method": "bosh3"}),
    Scripted("pair", "blow-up", growing_pair, [1.0, 2.0], [0.0, 5.0], t=np.log(2.0)),
    Scripted("cube backwards", "blow-up", backwards_cube, [1.0, 0.0], [0.0, -2.0], t=-0.5),
    Scripted("logarithmic", "blow-up", pole, [0.0, 1.0], [0.0, 3.0], t=2.0),
    Scripted("quench", "blow-up", quench, [1.0], [0.0, 1.0], t=0.5),
    Scripted("z^2, rk4", "blow-up", blow_up, [1.0], [0.0, 2.0], {"method": "rk4", "step_size": 0.01}, t=1.0),
    Scripted("z^2, few steps", "blow-up", blow_up, [1.0], [0.0, 2.0], {"max_steps": 80}, t=1.0),
    Scripted("root of time", "nan", nan_in_time, [1.0, 0.0], [0.0, 2.0], t=1.5),
    Scripted("logarithm of state", "nan", nan_in_state, [1.0, 0.0], [0.0, 2.0], t=1.0),
    Scripted("0 / 0 at start", "nan", nan_at_start, [1.0, 1.0], [0.0, 1.0], t=0.0),
    Scripted("backwards", "nan", nan_backwards, [0.0, 0.0], [0.0, -2.0], {"method": "tsit5"}, t=-0.7),
    Scripted("root of time, heun", "nan", nan_in_time, [1.0, 0.0], [0.0, 2.0],
             {"method": "heun", "step_size": 0.4}, t=1.6),
    Scripted("friction", "discontinuity", friction, [1.0], [0.0, 4.0], {"max_steps": 3000}),
    Scripted("square wave", "discontinuity", square_wave, [1.0, 0.0], [0.0, 100.0], {"max_steps": 2000}),
    Scripted("strong jump", "discontinuity", strong_jump, [1.0, 0.0], [0.0, 1.0],
             {"rtol": 1e-12, "atol": 1e-14}, t=0.6),
    Scripted("strong jump backwards", "discontinuity", lambda t, z: -strong_jump(-t, z), [1.0, 0.0], [0.0, -1.0],
             {"rtol": 1e-12, "atol": 1e-14}, t=-0.6),
    Scripted("relay", "discontinuity", relay, [1.0, 0.0], [0.0, 20.0], {"max_steps": 4000}),
    Scripted("rtol 1e-25", "round-off", decay, [1.0], [0.0, 1.0], {"rtol": 1e-25, "atol": 0.0, "max_steps": 2000}),
    Scripted("single precision", "round-off", single_precision, [1.0], [0.0, 10.0],
             {"rtol": 1e-12, "atol": 1e-13, "max_steps": 3000}),
    Scripted("cancelling", "round-off", cancelling, [1.0], [0.0, 20.0],
             {"rtol": 1e-10, "atol": 1e-12, "max_steps": 3000}),
    Scripted("float32 state", "round-off", decay, np.ones(2, np.float32), [0.0, 10.0],
             {"rtol": 1e-10, "atol": 1e-12, "max_steps": 1000}),
    Scripted("times of 1e16", "round-off", decay, [1.0], [1e16, 1e16 + 2]),
    Scripted("many turns", "step limit", rotation, [1.0, 0.0], [0.0, 1e4], {"max_steps": 500}),
    Scripted("Lorenz", "step limit", lorenz, [1.0, 1.0, 1.0], [0.0, 1000.0], {"rtol": 1e-8, "max_steps": 3000}),
    Scripted("backwards, few", "step limit", swing, [1.0], [0.0, -50.0], {"max_steps": 30}),
    Scripted("fixed, few", "step limit", rotation, [1.0, 0.0], [0.0, 10.0], {"step_size": 1e-3, "max_steps": 100}),
    Scripted("orbit", "step limit", arenstorf, ARENSTORF_START, [0.0, 17.0],
             {"max_steps": 60}),
    Scripted("e^3t", "overflow", explosion, [1.0], [0.0, 1000.0]),
    Scripted("e^3t, rk4", "overflow", explosion, [1.0], [0.0, 1000.0], {"step_size": 0.1}),
]  # fmt: skip


def _healthy() -> Iterator[Healthy]:
    for name, (f, y0) in detest.PROBLEMS.items():
        if name not in getattr(detest, "DISCONTINUOUS", {}):
            yield Healthy(name, f, np.asarray(y0, float), [0.0, 20.0])
    for name, p in PROBLEMS.items():
        yield Healthy(name, p.function, p.z0, p.ts, p.theta)
    yield Healthy("swing", swing, [1.0], [0.0, -5.0])
    yield Healthy("duffing", duffing, [1.0, 0.0], [0.0, 50.0])
    yield Healthy("Arenstorf", arenstorf, ARENSTORF_START, [0.0, ARENSTORF_PERIOD])


HEALTHY = list(_healthy())
