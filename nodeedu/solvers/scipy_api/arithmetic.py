"""The arithmetic of explicit Runge-Kutta steps: loops over components, compiled for both paths.

The driver in `explicit.py` calls these functions from Python when f is a Python function, and from compiled code when f
is compiled. Strict IEEE arithmetic, so both give the same bits. States are real or complex, shape (n,).
"""

from __future__ import annotations

import numpy as np

from nodeedu.compile.build import jit
from nodeedu.compile.kernels import JIT

SAFETY = 0.9
SMALLEST_FACTOR = 0.2
LARGEST_FACTOR = 10.0
LARGEST = np.finfo(np.float64).max
FEW = 12  # components, whose sums are faster one by one, in a register, than slope by slope in vector lanes


def core(function):
    """Compile a function; where nothing is compiled, let it overflow and divide by zero without a warning, too."""
    return jit(function) if JIT else np.errstate(all="ignore")(function)


@core
def weighted(weights, K, s, i):
    """Return ``sum_{j<s} weights_j K_ji``; zero weights too: inf in a slope must not be overlooked."""
    total = weights[0] * K[0, i]
    for j in range(1, s):
        total += weights[j] * K[j, i]
    return total


@core
def weigh(weights, K, s, out):
    """Write ``out_i = sum_{j<s} weights_j K_ji``."""
    if out.size <= FEW:
        for i in range(out.size):
            out[i] = weighted(weights, K, s, i)
        return
    for i in range(out.size):
        out[i] = weights[0] * K[0, i]
    for j in range(1, s):
        a = weights[j]
        for i in range(out.size):
            out[i] += a * K[j, i]


@core
def stage_state(K, A, s, h, y, out):
    """Write the state of stage s, ``out = y + h sum_{j<s} A_sj K_j`` (Hairer, Norsett & Wanner I, equation II.1.8)."""
    weigh(A[s], K, s, out)
    for i in range(y.size):
        out[i] = y[i] + out[i] * h


@core
def combine(weights, K, out):
    """Write ``out_k = sum_j weights_kj K_j`` over the slopes that there are weights for."""
    for k in range(weights.shape[0]):
        weigh(weights[k], K, weights.shape[1], out[k])


@core
def square(x):
    """Return ``|x|**2``."""
    return x.real * x.real + x.imag * x.imag


@core
def scale_of(y, y_new, rtol, atol):
    """Return the admissible error of a component, ``atol + rtol max(|y|, |y_new|)``; nan if y_new is."""
    size, size_new = abs(y), abs(y_new)
    return atol + rtol * (size if size_new <= size else size_new)


@core
def error_norm(K, E, h, y, y_new, rtol, atol):
    """Return the root mean square of ``h E K / scale``, the error of a step as a multiple of what is admissible.

    DOP853 combines two estimates, e5 and e3: ``|h| |e5|^2 / sqrt(n (|e5|^2 + 0.01 |e3|^2))`` with Euclidean norms
    (Hairer, Norsett & Wanner I, equation II.10.17).
    """
    n = y.size
    first = second = 0.0
    for i in range(n):
        scale = scale_of(y[i], y_new[i], rtol[i], atol[i])
        estimate = weighted(E[0], K, E.shape[1], i)
        if E.shape[0] == 1:
            first += square(estimate * h / scale)
            continue
        first += square(estimate / scale)
        estimate = weighted(E[1], K, E.shape[1], i)
        second += square(estimate / scale)
    if E.shape[0] == 1:
        return np.sqrt(first) / np.sqrt(n)
    if first == 0.0 and second == 0.0:
        return 0.0
    return abs(h) * first / np.sqrt((first + 0.01 * second) * n)


@core
def assess(K, E, h, y, y_new, rtol, atol, exponent, rejected):
    """Return whether a trial step of size h is accepted, and the size of the next.

    `rejected`: a trial of this step has been rejected, so the next step must not be longer.
    """
    norm = error_norm(K, E, h, y, y_new, rtol, atol)
    factor = LARGEST_FACTOR if norm == 0.0 else SAFETY * norm**exponent
    if norm < 1.0:
        return True, abs(h) * min(factor, 1.0 if rejected else LARGEST_FACTOR)
    # The error may be nan: then the smallest factor.
    return False, abs(h) * (factor if factor > SMALLEST_FACTOR else SMALLEST_FACTOR)


@core
def smallest_step(t, direction):
    """Return ten spacings of floating-point numbers at t."""
    return 10.0 * abs(np.nextafter(t, direction * np.inf) - t)


@core
def trial_end(t, h_abs, direction, t_bound):
    """Return where a trial step ends: at ``t + direction h_abs``, but neither beyond t_bound nor at infinity."""
    t_new = t + direction * h_abs
    if direction * (t_new - t_bound) > 0.0:
        return t_bound
    return t_new if abs(t_new) <= LARGEST else direction * LARGEST


@core
def begin_trial(t, c, h, direction, t_bound, f, K, out):
    """Copy the first slope into K_0; write the times of stages, ``out = t + c h``, no later than t_bound."""
    for i in range(f.size):
        K[0, i] = f[i]
    for s in range(c.size):
        time = t + c[s] * h
        out[s] = t_bound if direction * (time - t_bound) > 0.0 else time


@core
def accept_trial(stage, slope, y_old, y, f):
    """Move on to the end of a trial step: ``y_old = y``, ``y = stage``, ``f = slope``."""
    for i in range(y.size):
        y_old[i] = y[i]
        y[i] = stage[i]
        f[i] = slope[i]


@core
def scaled_norm(x, y, rtol, atol):
    """Return the root mean square of ``x / (atol + rtol |y|)``."""
    total = 0.0
    for i in range(y.size):
        total += square(x[i] / (atol[i] + rtol[i] * abs(y[i])))
    return np.sqrt(total) / np.sqrt(y.size)


@core
def probe_step(d0, d1, interval):
    """Return the size of the Euler step that probes f: a hundredth of |y| / |f|, in scaled norms d0 and d1."""
    h = 0.01 * d0 / d1 if d0 >= 1e-5 and d1 >= 1e-5 else 1e-6  # nan where a scale is zero: y = 0 and atol = 0
    return min(h, interval)


@core
def euler_step(y, f, h, out):
    """Write ``out = y + h f``."""
    for i in range(y.size):
        out[i] = y[i] + h * f[i]


@core
def first_step_size(h, d1, d2, exponent, interval, max_step):
    """Return the first step size from the norms d1 of f and d2 of the slopes' difference over the probing step h."""
    d2 = d2 / h
    largest = d2 if d2 > d1 else d1
    size = (0.01 / largest) ** -exponent if 1e-15 < largest < np.inf else max(1e-6, h * 1e-3)
    return min(min(100.0 * h, size), min(interval, max_step))


@core
def dop853_coefficients(K, D, h, y_old, y, f, out):
    """Write the seven coefficients of DOP853's dense output (Hairer, Norsett & Wanner I, section II.10)."""
    combine(D, K, out[3:])
    for i in range(y.size):
        change = y[i] - y_old[i]
        out[0, i] = change
        out[1, i] = h * K[0, i] - change
        out[2, i] = 2.0 * change - h * (f[i] + K[0, i])
        for k in range(3, out.shape[0]):
            out[k, i] *= h


@core
def interpolate(coefficients, t_old, h, y_old, times, out):
    """Write the states at some times of a step into out, shape (times, n).

    With ``x = (t - t_old) / h`` and m coefficients F, ``y = y_old + h (F_0 x + F_1 x^2 + ...)`` for RK23 and RK45; for
    DOP853, m = 7, ``y = y_old + x (F_0 + (1 - x) (F_1 + x (F_2 + (1 - x) (F_3 + ...))))``.
    """
    m = coefficients.shape[0]
    for k in range(times.size):
        x = (times[k] - t_old) / h
        for i in range(y_old.size):
            value = coefficients[0, i] * 0.0
            if m == 7:
                for j in range(m - 1, -1, -1):
                    value = (value + coefficients[j, i]) * (x if j % 2 == 0 else 1.0 - x)
                out[k, i] = y_old[i] + value
            else:
                power = x
                for j in range(m):
                    value += coefficients[j, i] * power
                    power *= x
                out[k, i] = y_old[i] + h * value
