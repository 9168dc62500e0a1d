"""PTX into C: the registers of a thread become variables of a function, labels stay labels, branches become ``goto``.

What the C code does where threads meet, and what it checks, is in `machine.h` and `schedule.h`. Next to it comes a
table of the instructions, for messages, and one of basic blocks: a block counts its visits, and instructions are summed
up afterwards.
"""

from __future__ import annotations

from collections import ChainMap, Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from nodeedu.cuda.proof.arithmetic import ARITHMETIC
from nodeedu.cuda.proof.bits import BITS
from nodeedu.cuda.proof.control import CONTROL
from nodeedu.cuda.proof.memory import MEMORY
from nodeedu.cuda.proof.ptx import Brace, Declaration, Function, Instruction, Item, Label, Module, PtxError
from nodeedu.cuda.proof.registers import C_TYPES, Scope, c_name, width

__all__ = ["Translation", "translate"]

EMITTERS = {**ARITHMETIC, **BITS, **MEMORY, **CONTROL}
_ENDS_BLOCK = ("bra", "brx", "call", "ret", "exit", "trap")
RED_ZONE = 64  # bytes after a variable that belong to none


@dataclass(frozen=True)
class Translation:
    """A kernel in C.

    Parameters
    ----------
    code : str
        The C program.
    sites : tuple of Instruction
        Instructions by the number that the program reports.
    blocks : tuple of Counter
        Opcodes of each basic block.
    variables : tuple of str
        Module variables, in the order of the program's table.
    parameters : tuple of Declaration
        Those of the kernel.
    stack : int
        Bytes that a thread's stack needs, a generous guess.
    """

    code: str
    sites: tuple[Instruction, ...]
    blocks: tuple[Counter[str], ...]
    variables: tuple[str, ...]
    parameters: tuple[Declaration, ...]
    stack: int


@cache
def _header(name: str) -> str:
    return (Path(__file__).parent / name).read_text(encoding="utf-8").replace('#include "arithmetic.h"', "")


class _Writer:
    """Collects the program; numbers instructions and basic blocks."""

    def __init__(self, module: Module) -> None:
        self.module = module
        self.lines: list[str] = []
        self.sites: list[Instruction] = []
        self.blocks: list[Counter[str]] = []
        self.variables: list[str] = []
        self.addresses: dict[str, str] = {}
        self.stack = 1 << 16

    def write_variables(self) -> None:
        """Module variables, each with a red zone, and a function that lists them with their shadows."""
        table = []
        for variable in self.module.variables:
            name, spaces = c_name(variable.name), {"global": "GLOBAL", "shared": "SHARED", "const": "CONSTANT"}
            size = width(variable.type) * abs(variable.count)
            bound = str(size) if variable.count else "dynamic"
            room = (size if variable.count else 1 << 16) + RED_ZONE
            initial = f".v = {variable.initial}" if variable.initial.startswith("{") else ""
            typed = f"{C_TYPES[variable.type]} v[{max(abs(variable.count), 1)}]"
            align = max(variable.align, 16)
            self.lines.append(
                f"static union {{ uint8_t room[{room}]; {typed}; }} {name} __attribute__((aligned({align})))"
                f"{f' = {{ {initial} }}' if initial else ''};"
            )
            shadow = "NULL"
            if variable.space == "shared":
                shadow = f"shadow_{name}"
                self.lines.append(f"static Shadow {shadow}[{room // 4 + 1}];")
            space = spaces[variable.space]
            table.append(f"  out[n++] = (Region){{{name}.room, {name}.room + {bound}, {shadow}, {space}}};")
            self.addresses[variable.name] = f"&{name}"
            self.variables.append(variable.name)
        self.lines += ["int variables(Region *out, uint64_t dynamic) {", "  int n = 0;", *table, "  return n;", "}"]

    def write_function(self, function: Function) -> None:
        scope = Scope(ChainMap({}), ChainMap({}, self.addresses), {}, function.tables)
        for group, name in ((function.results, "results"), (function.parameters, "parameters")):
            scope.parameters |= {one.name: f"{name}[{k}]" for k, one in enumerate(group)}
        self.lines += [_head(function) + " {", "  uint32_t CARRY = 0;"]
        body = function.body or ()
        positions = {item.name: k for k, item in enumerate(body) if isinstance(item, Label)}
        begins = True
        for k, item in enumerate(body):
            if isinstance(item, Instruction):
                if begins:
                    self.lines.append(f"  VISITS[{len(self.blocks)}]++;")
                    self.blocks.append(Counter())
                begins = item.parts[0] in _ENDS_BLOCK
                scope.backward = item.parts[0] == "bra" and positions.get(item.operands[0], k) <= k
                self.write_instruction(scope, item)
            else:
                begins = begins or isinstance(item, Label)
                self.write_item(scope, item)
        self.lines += ["}" if not scope.frame else "  ME->depth--;\n}"]

    def write_item(self, scope: Scope, item: Item) -> None:
        if isinstance(item, Label):
            self.lines.append(f" {c_name(item.name)}:;")
        elif isinstance(item, Brace):
            for names in (scope.registers, scope.addresses):
                names.maps[:] = [{}, *names.maps] if item.text == "{" else names.maps[1:]
            self.lines.append(item.text)
        elif isinstance(item, Declaration):
            self.lines.append("  " + self.declare(scope, item))

    def declare(self, scope: Scope, item: Declaration) -> str:
        if item.space == "reg":
            self.stack += 16 * len(item.registers())
            return scope.declare(item)
        size, name = width(item.type) * abs(item.count), c_name(item.name)
        self.stack += size + 256
        text = f"uint8_t {name}[{size}] __attribute__((aligned({max(item.align, 16)})));"
        if item.space == "param":
            scope.parameters[item.name] = name
            return text
        scope.addresses[item.name] = name
        if scope.frame:
            raise PtxError(f"a second block of local memory, {item.name}, is not known")
        scope.frame = name
        return f"{text} enter({name}, {size}, 0);"

    def write_instruction(self, scope: Scope, item: Instruction) -> None:
        scope.site = len(self.sites)
        self.sites.append(item)
        self.blocks[-1][item.opcode] += 1
        emitter = EMITTERS.get(item.parts[0])
        if emitter is None:
            raise PtxError(f"unknown instruction {item.opcode!r} in line {item.line} of the PTX: {item.text()}")
        try:
            text = emitter(scope, item)
        except (PtxError, KeyError, IndexError, StopIteration, ValueError) as error:
            raise PtxError(f"instruction {item.text()!r}, line {item.line} of the PTX: {error}") from error
        self.lines.append(f"  if ({scope.read(item.guard, 'pred')}) {text}" if item.guard else f"  {text}")


def _head(function: Function) -> str:
    name = "kernel" if function.entry else c_name(function.name)
    return f"static void {name}(uint8_t *const *results, uint8_t *const *parameters)"


def translate(module: Module) -> Translation:
    """Translate a kernel and the functions that it calls.

    Raises
    ------
    PtxError
        If an instruction is not known; the message names it.
    """
    writer = _Writer(module)
    writer.write_variables()
    bodies = [function for function in module.functions if function.body is not None]
    known = {function.name for function in bodies}
    for function in module.functions:
        if function.name not in known:
            raise PtxError(f"PTX: {function.name} is called, but has no body")
    writer.lines += [_head(function) + ";" for function in bodies]
    for function in bodies:
        writer.write_function(function)
    count = f"enum {{ BLOCKS = {len(writer.blocks)} }};\nuint64_t VISITS[BLOCKS];\n"
    code = [_header("arithmetic.h"), _header("machine.h"), count, *writer.lines, _header("schedule.h")]
    return Translation(
        "\n".join(code),
        tuple(writer.sites),
        tuple(writer.blocks),
        tuple(writer.variables),
        module.entry.parameters,
        writer.stack,
    )
