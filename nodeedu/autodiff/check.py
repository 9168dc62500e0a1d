"""Independent checks of derivatives: the dot-product test, extrapolated differences and the complex step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from . import structure
from .tape import Tape
from .transforms import jvp, vjp


class Difference(NamedTuple):
    """A numerical derivative and an estimate of its absolute error, of the same structure."""

    value: Any
    error: Any


def relative_error(got: Any, expected: Any) -> float:
    """‖got − expected‖ / ‖expected‖, the Euclidean norm over all entries of two structures; dimensionless.

    Where ``expected`` is zero throughout, the norm of ``got`` itself.
    """
    a, b = _flat(got), _flat(expected)
    scale = np.linalg.norm(b)
    return float(np.linalg.norm(a - b) / (scale if scale > 0.0 else 1.0))


def dot_product_test(push: Callable[[Any], Any], pull: Callable[[Any], Any], x_dot: Any, y_bar: Any) -> float:
    """Mismatch of a JVP and a VJP: ȳ·(J ẋ) = (ȳ J)·ẋ for any ẋ and ȳ.

    The two sides come from different rules, so an error in one of them shows; an error that both share does not, for
    which the other checks are here (Claerbout, Earth Soundings Analysis: Processing versus Inversion, 1992).

    Parameters
    ----------
    push : callable
        ẋ → J ẋ.
    pull : callable
        ȳ → ȳ J.
    x_dot, y_bar : structure of arrays
        Tangent of the argument and cotangent of the result; random ones see every entry of J.

    Returns
    -------
    float
        |ȳ·(J ẋ) − (ȳ J)·ẋ| / (‖ȳ‖ ‖J ẋ‖ + ‖ȳ J‖ ‖ẋ‖), dimensionless: rounding is a few 1e-16.
    """
    x_dot, y_bar, y_dot, x_bar = (_flat(v) for v in (x_dot, y_bar, push(x_dot), pull(y_bar)))
    norm = np.linalg.norm
    scale = norm(y_bar) * norm(y_dot) + norm(x_bar) * norm(x_dot)
    return float(abs(y_bar @ y_dot - x_bar @ x_dot) / (scale if scale > 0.0 else 1.0))


def tape_dot_product_test(
    tape: Tape, inputs: dict[str, Any], wrt: Sequence[str] | None = None, output: str = "dz", seed: int = 0
) -> float:
    """Mismatch of ``transforms.jvp`` and ``transforms.vjp`` of one tape, in random directions (`dot_product_test`).

    Parameters
    ----------
    tape : Tape
    inputs : dict
        Role to value: the point of linearisation.
    wrt : sequence of str, optional
        Roles of the inputs that move; all by default.
    output : str
        Role of the result.
    seed : int
        Of the random directions.
    """
    wrt = list(tape.inputs) if wrt is None else list(wrt)
    pushed, pulled = jvp(tape, wrt, [output]), vjp(tape, [output], wrt)
    rng = np.random.default_rng(seed)
    x_dot = [rng.normal(size=np.shape(inputs[role])) for role in wrt]
    y_bar = rng.normal(size=tape.nodes[tape.outputs[output]].shape)

    def push(x_dot):
        tangents = {role + "_dot": v for role, v in zip(wrt, x_dot, strict=True)}
        return pushed.evaluate({**inputs, **tangents})[output + "_dot"]

    def pull(y_bar):
        result = pulled.evaluate({**inputs, output + "_bar": y_bar})
        return [result[role + "_bar"] for role in wrt]

    return dot_product_test(push, pull, x_dot, y_bar)


def central_difference(
    f: Callable[[Any], Any], x: Any, direction: Any = None, step: float | None = None, levels: int = 8
) -> Difference:
    """Derivative of f at x by central differences with Richardson extrapolation, and its error.

    D_0(h) = (f(x + h v) − f(x − h v)) / 2h is even in h, so that
    D_j(h) = D_{j-1}(h) + (D_{j-1}(h) − D_{j-1}(2h)) / (4^j − 1) has order 2j + 2 (Richardson 1927).
    Of all D_j(h), entry by entry, that one is taken which differs least from the two it was made from. This difference,
    and rounding in f, is the error (Ridders 1982).

    Parameters
    ----------
    f : callable
        Takes a structure like x, returns an array; computed in float64.
    x : structure of arrays
        An array, or a nested tuple, list or dict of arrays.
    direction : structure of arrays, optional
        v, shaped like x: the result is J v. Without it, the derivative by every entry of x.
    step : float, optional
        Largest h; by default √max(1, max|x|) / (16 max|v|), the entries of x being those that v moves. f should not
        turn many times within it: √ keeps both x = 10⁴ radians and x = 10⁴ metres in reach.
    levels : int
        Number of steps h, h/2, h/4, …: f is called 2 · levels times a direction.

    Returns
    -------
    Difference
        With ``direction``: two arrays shaped like f(x). Without: two structures like x, each leaf of the shape
        f(x).shape + leaf.shape.

    References
    ----------
    L. F. Richardson, Phil. Trans. R. Soc. A 226 (1927) 299; C. Ridders, Adv. Eng. Software 4 (1982) 75.
    """

    def derivative(v):
        speeds = np.abs(_flat(v))
        size, speed = np.max(np.abs(_flat(x))[speeds > 0.0], initial=0.0), np.max(speeds, initial=0.0) or 1.0
        h = np.sqrt(max(1.0, size)) / (16.0 * speed) if step is None else step
        return _ridders(lambda s: np.asarray(f(_shifted(x, v, s)), np.float64), h, levels, size / speed)

    x = _as_float64(x)
    if direction is not None:
        return derivative(_as_float64(direction))
    columns = [[derivative(v) for v in units] for units in _unit_directions(x)]
    return Difference(*(_stack(x, [[column[k] for column in leaf] for leaf in columns], f) for k in range(2)))


def complex_step(f: Callable[[Any], Any], x: Any, direction: Any = None, step: float = 1e-30) -> Any:
    """Derivative of f at x by one step into the complex plane: J v = Im f(x + i h v) / h + O(h²).

    Nothing is subtracted, so that a tiny h makes it exact to rounding; f must be analytic and must pass complex numbers
    on (Squire and Trapp, SIAM Review 40, 1998).

    Parameters
    ----------
    f : callable
        Takes a structure like x of complex arrays, returns an array.
    x : structure of arrays
    direction : structure of arrays, optional
        v, shaped like x. Without it, the derivative by every entry of x.
    step : float
        h.

    Returns
    -------
    ndarray or structure
        As the value of `central_difference`.

    Raises
    ------
    TypeError
        f returned real numbers: it has lost the imaginary part.
    """

    def derivative(v):
        y = np.asarray(f(_shifted(x, v, 1j * step)))
        if y.dtype.kind != "c":
            raise TypeError(f"f returned dtype {y.dtype} at a complex argument: it must pass the imaginary part on")
        return y.imag / step

    x = _as_float64(x)
    if direction is not None:
        return derivative(_as_float64(direction))
    return _stack(x, [[derivative(v) for v in units] for units in _unit_directions(x)], f)


def _ridders(line: Callable[[float], np.ndarray], h: float, levels: int, reach: float) -> Difference:
    """Extrapolate (line(h) − line(−h)) / 2h to h = 0; ``reach`` is how far along the line the numbers x are large."""
    best = error = previous = None
    for i in range(levels):
        right, left = line(h), line(-h)
        row = [(right - left) / (2.0 * h)]
        rounding = np.finfo(float).eps * (np.maximum(np.abs(right), np.abs(left)) + reach * np.abs(row[0])) / h
        if previous is None:
            best, error = row[0], np.full_like(row[0], np.inf)
        for j in range(1, i + 1):
            row.append(row[j - 1] + (row[j - 1] - previous[j - 1]) / (4.0**j - 1.0))
            doubt = np.maximum(np.abs(row[j] - row[j - 1]), np.abs(row[j] - previous[j - 1])) + rounding
            better = doubt < error  # false where f was nan: a large step may leave the domain of f
            best, error = np.where(better, row[j], best), np.where(better, doubt, error)
        previous, h = row, h / 2.0
    return Difference(best, error)


def _as_float64(x: Any) -> Any:
    return structure.tree_map(lambda leaf: np.asarray(leaf, np.float64), structure.as_arrays(x, "x"))


def _flat(x: Any) -> np.ndarray:
    return np.concatenate([np.zeros(0), *(np.ravel(leaf) for leaf in structure.leaves(x))])


def _shifted(x: Any, v: Any, s: complex) -> Any:
    return structure.tree_map(lambda leaf, d: leaf + s * d, x, v)


def _unit_directions(x: Any) -> Iterator[Iterator[Any]]:
    """For each leaf of x, the structures that are 1 in one of its entries and 0 elsewhere."""
    leaves = structure.leaves(x)

    def units(k):
        for i in range(leaves[k].size):
            v = [np.zeros_like(leaf) for leaf in leaves]
            v[k].flat[i] = 1.0
            yield structure.unflatten(x, v)

    return (units(k) for k in range(len(leaves)))


def _stack(x: Any, columns: list[list[np.ndarray]], f: Callable[[Any], Any]) -> Any:
    """Put the derivatives by the entries of each leaf together: shape f(x).shape + leaf.shape."""
    shape = next((c.shape for leaf in columns for c in leaf), None)
    shape = np.shape(f(x)) if shape is None else shape
    pairs = zip(columns, structure.leaves(x), strict=True)
    return structure.unflatten(
        x, [np.reshape(np.stack(c, -1) if c else np.zeros((*shape, 0)), shape + leaf.shape) for c, leaf in pairs]
    )
