"""Eager reverse mode: a `Tensor` computes at once and remembers what it was made from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NoReturn

import numpy as np

from .primitives import ELEMENTWISE, evaluate, pull_back
from .recorded import RecordedArray, TraceError

_NUMBERS = (float, int, bool)
Pullback = Callable[[np.ndarray], Sequence[Any]]

# Their results are true or false: nothing to differentiate, so they leave the record.
_QUESTIONS = {
    "greater", "greater_equal", "less", "less_equal", "equal", "not_equal", "logical_and", "logical_or",
    "logical_not", "isfinite", "isnan", "isinf",
}  # fmt: skip


class Tensor(RecordedArray):
    """An array of real numbers that remembers its history, for ``loss.backward()``.

    NumPy functions, operators and indexing work on Tensors mixed with arrays and numbers, and give Tensors. Comparisons
    give plain boolean arrays; ``if``, ``float(x)`` and ``x.value`` use the value and leave the record (so that an entry
    written into a plain array loses its gradient: use np.stack).

    Parameters
    ----------
    value : array_like
        Copied; float32 stays float32, integers and booleans become float64.
    requires_grad : bool
        Whether ``backward`` computes a gradient for this leaf.

    Attributes
    ----------
    value : ndarray
        The numbers. An optimiser may write into the value of a leaf, between one ``backward`` and the next use.
    grad : ndarray or None
        ∂L/∂value of a leaf, of its shape and dtype; ``backward`` adds to it, ``x.grad = None`` forgets it.
    requires_grad : bool
        For a result: whether it depends on a leaf that requires a gradient.

    Raises
    ------
    TypeError
        The value is not real numbers.
    """

    __slots__ = ("_parents", "_pullback", "grad", "requires_grad", "value")

    def __init__(self, value: Any, requires_grad: bool = True) -> None:
        self.value = _real(np.array(_value(value)))
        self.grad: np.ndarray | None = None
        self.requires_grad = bool(requires_grad)
        self._parents: tuple[Tensor, ...] = ()
        self._pullback: Pullback | None = None

    @classmethod
    def from_pullback(cls, value: Any, parents: Sequence[Tensor], pullback: Pullback | None) -> Tensor:
        """Make a Tensor from a value that was computed elsewhere, and the rule that pulls cotangents back.

        Parameters
        ----------
        value : array_like
            Not copied.
        parents : sequence of Tensor
            What the value was computed from.
        pullback : callable
            ``pullback(y_bar)``, with y_bar of the value's shape, returns one cotangent for each parent, of the parent's
            shape; None stands for zeros. It is called at most once in a ``backward``, and not at all if no parent
            requires a gradient; without parents it may be None.
        """
        y = cls.__new__(cls)
        y.value, y.grad = np.asarray(value), None
        y.requires_grad = any(x.requires_grad for x in parents)
        y._parents, y._pullback = (tuple(parents), pullback) if y.requires_grad else ((), None)
        return y

    @property
    def shape(self) -> tuple[int, ...]:  # type: ignore[override]
        """Shape of the value."""
        return self.value.shape

    @property
    def dtype(self) -> np.dtype:  # type: ignore[override]
        """Dtype of the value, float32 or float64."""
        return self.value.dtype

    # Reverse mode

    def backward(self, seed: Any = None) -> None:
        """Add ∂L/∂x to ``x.grad`` of every leaf x that L, this Tensor, was made from.

        Parameters
        ----------
        seed : array_like, optional
            Cotangent of this Tensor, of its shape: L = Σ seed · value. For a single number it may be left out and is 1.

        Raises
        ------
        ValueError
            The seed is missing or has another shape, or nothing here requires a gradient.
        """
        if not self.requires_grad:
            raise ValueError("backward of a Tensor that depends on no leaf with requires_grad=True")
        if seed is None and self.size != 1:
            raise ValueError(f"backward of shape {self.shape} needs a seed of that shape: pass one, or sum first")
        bar = np.array(np.ones(self.shape) if seed is None else _value(seed), self.dtype)
        if bar.shape != self.shape:
            raise ValueError(f"seed has shape {bar.shape}: expected {self.shape}")
        bars: dict[int, np.ndarray] = {id(self): bar}
        for y in reversed(self._history()):
            y_bar = bars.pop(id(y))
            if y._pullback is None:
                y.grad = y_bar.copy() if y.grad is None else y.grad + y_bar
                continue
            with np.errstate(all="ignore"):  # as on a tape; inf and nan are seen in the gradient
                x_bars = y._pullback(y_bar)
            for x, x_bar in zip(y._parents, x_bars, strict=True):
                if not x.requires_grad:
                    continue
                x_bar = _cotangent(x, x_bar)
                bars[id(x)] = bars[id(x)] + x_bar if id(x) in bars else x_bar

    def _history(self) -> list[Tensor]:
        """Tensors that this one depends on and that require a gradient, each after its parents."""
        order: list[Tensor] = []
        seen: set[int] = set()
        todo: list[tuple[Tensor, bool]] = [(self, False)]  # a list, not recursion: histories are long
        while todo:
            y, parents_done = todo.pop()
            if parents_done:
                order.append(y)
            elif id(y) not in seen:
                seen.add(id(y))
                todo.append((y, True))
                todo += [(x, False) for x in y._parents if x.requires_grad]
        return order

    # Recording

    def record_primitive(self, op: str, args: Sequence[Any], attrs: dict[str, Any]) -> Tensor:
        """Compute one primitive and remember its arguments."""
        args = [x if type(x) in _NUMBERS else self.lift(x) for x in args]
        if op in ELEMENTWISE:
            shape = np.broadcast_shapes(*(np.shape(x) for x in args))
            args = [x.broadcast(shape) if isinstance(x, Tensor) else x for x in args]
        values = [_value(x) for x in args]
        y = np.asarray(evaluate(op, values, attrs))
        which = [k for k, x in enumerate(args) if isinstance(x, Tensor) and x.requires_grad]
        rule = partial(_pull_back_some, which, op, y, values, attrs)
        return Tensor.from_pullback(y, [args[k] for k in which], rule)

    def lift(self, x: Any) -> Tensor:
        """Make a constant Tensor of a number or an array, one Tensor of an array of Tensors."""
        if isinstance(x, Tensor):
            return x
        if isinstance(x, RecordedArray):
            raise TraceError("a Tensor meets a traced array: pass it in theta, or use its .value")
        array = np.asarray(x)
        if array.dtype == object and isinstance(x, (list, tuple, np.ndarray)):
            return self.lift_entries(array)
        narrow = type(x) in _NUMBERS or array.dtype == bool  # as in NumPy, these do not widen float32
        return Tensor.from_pullback(_real(array, self.dtype if narrow else None), (), None)

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        if ufunc.__name__ in _QUESTIONS:
            return getattr(ufunc, method)(*(_value(x) for x in inputs), **kwargs)
        return super().__array_ufunc__(ufunc, method, *inputs, **kwargs)

    # The value

    def __bool__(self) -> bool:
        return bool(self.value)

    def __float__(self) -> float:
        return float(self.value.item())

    def __int__(self) -> int:
        return int(self.value.item())

    def __contains__(self, value: Any) -> bool:
        return _value(value) in self.value

    def __format__(self, spec: str) -> str:
        return format(float(self), spec) if spec else repr(self)

    def location(self) -> str:
        """Nothing: Python's traceback names the line."""
        return ""

    def refuse(self, what: str, advice: str) -> NoReturn:
        """Raise a `TraceError` that also says how to leave the record."""
        super().refuse(what, f"{advice}; the plain array is x.value")

    def __repr__(self) -> str:
        return f"Tensor({self.value!r}, requires_grad={self.requires_grad})"


def _value(x: Any) -> Any:
    return x.value if isinstance(x, Tensor) else x


def _real(array: np.ndarray, dtype: Any = None) -> np.ndarray:
    """Make float32 or float64 of real numbers."""
    if array.dtype.kind not in "fiub":
        raise TypeError(f"value has dtype {array.dtype}: a Tensor holds real numbers (join Tensors with np.stack)")
    keep = array.dtype if array.dtype in (np.float32, np.float64) else np.float64
    return array.astype(dtype or keep, copy=False)


def _pull_back_some(which, op, y, x, attrs, y_bar):
    """Cotangents of the arguments ``which`` of one primitive."""
    wanted = [k in which for k in range(len(x))]
    bars = pull_back(op, y_bar, y, x, attrs, wanted)
    return [bars[k] for k in which]


def _cotangent(x: Tensor, bar: Any) -> np.ndarray:
    """Check and cast what a pullback returned for x."""
    bar = np.zeros(x.shape, x.dtype) if bar is None else np.asarray(bar, x.dtype)
    if bar.shape != x.shape:
        raise ValueError(f"a pullback returned a cotangent of shape {bar.shape} for a parent of shape {x.shape}")
    return bar
