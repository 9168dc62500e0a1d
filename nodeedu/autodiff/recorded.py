"""Arrays that write down what is done to them, through NumPy's own protocols.

A user's function is plain NumPy. When it meets a `RecordedArray`, NumPy hands the call over (``__array_ufunc__`` and
``__array_function__``), and it becomes one or a few primitives. A traced array keeps a line of a tape, a `Tensor` keeps
its value; what both have in common is here.
"""

from __future__ import annotations

import inspect
from typing import NoReturn

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from .indexing import normalise, runs
from .primitives import ELEMENTWISE

LETTERS = "abcdefghijklmnopqrstuvwxyz"

UFUNCS = {
    "negative": "neg", "subtract": "sub", "multiply": "mul", "divide": "div", "true_divide": "div", "power": "pow",
    "float_power": "pow", "absolute": "abs", "fabs": "abs",
}  # fmt: skip

ADVICE = {
    "in place": "do not write into arrays: build a new one, `z = z + dz`, np.stack([...]) or np.concatenate([...])",
    "number": "use NumPy functions (np.sin, not math.sin), and np.stack([...]) or np.array([...]) "
    "instead of writing entries into an array",
    "if": "the function is recorded once, for all values: use np.where(condition, a, b), np.maximum or np.minimum "
    "(and np.stack([...]), not np.array([...]), for what these compare)",
    "index": "use integers, slices, None, or constant arrays of integers or booleans",
}


class TraceError(TypeError):
    """A function does something that cannot be recorded; the message names the line and the remedy."""


class RecordedArray(NDArrayOperatorsMixin):
    """What traced arrays and Tensors share: operators, NumPy functions, indexing.

    A subclass has ``shape`` and three methods: ``record_primitive(op, args, attrs)``, ``lift(x)`` (make x one of its
    kind) and ``location()`` (the user's line, for messages).
    """

    __slots__ = ()
    __array_priority__ = 1000
    shape: tuple[int, ...]
    dtype = np.dtype(float)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of entries."""
        return int(np.prod(self.shape))

    @property
    def T(self):
        """``np.transpose``."""
        return np.transpose(self)

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of a recorded array of shape (): it is a single number")
        return self.shape[0]

    def __iter__(self):
        return (self[i] for i in range(len(self)))

    def __hash__(self) -> int:
        return id(self)

    def __format__(self, spec: str) -> str:
        return repr(self)  # there may be no number to format; a print in a traced function should not end the trace

    def sum(self, axis=None, keepdims=False):
        """``np.sum``."""
        return np.sum(self, axis=axis, keepdims=keepdims)

    def mean(self, axis=None, keepdims=False):
        """``np.mean``."""
        return np.mean(self, axis=axis, keepdims=keepdims)

    def reshape(self, *shape):
        """``np.reshape``, the shape as one argument or several."""
        return np.reshape(self, shape[0] if len(shape) == 1 and not np.isscalar(shape[0]) else shape)

    def transpose(self, *axes):
        """``np.transpose``, the axes as one argument or several."""
        return np.transpose(self, axes[0] if len(axes) == 1 and not np.isscalar(axes[0]) else axes or None)

    def ravel(self):
        """``np.ravel``."""
        return np.reshape(self, -1)

    flatten = ravel

    def copy(self):
        """Return the array itself: it is never written to."""
        return self

    def dot(self, other):
        """``np.dot``."""
        return np.dot(self, other)

    # What cannot be recorded

    def refuse(self, what: str, advice: str) -> NoReturn:
        """Raise a `TraceError` that names the user's line."""
        raise TraceError(f"{what}{self.location()}: {advice}")

    def __getattr__(self, name: str):
        if name.startswith("_"):  # protocols that NumPy and Python look for
            raise AttributeError(name)
        raise AttributeError(f"a recorded array has no .{name}{self.location()}: {known()}")

    def __bool__(self) -> bool:
        self.refuse("a recorded value decides an `if`, `while`, `and`, max() or min()", ADVICE["if"])

    def __float__(self) -> float:
        self.refuse("a recorded value is turned into a plain number", ADVICE["number"])

    def __int__(self) -> int:
        self.refuse("a recorded value is turned into an integer", ADVICE["number"])

    __complex__, __index__ = __float__, __int__

    def __setitem__(self, index, value):
        self.refuse("an entry of a recorded array is written in place", ADVICE["in place"])

    def __contains__(self, value):
        self.refuse("`in` asks for the value of a recorded array", ADVICE["if"])

    # NumPy's protocols

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        name = ufunc.__name__
        out = kwargs.pop("out", None)
        # A number is not written to: `s += z[i]` gives s another value, as it does with plain numbers.
        if out is not None and not (isinstance(out[0], RecordedArray) and out[0].shape == ()):
            self.refuse(f"np.{name} writes its result in place (`+=` and the like)", ADVICE["in place"])
        if method == "reduce" and name == "add" and set(kwargs) <= {"axis", "keepdims"}:
            return np.sum(inputs[0], **{"axis": 0, **kwargs})
        if method != "__call__" or kwargs:
            keywords = f" with {', '.join(kwargs)}" if kwargs else ""
            self.refuse(f"np.{name}{'' if method == '__call__' else '.' + method}{keywords} is not recorded", known())
        if name in _functions():
            return _functions()[name](*inputs)
        op = UFUNCS.get(name, name)
        if op not in ELEMENTWISE:
            self.refuse(f"np.{name} is not in the table of primitives", known())
        return self.record_primitive(op, inputs, {})

    def __array_function__(self, func, types, args, kwargs):
        function = _functions().get(func.__name__)
        if function is None:
            self.refuse(f"np.{func.__name__} is not in the table of primitives", known())
        try:
            return function(*args, **kwargs)
        except TypeError:
            try:
                inspect.signature(function).bind(*args, **kwargs)
            except TypeError as mismatch:
                self.refuse(f"np.{func.__name__} is called with an argument that is not recorded", str(mismatch))
            raise

    # Indexing and broadcasting

    def __getitem__(self, index):
        index = index if isinstance(index, tuple) else (index,)
        if any(isinstance(i, RecordedArray) for i in index):
            self.refuse("a recorded array is used as an index", ADVICE["index"])
        if any(isinstance(i, (bool, np.bool_, list, np.ndarray)) for i in index):
            return self._take(index)
        if not all(i is None or i is Ellipsis or isinstance(i, (int, np.integer, slice)) for i in index):
            self.refuse(f"the index {index!r} is not recorded", ADVICE["index"])
        new_shape = np.empty(self.shape, bool)[index].shape  # NumPy itself checks the bounds
        if Ellipsis in index:
            k = index.index(Ellipsis)
            fill = self.ndim - sum(i is not None and i is not Ellipsis for i in index)
            index = index[:k] + (slice(None),) * fill + index[k + 1 :]
        plain = tuple(i for i in index if i is not None)
        plain += (slice(None),) * (self.ndim - len(plain))
        y = self.record_primitive("getitem", (self,), {"index": normalise(plain, self.shape)})
        return np.reshape(y, new_shape)

    def _take(self, index):
        """Index with constant integers or booleans: slices of the flattened array, put together again."""
        positions = np.arange(self.size).reshape(self.shape)[index]  # NumPy itself checks and sorts out the shapes
        flat = np.reshape(self, -1)
        pieces = [flat[run] for run in runs(positions.ravel())] or [flat[:0]]
        return np.reshape(np.concatenate(pieces), positions.shape)

    def broadcast(self, shape: tuple[int, ...]):
        """Repeat along new axes and axes of length 1, as an explicit primitive."""
        if self.shape == tuple(shape):
            return self
        letters = LETTERS[: len(shape)]
        own = letters[len(shape) - self.ndim :]
        target = shape[len(shape) - self.ndim :]
        kept = [c for c, n, m in zip(own, self.shape, target, strict=True) if n == m]
        lengths = tuple(n for n, m in zip(self.shape, target, strict=True) if n == m)
        x = np.reshape(self, lengths)
        return self.record_primitive("einsum", (x,), {"spec": f"{''.join(kept)}->{letters}", "shape": tuple(shape)})

    def lift_entries(self, array: np.ndarray):
        """Turn an object array, such as np.array([x, y]), into one recorded array."""
        return np.reshape(np.concatenate([np.reshape(self.lift(x), (1,)) for x in array.ravel()]), array.shape)


def _functions():
    from .numpy_functions import FUNCTIONS  # it needs the class above

    return FUNCTIONS


def known() -> str:
    """Say what the table of primitives knows."""
    hidden = {"neg", "sub", "mul", "div", "pow", "add", "sigmoid", "softplus"}
    names = sorted((set(ELEMENTWISE) | set(_functions())) - hidden)
    return f"known are + - * / ** @, indexing, np.{{{', '.join(names)}}}, sigmoid, softplus and relu of nodeedu"


def _method(name):
    def call(self):
        return self.record_primitive(name, (self,), {})

    call.__name__ = name
    call.__doc__ = f"``np.{name}``, which NumPy asks of the entries of an object array such as np.array([x, y])."
    return call


for _name in ("sqrt", "exp", "log", "sin", "cos", "tan", "arctan", "sinh", "cosh", "tanh"):
    setattr(RecordedArray, _name, _method(_name))
