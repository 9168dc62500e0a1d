"""Reads PTX, the assembly of NVIDIA's virtual machine, into a structure. Nothing is interpreted here.

The grammar is the part of the PTX ISA that libnvvm writes: module variables, functions with parameters, and bodies of
instructions, labels, declarations, and scopes in braces. Directives for debuggers are skipped, except `.loc`, which
says which line of Python an instruction comes from.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

__all__ = ["Brace", "Declaration", "Function", "Instruction", "Item", "Label", "Module", "PtxError", "parse"]


class PtxError(ValueError):
    """PTX that is not understood; the message says which line."""


@dataclass(frozen=True)
class Declaration:
    """A variable, a parameter or a range of registers: ``.shared .align 8 .b8 name[64]`` or ``.reg .f64 %fd<9>``.

    ``count`` is the number of elements, or of registers of the range; 0 for an array of unknown length, -1 for a
    scalar.
    """

    space: str
    type: str
    name: str
    count: int = -1
    align: int = 0
    initial: str = ""

    def registers(self) -> list[str]:
        """Return the names of the registers of a range."""
        return [self.name] if self.count < 0 else [f"{self.name}{k}" for k in range(self.count)]


@dataclass(frozen=True)
class Instruction:
    """``@!guard opcode operands;`` with its line in the PTX, and the file and line of Python that it comes from."""

    opcode: str
    operands: tuple[str, ...]
    guard: str
    line: int
    source: tuple[str, int]

    @property
    def parts(self) -> tuple[str, ...]:
        """The opcode and its qualifiers."""
        return tuple(self.opcode.split("."))

    def text(self) -> str:
        """Return it as PTX."""
        return f"{'@' + self.guard + ' ' if self.guard else ''}{self.opcode} {', '.join(self.operands)}".strip()


@dataclass(frozen=True)
class Label:
    """A place to branch to."""

    name: str


@dataclass(frozen=True)
class Brace:
    """Begin or end of a scope."""

    text: str


Item = Instruction | Label | Brace | Declaration


@dataclass(frozen=True)
class Function:
    """A kernel (``entry``) or a function; ``body`` is None if it is only declared."""

    name: str
    entry: bool
    results: tuple[Declaration, ...]
    parameters: tuple[Declaration, ...]
    body: tuple[Item, ...] | None
    tables: dict[str, tuple[str, ...]] = field(default_factory=dict)  # targets of brx.idx


@dataclass(frozen=True)
class Module:
    """What one PTX file holds."""

    target: str
    variables: tuple[Declaration, ...]
    functions: tuple[Function, ...]

    @property
    def entry(self) -> Function:
        """The kernel."""
        entries = [function for function in self.functions if function.entry]
        if len(entries) != 1:
            raise PtxError(f"PTX: got {len(entries)} kernels, expected one")
        return entries[0]


_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
_TOKEN = re.compile(
    r"""(?P<space>\s+|;)
      | (?P<section>\.section\s+\S+\s*\{[^}]*\})
      | (?P<line>\.(?:version|target|address_size|file|loc)\b[^\n]*)
      | (?P<brace>[{}])
      | (?P<label>[\w$]+\s*:(?!:))
      | (?P<function>(?:\.(?:visible|weak|extern|common)\s+)*\.(?:entry|func)\b[^;{]*)
      | (?P<statement>[^;]+);""",
    re.VERBOSE,
)
_VARIABLE = re.compile(
    r"""(?:\.(?:visible|weak|extern|common|attribute\([^)]*\))\s+)*
        \.(?P<space>global|shared|const|local|param|reg)\s+
        (?:\.align\s+(?P<align>\d+)\s+)?
        (?:\.v[24]\s+)?\.(?P<type>\w+)\s+
        (?:\.ptr\s+(?:\.\w+\s+)*?(?:\.align\s+\d+\s+)?)?
        (?P<name>[%\w$]+)
        (?:\[(?P<count>\d*)\]|<(?P<range>\d+)>)?
        (?:\s*=\s*(?P<initial>.+))?$""",
    re.VERBOSE | re.DOTALL,
)
_FUNCTION = re.compile(r"\.(entry|func)\s*(?:\(([^)]*)\))?\s*([\w$]+)\s*(?:\(([^)]*)\))?")


def parse(text: str) -> Module:
    """Read a PTX file.

    Raises
    ------
    PtxError
        If a line is not understood.
    """
    files = {number: name for number, name in re.findall(r'\.file\s+(\d+)\s+"([^"]*)"', text)}
    tokens = list(_tokens(_COMMENT.sub(lambda found: "\n" * found[0].count("\n"), text)))
    target, variables, functions, k = "", [], [], 0
    while k < len(tokens):
        kind, word, line = tokens[k]
        if kind == "function":
            function, k = _function(tokens, k, files)
            functions.append(function)
            continue
        if kind == "line" and word.startswith(".target"):
            target = word.split()[1].rstrip(",")
        elif kind == "statement":
            variables.append(_declaration(word, line))
        k += 1
    return Module(target, tuple(variables), tuple(functions))


def _tokens(text: str) -> Iterator[tuple[str, str, int]]:
    """Yield (kind, text, line number)."""
    position, line = 0, 1
    while position < len(text):
        found = _TOKEN.match(text, position)
        if found is None:
            raise PtxError(f"PTX, line {line}: not understood: {text[position : position + 60]!r}")
        kind = str(found.lastgroup)
        if kind not in ("space", "section"):
            blank = len(found[0]) - len(found[0].lstrip())
            yield kind, " ".join(found[kind].split()), line + found[0].count("\n", 0, blank)
        line += found[0].count("\n")
        position = found.end()


def _declaration(statement: str, line: int) -> Declaration:
    found = _VARIABLE.match(statement)
    if found is None:
        raise PtxError(f"PTX, line {line}: not understood: {statement[:80]!r}")
    count = found["count"] if found["count"] is not None else found["range"]
    return Declaration(
        found["space"],
        found["type"],
        found["name"],
        -1 if count is None else int(count or 0),
        int(found["align"] or 0),
        found["initial"] or "",
    )


def _declarations(statement: str, line: int) -> list[Declaration]:
    """Read ``.reg .b32 a, b`` as two declarations."""
    first, *others = split(statement)
    head = first.rsplit(" ", 1)[0]
    return [_declaration(one, line) for one in (first, *(f"{head} {name}" for name in others))]


def _function(tokens: list[tuple[str, str, int]], k: int, files: dict[str, str]) -> tuple[Function, int]:
    """Read the function whose head is token k; return it and the number of the token after it."""
    _, head, line = tokens[k]
    found = _FUNCTION.search(head)
    if found is None:
        raise PtxError(f"PTX, line {line}: not understood: {head[:80]!r}")
    results, parameters = (
        tuple(_declaration(one.strip(), line) for one in (text or "").split(",") if one.strip())
        for text in (found[2], found[4])
    )
    kind, name = found[1], found[3]
    if k + 1 >= len(tokens) or tokens[k + 1][1] != "{":
        return Function(name, kind == "entry", results, parameters, None), k + 1
    body: list[Item] = []
    tables: dict[str, tuple[str, ...]] = {}
    depth, k, source = 1, k + 2, ("", 0)
    while True:
        what, word, line = tokens[k]
        k += 1
        if what == "brace":
            depth += 1 if word == "{" else -1
            if depth == 0:
                return Function(name, kind == "entry", results, parameters, tuple(body), tables), k
            body.append(Brace(word))
        elif what == "line":
            source = _source(word, files, source)
        elif what == "label":
            _label(word.rstrip(": "), tokens, k, body, tables)
        elif word.startswith((".reg", ".local", ".param", ".shared")):
            body += _declarations(word, line)
        elif not word.startswith("."):
            body.append(_instruction(word, line, source))


def _source(word: str, files: dict[str, str], before: tuple[str, int]) -> tuple[str, int]:
    """Return file and line of a `.loc`; line 0 is what the compiler made up: it belongs to the line before."""
    parts = word.replace(",", " ").split()
    if parts[0] != ".loc" or parts[2] == "0":
        return before
    return files.get(parts[1], ""), int(parts[2])


def _label(
    name: str, tokens: list[tuple[str, str, int]], k: int, body: list[Item], tables: dict[str, tuple[str, ...]]
) -> None:
    """Take up a label, or a named list of them: ``name: .branchtargets a, b;``."""
    following = tokens[k][1] if k < len(tokens) else ""
    if following.startswith(".branchtargets"):
        tables[name] = tuple(one.strip() for one in following.removeprefix(".branchtargets").split(","))
    else:
        body.append(Label(name))


def _instruction(statement: str, line: int, source: tuple[str, int]) -> Instruction:
    guard = ""
    if statement.startswith("@"):
        guard, _, statement = statement[1:].partition(" ")
    opcode, _, rest = statement.strip().partition(" ")
    return Instruction(opcode, tuple(split(rest)), guard, line, source)


def split(text: str) -> list[str]:
    """Split operands at commas that are in no bracket."""
    parts, depth, begin = [], 0, 0
    for k, character in enumerate(text):
        depth += (character in "{[(") - (character in "}])")
        if character == "," and depth == 0:
            parts.append(text[begin:k].strip())
            begin = k + 1
    return parts + ([text[begin:].strip()] if text[begin:].strip() else [])
