"""Mutants of the ledger's right sides, made mechanically from their source: what the checks must catch.

A check that nothing can fail proves nothing. Every operator below is applied at every place of every ``rhs=`` lambda in
a file of equations; a mutant is caught if its equation no longer holds on one of the problems.

    sign         u + v -> u - v, u - v -> u + v, -u -> u
    term         u + v -> u, u + v -> v, u * v -> u, u * v -> v, u @ v -> u, u @ v -> v, u / v -> u
    order        u @ v -> v @ u
    number       c -> c + 1, c -> 2 c
    transpose    u -> u.T, for matrices
    limit        a time of the path -> another one, g(x, y) -> g(y, x) of two times
    index        x[i] -> x[i + 1], x[i] -> x[i - 1], g(P, eps) -> g(P)
"""

from __future__ import annotations

import ast
import copy
import inspect
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from ..problem import Problem
from . import paths
from .equation import Equation, Side, judge
from .ledger import modules

# Mutants that are the same equation written otherwise, with the proof.
EQUIVALENT = {
    "a6 sign: z + h * P.f(t, z) -> (z) - (h * P.f(t, z))": "the two steps in the other order: the same at -h",
    "b5 transpose: eye(P) -> _transposed(eye(P))": "the identity is its own transpose",
    "g2 transpose: eye(P) -> _transposed(eye(P))": "the identity is its own transpose",
    "g3 transpose: eye(P) -> _transposed(eye(P))": "the identity is its own transpose",
    "l4 transpose: eye(P) -> _transposed(eye(P))": "the identity is its own transpose",
    "h4 sign: i + j -> (i) - (j)": "they differ by 2 j, which is even",
    "h9 order: J(P) @ J(P) -> _swapped((J(P)), (J(P)))": "both factors are the same",
    "j2 transpose: S -> _transposed(S)": "S is its own transpose",
    "j4 transpose: S -> _transposed(S)": "S is its own transpose",
    "n11 order: G(P) @ F(P) -> _swapped((G(P)), (F(P)))": "tr(G F) = tr(F G)",
}
_TIMES = ("ends(P)[0]", "ends(P)[1]", "middle(P)")


class NotAMutant(Exception):
    """The change changes nothing, as the transpose of what is no matrix, or makes a call that cannot be made."""


@dataclass(frozen=True)
class Mutant:
    """A right side with one mistake.

    Parameters
    ----------
    equation : Equation
        The right one.
    change : str
        What was done: operator, and the source before and after.
    rhs : callable
    """

    equation: Equation
    change: str
    rhs: Side


def transposed(x: Any) -> Any:
    """Return ``x.T`` of a matrix; raise NotAMutant for anything else."""
    if not isinstance(x, np.ndarray) or x.ndim != 2 or x.shape == (1, 1):
        raise NotAMutant
    return x.T


def swapped(x: Any, y: Any) -> Any:
    """Return ``y @ x``; raise NotAMutant for vectors, whose product does not ask for the order."""
    if np.ndim(x) == np.ndim(y) == 1:
        raise NotAMutant
    return y @ x


def mutants(module: ModuleType, labels: Collection[str] | None = None) -> Iterator[Mutant]:
    """Yield all mutants of a file of equations, or those of some."""
    equations = {equation.label: equation for equation in module.EQUATIONS}
    for label, body in _right_sides(ast.parse(inspect.getsource(module))):
        for change, tree in _changes(body) if labels is None or label in labels else ():
            if f"{label} {change}" not in EQUIVALENT:
                yield Mutant(equations[label], change, _compile(tree, module))


def survives(mutant: Mutant, problems: tuple[Problem, ...]) -> bool:
    """Whether no problem tells the mutant from the truth; NotAMutant if it is none.

    A mutant that cannot be evaluated, because its shapes do not fit, is caught.
    """
    for problem in problems:
        try:
            if not judge(mutant.equation, problem, mutant.rhs).sharp:
                return False
        except (NotAMutant, TypeError) as error:  # an argument that may not be left out
            raise NotAMutant from error
        except Exception:
            return False
    return True


@dataclass(frozen=True)
class Tally:
    """What became of mutants.

    Parameters
    ----------
    made, caught : int
    survivors : tuple of str
        Label and change of those that were not caught.
    """

    made: int
    caught: int
    survivors: tuple[str, ...]

    @property
    def share(self) -> float:
        """Share of the mutants that were caught."""
        return self.caught / self.made if self.made else 1.0

    def __str__(self) -> str:
        return "\n".join([f"{self.caught} of {self.made} mutants caught.", *(f"survives: {x}" for x in self.survivors)])


def tally(equations: Sequence[Equation], problems: tuple[Problem, ...]) -> Tally:
    """Make all mutants of equations, and count those that are caught on some problem."""
    chosen, made, survivors = {equation.label for equation in equations}, 0, []
    for mutant in (mutant for module in modules() for mutant in mutants(module, chosen)):
        try:
            if survives(mutant, problems):
                survivors.append(f"{mutant.equation.label} {mutant.change}")
            made += 1
        except NotAMutant:
            continue
    return Tally(made, made - len(survivors), tuple(survivors))


def _right_sides(tree: ast.Module) -> Iterator[tuple[str, ast.Lambda]]:
    """Find label and right side in every ``Equation("b5", ..., rhs=lambda P, h: ...)``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Equation":
            (rhs,) = (keyword.value for keyword in node.keywords if keyword.arg == "rhs")
            if isinstance(rhs, ast.Lambda):
                yield ast.literal_eval(node.args[0]), rhs


def _changes(body: ast.Lambda) -> Iterator[tuple[str, ast.Lambda]]:
    """Apply every operator at every place."""
    of_times = {id(node.slice) for node in _places(body) if ast.unparse(node) in _TIMES and hasattr(node, "slice")}
    for i, node in enumerate(_places(body)):
        before = ast.unparse(node)
        for operator, replacement in _replacements(node):
            if operator == "number" and id(node) in of_times:
                continue  # that is a limit
            tree = copy.deepcopy(body)
            new = ast.parse(replacement, mode="eval").body
            yield f"{operator}: {before} -> {replacement}", _replace(tree, _places(tree)[i], new)


def _places(body: ast.Lambda) -> list[ast.expr]:
    """Return the expressions of a right side that have a value."""
    expressions = [node for node in ast.walk(body.body) if isinstance(node, ast.expr)]
    return [node for node in expressions if not isinstance(getattr(node, "ctx", None), ast.Store)]


def _replace(tree: ast.Lambda, target: ast.expr, new: ast.expr) -> ast.Lambda:
    class Exchange(ast.NodeTransformer):
        def visit(self, node: ast.AST) -> Any:
            return new if node is target else self.generic_visit(node)

    return Exchange().visit(tree)


def _compile(tree: ast.Lambda, module: ModuleType) -> Side:
    code = ast.fix_missing_locations(ast.Expression(tree))
    names = {**vars(paths), **vars(module), "_transposed": transposed, "_swapped": swapped}
    return eval(compile(code, f"<mutant of {module.__name__}>", "eval"), names)


def _replacements(node: ast.expr) -> Iterator[tuple[str, str]]:
    """Yield (operator, source that takes the place of this expression)."""
    text = ast.unparse(node)
    if isinstance(node, ast.BinOp):
        yield from _of_operation(node)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        yield "sign", ast.unparse(node.operand)
    value: Any = getattr(getattr(node, "slice", node), "value", None)
    if isinstance(node, ast.Constant) and type(value) in (int, float):
        yield "number", repr(value + 1)
        if value != 1:  # else the same as the one before
            yield "number", repr(2 * value) if value else "-1"
    if isinstance(node, ast.Subscript) and type(value) is int and text not in _TIMES:
        yield from (("index", f"{ast.unparse(node.value)}[{i}]") for i in (value + 1, value - 1))
    if text in _TIMES:
        yield from (("limit", time) for time in _TIMES if time != text)
    if isinstance(node, ast.Call):
        yield from _of_call(node)
    if isinstance(node, (ast.Call, ast.Name, ast.Attribute)) and not text.startswith(("P", "np")):
        yield "transpose", f"_transposed({text})"


def _of_operation(node: ast.BinOp) -> Iterator[tuple[str, str]]:
    left, right = f"({ast.unparse(node.left)})", f"({ast.unparse(node.right)})"
    match node.op:
        case ast.Add():
            yield from [("sign", f"{left} - {right}"), ("term", left), ("term", right)]
        case ast.Sub():
            yield from [("sign", f"{left} + {right}"), ("term", left), ("term", f"-{right}")]
        case ast.Mult():
            yield from [("term", left), ("term", right)]
        case ast.Div():
            yield "term", left
        case ast.MatMult():
            yield from [("order", f"_swapped({left}, {right})"), ("term", left), ("term", right)]


def _of_call(node: ast.Call) -> Iterator[tuple[str, str]]:
    """Swap two times that stand side by side; leave out a last argument that may be."""
    arguments, name = [ast.unparse(argument) for argument in node.args], ast.unparse(node.func)
    for i in range(len(arguments) - 1):
        if all(_is_time(text) for text in arguments[i : i + 2]):
            swapped = arguments[:i] + arguments[i : i + 2][::-1] + arguments[i + 2 :]
            yield "limit", f"{name}({', '.join(swapped)})"
    if len(arguments) == 2 and arguments[0] == "P" and not _is_time(arguments[1]):
        yield "index", f"{name}(P)"


def _is_time(text: str) -> bool:
    return any(text.startswith(time) for time in _TIMES)
