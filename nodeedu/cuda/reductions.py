"""Sums over threads without atomics: each warp adds up in registers and keeps a sum of its own in shared memory.

A gradient kernel adds to p_bar, entry by entry, for the samples that it is given. On a GPU every thread has a sample,
and all add to the same entries. `gradient_function` therefore makes another kernel of the same source, in which every
``p_bar[i] += v`` is ``add(p_bar, i, v)``:

    1. 5 shuffles add the values of a warp's 32 threads; its first thread adds the sum to a row of shared memory that
       belongs to the warp
    2. at the end, the rows of a block's warps are added, in order, to one row of the block in global memory
    3. a second kernel adds the rows of the blocks, in order

No two threads ever write to the same place: the result does not depend on who comes first, to the last bit. In the
simulator, which has no shuffles, a warp is one thread.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from typing import Any

from nodeedu.cuda.device import Target, cuda, device_forms, rebind, unchanged

__all__ = ["any_running", "gradient_function", "make_add", "make_atomic_add", "sum_rows", "warp_size"]

ALL = 0xFFFFFFFF  # lanes of a warp
ADD = "add_to_gradient"


def warp_size(target: Target) -> int:
    """Return how many threads share a row of the gradient."""
    return 1 if target.core is unchanged else 32


def make_add(target: Target) -> Any:
    """Make ``add(row, i, value)``: add a number of every thread of a warp to row[i], which belongs to the warp."""
    if target.core is unchanged:
        return _add_own

    def add(row: Any, i: Any, value: Any) -> None:
        total = value
        for distance in (16, 8, 4, 2, 1):
            total += cuda.shfl_xor_sync(ALL, total, distance)
        if cuda.laneid == 0:
            row[i] += total

    return target.core(add)


def make_atomic_add(target: Target) -> Any:
    """Make ``add(row, i, value)`` by atomics on a row that a whole block shares: the counter-example.

    GPUs have no instruction that adds to a float in shared memory. What looks like one is a loop: read, add, compare
    and swap, and again if another thread was faster. With 32 threads that want to, the last one goes round 32 times.
    """
    if target.core is unchanged:
        return _add_own

    def add(row: Any, i: Any, value: Any) -> None:
        cuda.atomic.add(row, i, value)

    return target.core(add)


def _add_own(row: Any, i: Any, value: Any) -> None:
    row[i] += value


def any_running(target: Target) -> Any:
    """Make ``any_running(flag)``: whether the flag of any thread of the warp is set."""
    if target.core is unchanged:
        return unchanged

    def anyone(flag: Any) -> Any:
        return cuda.any_sync(ALL, flag)

    return target.core(anyone)


def gradient_function(function: Any, target: Target, add: Any) -> Any:
    """Return the array function of a field's ``vjp`` or ``vjp_theta`` for the target, with ``add`` for ``p_bar +=``.

    Parameters
    ----------
    function : callable
        Of the field.
    target : Target
        Where it runs.
    add : callable
        ``add(row, i, value)``.
    """
    return _rewritten(function, frozenset({"p_bar"}), target, add)


def _rewritten(function: Any, marked: frozenset[str], target: Target, add: Any) -> Any:
    plain = inspect.unwrap(getattr(function, "py_func", function))
    tree = ast.parse(textwrap.dedent(inspect.getsource(plain)))
    rewriter = _Rewriter(set(marked))
    definition = rewriter.visit(tree).body[0]
    definition.decorator_list = []
    names = dict(plain.__globals__)
    exec(compile(ast.fix_missing_locations(tree), plain.__code__.co_filename, "exec"), names)
    others = dict(device_forms(target))
    for name, places in rewriter.calls.items():
        if hasattr(names.get(name), "py_func"):
            arguments = inspect.signature(names[name].py_func).parameters
            inner = frozenset(each for k, each in enumerate(arguments) if k in places)
            others[name] = _rewritten(names[name], inner, target, add)
    return rebind(names[plain.__name__], target.core, **(others | {ADD: add}))


class _Rewriter(ast.NodeTransformer):
    """Replaces ``x[i] += v`` where x is p_bar, or a part of it."""

    def __init__(self, marked: set[str]) -> None:
        self.marked = marked
        self.calls: dict[str, set[int]] = {}  # of functions that are given p_bar: at which places

    def visit_Assign(self, node: ast.Assign) -> ast.AST:
        """Mark names of parts of what is marked."""
        self.generic_visit(node)
        if self._mentions(node.value):
            for target in node.targets:
                self.marked |= {each.id for each in ast.walk(target) if isinstance(each, ast.Name)}
        return node

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.AST:
        """Replace the statement."""
        self.generic_visit(node)
        place = node.target
        if not (isinstance(node.op, ast.Add) and isinstance(place, ast.Subscript) and self._mentions(place.value)):
            return node
        row = place.value
        return ast.Expr(ast.Call(ast.Name(ADD, ast.Load()), [row, place.slice, node.value], []))

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """Note which functions are given what is marked."""
        self.generic_visit(node)
        places = {k for k, each in enumerate(node.args) if self._mentions(each)}
        if places and isinstance(node.func, ast.Name):
            self.calls.setdefault(node.func.id, set()).update(places)
        return node

    def _mentions(self, node: ast.AST) -> bool:
        """Whether the value is an array that is marked, or a part of it: ``x``, ``x[2:5]``, ``leaves(x)``."""
        if isinstance(node, ast.Subscript):
            return self._mentions(node.value)
        if isinstance(node, ast.Call):
            return any(map(self._mentions, node.args)) or self._mentions(node.func)
        if isinstance(node, ast.Attribute):
            return self._mentions(node.value)
        return isinstance(node, ast.Name) and node.id in self.marked


def sum_rows(rows: Any, total: Any) -> None:
    """Add up rows (n, P), a thread for each column: the kernel of the second pass."""
    q = cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x
    if q < total.shape[0]:
        total[q] = 0
        for k in range(rows.shape[0]):
            total[q] += rows[k, q]

