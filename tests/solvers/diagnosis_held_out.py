"""More failures for the failure microscope, written when its rules stood: what they are worth off their own cases.

Of 41, the rules then named 32. Two of the others were no such failures and are left out; the rest showed faults, which
were mended: fits over too few decades, round-off of times and states taken for jumps, falls of the step size in two
strides, a near collision taken for a blow-up, a short rest in an equilibrium taken for stiffness.
"""

import numpy as np
from diagnosis_cases import Scripted, decay, heat, stiff_oscillator, tracking

# ---------------------------------------------------------------- fields


def hires(t, z):
    """Photomorphogenesis; Hairer & Wanner II, IV.10."""
    a, b, c, d, e, f, g, h = z
    binding, decay_of_g = 280 * f * h, 1.81 * g
    return np.array([
        -1.71 * a + 0.43 * b + 8.32 * c + 0.0007, 1.71 * a - 8.75 * b, -10.03 * c + 0.43 * d + 0.035 * e,
        8.32 * b + 1.71 * c - 1.12 * d, -1.745 * e + 0.43 * f + 0.43 * g,
        -binding + 0.69 * d + 1.71 * e - 0.43 * f + 0.69 * g, binding - decay_of_g, -binding + decay_of_g,
    ])  # fmt: skip


def oregonator(t, z):
    x, y, w = z
    return np.array([77.27 * (y + x * (1 - 8.375e-6 * x - y)), (w - (1 + x) * y) / 77.27, 0.161 * (x - w)])


def brusselator(t, z):
    u, v = np.split(z, 2)
    d = 0.02 * (len(u) + 1) ** 2
    u_diffusion = np.append(1, u[:-1]) - 2 * u + np.append(u[1:], 1)
    v_diffusion = np.append(3, v[:-1]) - 2 * v + np.append(v[1:], 3)
    return np.concatenate([1 + u * u * v - 4 * u + d * u_diffusion, 3 * u - u * u * v + d * v_diffusion])


def spiral_sink(t, z):
    """Eigenvalues -500 +- 2000 i around a slow solution."""
    x, y = z[0] - np.cos(t), z[1] - np.sin(t)
    return np.array([-500 * x + 2000 * y, -2000 * x - 500 * y])


def ring(t, z):
    return 1e5 * (np.roll(z, 1) - 2 * z + np.roll(z, -1)) + np.sin(t)


def tangent(t, z):
    return 1 + z * z


def top(t, z):
    return np.array([z[1] * z[2], z[0] * z[2], z[0] * z[1]])


def weierstrass(t, z):
    return np.array([z[1], 6 * z[0] ** 2])


def fall(t, z):
    return np.array([z[1], -1 / z[0] ** 2])


def gated_growth(t, z):
    return np.array([z[0] ** 1.5 * np.cos(t) ** 2 + z[0], -z[1]])


def zero_division(t, z):
    return np.array([-1.0, 1 / (z[0] if z[0] > 0.3 else 0 * z[0])])


def fractional_power(t, z):
    return np.array([-z[0] - 0.3, z[0] ** 0.7])


def wall(t, z):
    return np.array([z[1], -z[0] + (np.inf if z[0] < -0.5 else 0)])


def bang_bang(t, z):
    return np.array([z[1], -1.0 if z[0] + z[1] * abs(z[1]) / 2 > 0 else 1.0])


def stairs(t, z):
    return np.floor(20 * t) - z


def thermostat(t, z):
    return np.array([(5.0 if z[0] < 20 else 0.0) - 0.1 * z[0]])


def impact(t, z):
    return np.array([z[1], -9.81 if z[0] > 0 else 1e9])


_RNG = np.random.default_rng(3)


def noisy(t, z):
    return -z + 1e-6 * _RNG.normal(size=1)


def fast(t, z):
    return np.array([np.cos(1e4 * t) * 1e4])


def difference_quotient(t, z):
    return (np.sin(z + 1e-8) - np.sin(z - 1e-8)) / 2e-8


def pendulum(t, z):
    return np.array([z[1], -np.sin(z[0])])


def spring(t, z):
    return np.array([z[1], -1e4 * z[0]])


def network(t, z):
    rng = np.random.default_rng(1)
    W, V = rng.normal(size=(20, 4)), rng.normal(size=(4, 20))
    return V @ np.tanh(W @ z)


def roessler(t, z):
    return np.array([-z[1] - z[2], z[0] + 0.2 * z[1], 0.2 + z[2] * (z[0] - 5.7)])


def orbit(t, z):
    r3 = np.hypot(z[0], z[1]) ** 3
    return np.array([z[2], z[3], -z[0] / r3, -z[1] / r3])


# ---------------------------------------------------------------- cases

_WAVES = np.concatenate([np.linspace(1, 1.5, 40), np.full(40, 3.0)])
_TIGHT = {"rtol": 1e-10, "atol": 1e-12}

HELD_OUT = [
    Scripted("HIRES", "stiff", hires, [1, 0, 0, 0, 0, 0, 0, 0.0057], [0, 321.8], {"max_steps": 300}),
    Scripted("Oregonator", "stiff", oregonator, [1, 2, 3], [0, 360], {"max_steps": 5000}),
    Scripted("Brusselator", "stiff", brusselator, _WAVES, [0, 100], {"max_steps": 400, "rtol": 1e-4}),
    Scripted("spiral sink", "stiff", spiral_sink, [1.0, 0], [0, 10], {"max_steps": 2000, "method": "tsit5"}),
    Scripted("ring of 700", "stiff", ring, np.sin(np.arange(700)), [0, 10], {"max_steps": 300}),
    Scripted("van der Pol backwards", "stiff", lambda t, z: -stiff_oscillator(-t, z), [2, 0], [0, -50],
             {"max_steps": 2000}),
    Scripted("heat, euler", "stiff", heat, np.ones(6), [0, 1], {"method": "euler", "step_size": 1e-3}),
    Scripted("tracking to the end", "stiff", tracking, [0], [0, 0.02]),
    Scripted("tracking, 1e9", "stiff", lambda t, z: -1e9 * (z - np.cos(t)), [0], [0, 1], {"max_steps": 300}),
    Scripted("tracking, tight", "stiff", tracking, [0], [0, 1], {"max_steps": 3000} | _TIGHT),
    Scripted("decay for long", "stiff", decay, [1], [0, 1e5], {"max_steps": 2000}),
    Scripted("tangent", "blow-up", tangent, [0], [0, 3], {"rtol": 1e-10}, np.pi / 2),
    Scripted("tangent, euler", "blow-up", tangent, [0], [0, 3], {"method": "euler", "step_size": 1e-3}, np.pi / 2),
    Scripted("top", "blow-up", top, [1, 1.1, 1.2], [0, 5], {"rtol": 1e-3}),
    Scripted("Weierstrass", "blow-up", weierstrass, [1, 2], [0, 5], {}, 1.0),
    Scripted("e^z", "blow-up", lambda t, z: np.exp(z), [0], [0, 5], {}, 1.0),
    Scripted("fall", "blow-up", fall, [1, 0], [0, 5], {"rtol": 1e-8}, np.pi / 2**1.5),
    Scripted("gated growth", "blow-up", gated_growth, [1, 0], [0, 50], {"max_steps": 300}),
    Scripted("1 / 0", "nan", zero_division, [1, 0], [0, 2], {}, 0.7),
    Scripted("fractional power", "nan", fractional_power, [1, 0], [0, 5], {}, np.log(13 / 3)),
    Scripted("arcsin", "nan", lambda t, z: np.arcsin(t / 2) + 0 * z, [1], [0, 5], {"method": "rk4", "step_size": 0.3}),
    Scripted("wall", "nan", wall, [1, 0], [0, 5], {"rtol": 1e-6}, 2 * np.pi / 3),
    Scripted("root of time, backwards", "nan", lambda t, z: np.sqrt(t) + 0 * z, [0], [1, -1], {}, 0.0),
    Scripted("bang-bang", "discontinuity", bang_bang, [1, 0.3], [0, 10], {"max_steps": 3000}),
    Scripted("stairs", "discontinuity", stairs, [1], [0, 100], {"max_steps": 2000}),
    Scripted("stairs to the end", "discontinuity", stairs, [1], [0, 5]),
    Scripted("thermostat", "discontinuity", thermostat, [15], [0, 100], {"max_steps": 1000}),
    Scripted("impact", "discontinuity", impact, [1, 0], [0, 10], _TIGHT, np.sqrt(2 / 9.81)),
    Scripted("noise", "round-off", noisy, [1], [0, 10],
             {"max_steps": 3000, "rtol": 1e-9, "atol": 1e-12}),
    Scripted("late and fast", "round-off", fast, [0], [1e9, 1e9 + 1], {"rtol": 1e-8, "atol": 1e-12}),
    Scripted("difference quotient", "round-off", difference_quotient, [0], [0, 20],
             {"max_steps": 3000, "rtol": 1e-12, "atol": 1e-13}),
    Scripted("rtol 3e-17", "round-off", pendulum, [1, 0], [0, 5], {"rtol": 3e-17, "atol": 0}),
    Scripted("pendulum", "step limit", pendulum, [1, 0], [0, 1000], {"max_steps": 1000, "rtol": 1e-3}),
    Scripted("spring", "step limit", spring, [1, 0], [0, 1000], {"max_steps": 1000, "rtol": 1e-3, "method": "bosh3"}),
    Scripted("spring backwards", "step limit", spring, [1, 0], [0, -1000], {"max_steps": 200}),
    Scripted("network", "step limit", network, [1, 0, -1, 0.3], [0, 1000], {"max_steps": 200}),
    Scripted("Roessler", "step limit", roessler, [1, 0, 0], [0, 1000], {"max_steps": 2000, "rtol": 1e-4}),
    Scripted("orbit of 0.9", "step limit", orbit, [0.1, 0, 0, np.sqrt(19)], [0, 1000], {"max_steps": 1000}),
    Scripted("e^(t^2)", "overflow", lambda t, z: 2 * t * z, [1], [0, 1000]),
]  # fmt: skip
