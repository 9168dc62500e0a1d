"""The table of primitives: one row holds all that is known of one operation.

An elementwise row gives its value, its partial derivatives (they serve forward and reverse mode alike) and the text
that the emitter writes. A structural row moves or contracts array entries; it is linear in each argument and gives its
own forward and reverse rule. `einsum` alone covers sum, transpose, broadcast, dot, matrix and outer products.

The rules are plain NumPy. On numbers they compute; on recorded arrays they write themselves down, so that derivatives
can be differentiated again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from .indexing import as_slices


class Elementwise(NamedTuple):
    """A function of numbers, applied entry by entry.

    ``partials(y, *x)`` returns ∂y/∂x_k for each argument: None where it vanishes, a function of nothing where it is
    computed only if wanted (the log of a negative base would be nan). ``text`` is the format string of the emitter, and
    ``precedence`` that of Python's grammar: 9 a call, 6 unary minus, 5 ``* /``, 4 ``+ -``, 1 a conditional.
    """

    evaluate: Callable[..., Any]
    partials: Callable[..., tuple[Any, ...]]
    text: str
    precedence: int = 9


class Structural(NamedTuple):
    """A linear or bilinear rearrangement of entries, with its attributes as keywords."""

    evaluate: Callable[..., Any]
    jvp: Callable[..., Any]  # (tangents, x, **attrs); a tangent may be None
    vjp: Callable[..., Sequence[Any]]  # (y_bar, x, **attrs) -> a cotangent, or a function of nothing, for each argument


# Values take complex numbers too, the side of a kink being that of the real part: the complex step works through them.


def _sigmoid(x):
    """1 / (1 + e^-x), from e^-|x|: no overflow, and relatively accurate in both tails."""
    positive = np.real(x) >= 0.0
    e = np.exp(np.where(positive, -x, x))
    return np.where(positive, 1.0, e) / (1.0 + e)


def _softplus(x):
    """log(1 + e^x) = max(x, 0) + log(1 + e^-|x|)."""
    positive = np.real(x) >= 0.0
    return np.where(positive, x, 0.0) + np.log1p(np.exp(np.where(positive, -x, x)))


def _mask(compare):
    """Comparisons give 1.0 and 0.0: a tape has one dtype."""

    def evaluate(a, b):
        a, b = np.real(a), np.real(b)
        return np.asarray(compare(a, b), np.result_type(a, b, np.float32))

    return evaluate


def _pow_partials(y, a, b):
    """∂a^b/∂a = b a^(b-1), ∂a^b/∂b = a^b log a; their limit 0 where b = 0 or a = 0 would give 0·∞."""
    exponent = np.where(b == 0.0, 1.0, b - 1.0)
    return b * a**exponent, lambda: y * np.log(np.where(a == 0.0, 1.0, a))


# fmt: off
ELEMENTWISE: dict[str, Elementwise] = {
    "neg":     Elementwise(np.negative, lambda y, x: (-1.0,),                 "-{}", 6),
    "add":     Elementwise(np.add,      lambda y, a, b: (1.0, 1.0),           "{} + {}", 4),
    "sub":     Elementwise(np.subtract, lambda y, a, b: (1.0, -1.0),          "{} - {}", 4),
    "mul":     Elementwise(np.multiply, lambda y, a, b: (b, a),               "{} * {}", 5),
    "div":     Elementwise(np.divide,   lambda y, a, b: (1.0 / b, -y * (1.0 / b)), "{} / {}", 5),
    "pow":     Elementwise(np.power,    _pow_partials,                        "power({}, {})"),
    "sqrt":    Elementwise(np.sqrt,     lambda y, x: (0.5 / y,),              "sqrt({})"),
    "exp":     Elementwise(np.exp,      lambda y, x: (y,),                    "exp({})"),
    "log":     Elementwise(np.log,      lambda y, x: (1.0 / x,),              "log({})"),
    "sin":     Elementwise(np.sin,      lambda y, x: (np.cos(x),),            "sin({})"),
    "cos":     Elementwise(np.cos,      lambda y, x: (-np.sin(x),),           "cos({})"),
    "tan":     Elementwise(np.tan,      lambda y, x: (1.0 + y**2,),           "tan({})"),
    "arctan":  Elementwise(np.arctan,   lambda y, x: (1.0 / (1.0 + x**2),),   "arctan({})"),
    "sinh":    Elementwise(np.sinh,     lambda y, x: (np.cosh(x),),           "sinh({})"),
    "cosh":    Elementwise(np.cosh,     lambda y, x: (np.sinh(x),),           "cosh({})"),
    "tanh":    Elementwise(np.tanh,     lambda y, x: (1.0 - y**2,),           "tanh({})"),
    "sigmoid": Elementwise(_sigmoid,    lambda y, x: (y * (1.0 - y),),        "sigmoid({})"),
    "softplus": Elementwise(_softplus,  lambda y, x: (apply("sigmoid", x),),  "softplus({})"),
    "abs":     Elementwise(lambda x: x * np.sign(np.real(x)), lambda y, x: (apply("sign", x),), "abs({})"),
    "sign":    Elementwise(lambda x: np.sign(np.real(x)), lambda y, x: (None,), "sign({})"),
    # At a tie the second argument is taken, so that relu(x) = maximum(x, 0) has slope 0 at 0.
    "maximum": Elementwise(np.maximum,  lambda y, a, b: (a > b, 1.0 - (a > b)), "maximum({}, {})"),
    "minimum": Elementwise(np.minimum,  lambda y, a, b: (a < b, 1.0 - (a < b)), "minimum({}, {})"),
    "greater": Elementwise(_mask(np.greater), lambda y, a, b: (None, None),   "1.0 if {} > {} else 0.0", 1),
    "greater_equal": Elementwise(_mask(np.greater_equal), lambda y, a, b: (None, None), "1.0 if {} >= {} else 0.0", 1),
    "equal":   Elementwise(_mask(np.equal), lambda y, a, b: (None, None),     "1.0 if {} == {} else 0.0", 1),
    "where":   Elementwise(lambda c, a, b: np.where(c != 0, a, b),
                           lambda y, c, a, b: (None, np.where(c, 1.0, 0.0), np.where(c, 0.0, 1.0)),
                           "{1} if {0} != 0.0 else {2}", 1),
}
# fmt: on


def _einsum(*x, spec: str, shape: tuple[int, ...]):
    """Contract; an output axis that no argument has is a broadcast of the given length."""
    inputs, output = spec.split("->")
    present = "".join(c for c in output if c in inputs)
    large = sum(np.size(v) for v in x) > 10_000  # BLAS costs 10 µs to arrange and pays from about here
    y = np.einsum(f"{inputs}->{present}", *x, optimize=large)
    return np.broadcast_to(np.reshape(y, [n if c in present else 1 for c, n in zip(output, shape, strict=True)]), shape)


def _einsum_jvp(tangents, x, *, spec, shape):
    """Product rule: one term for each argument that moves."""
    terms = [
        apply("einsum", *x[:k], x_dot, *x[k + 1 :], spec=spec, shape=shape)
        for k, x_dot in enumerate(tangents)
        if x_dot is not None
    ]
    return sum(terms[1:], terms[0])


def _einsum_vjp(y_bar, x, *, spec, shape):
    """Contract y_bar with the other arguments: the letters of argument k become the output."""
    inputs, output = spec.split("->")
    letters = inputs.split(",")
    bars = []
    for k, own in enumerate(letters):
        others = [i for i in range(len(x)) if i != k]
        back = ",".join([output, *(letters[i] for i in others)]) + "->" + own
        bars.append(partial(apply, "einsum", y_bar, *(x[i] for i in others), spec=back, shape=np.shape(x[k])))
    return bars


def _scatter(x, *, index, shape):
    y = np.zeros(shape, np.asarray(x).dtype)
    y[as_slices(index)] = x
    return y


def _concat_jvp(tangents, x, *, axis):
    parts = [np.zeros(np.shape(v)) if x_dot is None else x_dot for x_dot, v in zip(tangents, x, strict=True)]
    return apply("concat", *parts, axis=axis)


def _concat_vjp(y_bar, x, *, axis):
    bars, start = [], 0
    for v in x:
        stop = start + np.shape(v)[axis]
        bars.append(y_bar[(slice(None),) * axis + (slice(start, stop),)])
        start = stop
    return bars


STRUCTURAL: dict[str, Structural] = {
    "einsum": Structural(_einsum, _einsum_jvp, _einsum_vjp),
    "reshape": Structural(
        lambda x, *, shape: np.reshape(x, shape),
        lambda tangents, x, *, shape: apply("reshape", tangents[0], shape=shape),
        lambda y_bar, x, *, shape: [apply("reshape", y_bar, shape=np.shape(x[0]))],
    ),
    "getitem": Structural(
        lambda x, *, index: np.asarray(x)[as_slices(index)],
        lambda tangents, x, *, index: apply("getitem", tangents[0], index=index),
        lambda y_bar, x, *, index: [apply("scatter", y_bar, index=index, shape=np.shape(x[0]))],
    ),
    "scatter": Structural(
        _scatter,
        lambda tangents, x, *, index, shape: apply("scatter", tangents[0], index=index, shape=shape),
        lambda y_bar, x, *, index, shape: [apply("getitem", y_bar, index=index)],
    ),
    "concat": Structural(lambda *x, axis: np.concatenate(x, axis), _concat_jvp, _concat_vjp),
}


def evaluate(op: str, args: Sequence[Any], attrs: dict[str, Any]) -> Any:
    """Compute one primitive on NumPy arrays."""
    if op in ELEMENTWISE:
        return ELEMENTWISE[op].evaluate(*args)
    return STRUCTURAL[op].evaluate(*args, **attrs)


def apply(op: str, *args: Any, **attrs: Any) -> Any:
    """Record one primitive if an argument is a recorded array, else compute it."""
    for x in args:
        if hasattr(x, "record_primitive"):
            return x.record_primitive(op, args, attrs)
    return evaluate(op, args, attrs)


def _computed(value):
    return value() if callable(value) else value


def scaled(x, factor):
    """Multiply by a partial derivative, which may be a function of nothing; 1 and -1 cost nothing."""
    factor = _computed(factor)
    if isinstance(factor, float) and factor in (1.0, -1.0):
        return x if factor == 1.0 else -x
    return x * factor


def push_forward(op, tangents, y, x, attrs):
    """Tangent of y from the tangents of its arguments (None where an argument does not move)."""
    if op not in ELEMENTWISE:
        return STRUCTURAL[op].jvp(tangents, x, **attrs)
    partials = ELEMENTWISE[op].partials(y, *x)
    terms = [scaled(d, p) for d, p in zip(tangents, partials, strict=True) if d is not None and p is not None]
    return sum(terms[1:], terms[0]) if terms else None


def pull_back(op, y_bar, y, x, attrs, wanted):
    """Cotangents of the arguments of y from y_bar; None where ``wanted`` is false or the partial vanishes."""
    if op not in ELEMENTWISE:
        bars = STRUCTURAL[op].vjp(y_bar, x, **attrs)
        return [_computed(bar) if want else None for bar, want in zip(bars, wanted, strict=True)]
    partials = ELEMENTWISE[op].partials(y, *x)
    return [scaled(y_bar, p) if want and p is not None else None for p, want in zip(partials, wanted, strict=True)]
