"""The array functions of a field, rewritten for a thread, which has one sample.

    p_bar[i] += v           add(p_bar, i, v)                a sum over threads, see reductions.py
    for b in range(n):      b = 0                           one sample
    for j in range(50):     j = 0, while j < 50:            one counter, which the compiler sees not to be negative:
                                                            Numba's own loop keeps three, of two registers each
    w = p[7]                p[7] where w was                read when it is wanted, not ahead of the loop before

The last three spare registers; the simulator, which has no lack of them, runs what the CPU runs. Loops of float32 stay
as they are: of one that it knows the length of, the assembler for sm_80 writes out all rounds, and loads ahead for all.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections import Counter
from typing import Any

import numpy as np

from nodeedu.cuda.device import Target, device_forms, rebind, unchanged

__all__ = ["field_function", "gradient_function"]

ADD = "add_to_gradient"


def field_function(function: Any, target: Target, real: Any = np.float64) -> Any:
    """Return the array function of a field's ``f`` or ``vjp_z`` for one sample on the target."""
    return _rewritten(function, frozenset(), target, unchanged, real)


def gradient_function(function: Any, target: Target, add: Any, real: Any = np.float64) -> Any:
    """Return the array function of a field's ``vjp`` or ``vjp_theta`` for the target, with ``add`` for ``p_bar +=``.

    Parameters
    ----------
    function : callable
        Of the field.
    target : Target
        Where it runs.
    add : callable
        ``add(row, i, value)``.
    real : dtype
        Of the kernel.
    """
    return _rewritten(function, frozenset({"p_bar"}), target, add, real)


def _rewritten(function: Any, marked: frozenset[str], target: Target, add: Any, real: Any) -> Any:
    plain = inspect.unwrap(getattr(function, "py_func", function))
    tree, sums = ast.parse(textwrap.dedent(inspect.getsource(plain))), _Sums(set(marked))
    tree = sums.visit(tree)
    if target.core is not unchanged:
        tree = _Short(_parameters(tree), np.dtype(real) == np.float64).visit(tree)
    definition = tree.body[0]
    definition.decorator_list = []
    names = dict(plain.__globals__)
    exec(compile(ast.fix_missing_locations(tree), plain.__code__.co_filename, "exec"), names)
    others = dict(device_forms(target))
    for name, places in sums.calls.items():
        if hasattr(names.get(name), "py_func"):
            arguments = inspect.signature(names[name].py_func).parameters
            inner = frozenset(each for k, each in enumerate(arguments) if k in places)
            others[name] = _rewritten(names[name], inner, target, add, real)
    return rebind(names[plain.__name__], target.core, **(others | {ADD: add}))


class _Sums(ast.NodeTransformer):
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


def _parameters(tree: ast.AST) -> dict[str, ast.Subscript]:
    """Return names that stand for one entry of p throughout, and what they stand for."""
    names = (each for each in ast.walk(tree) if isinstance(each, ast.Name))
    stored, found = Counter(each.id for each in names if isinstance(each.ctx, ast.Store)), {}
    for each in ast.walk(tree):
        match each:
            case ast.Assign([ast.Name(name)], ast.Subscript(ast.Name("p"), ast.Constant()) as entry):
                if stored[name] == 1:
                    found[name] = entry
    return found


class _Short(ast.NodeTransformer):
    """Replaces loops and names of entries of p."""

    def __init__(self, parameters: dict[str, ast.Subscript], counts: bool) -> None:
        self.parameters, self.counts = parameters, counts

    def visit_Assign(self, node: ast.Assign) -> ast.AST | None:
        """Drop the name of an entry of p."""
        match node.targets:
            case [ast.Name(name)] if name in self.parameters:
                return None
        return self.generic_visit(node)

    def visit_Name(self, node: ast.Name) -> ast.AST:
        """Put the entry in the place of its name."""
        return self.parameters.get(node.id, node)

    def visit_For(self, node: ast.For) -> ast.AST | list[ast.stmt]:
        """Replace the loop over samples, and loops whose length is a number."""
        self.generic_visit(node)
        match node.target, node.iter:
            case ast.Name(name), ast.Call(ast.Name("range"), [ast.Name("n")]):
                return [_set(name, 0), *node.body]
            case ast.Name(name), ast.Call(ast.Name("range"), [ast.Constant(count)]) if self._may_count(node):
                test = ast.Compare(ast.Name(name, ast.Load()), [ast.Lt()], [ast.Constant(count)])
                step = ast.AugAssign(ast.Name(name, ast.Store()), ast.Add(), ast.Constant(1))
                return [_set(name, 0), ast.While(test, [*node.body, step], [])]
        return node


    def _may_count(self, node: ast.For) -> bool:
        return self.counts and not any(isinstance(each, ast.Continue) for each in ast.walk(node))


def _set(name: str, value: int) -> ast.stmt:
    return ast.Assign([ast.Name(name, ast.Store())], ast.Constant(value))
