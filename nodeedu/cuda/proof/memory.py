"""Loads, stores and atomics: PTX instructions as C statements. Every address is checked before it is used."""

from __future__ import annotations

import re

from nodeedu.cuda.proof.arithmetic import Emitter, unsigned
from nodeedu.cuda.proof.bits import elements
from nodeedu.cuda.proof.ptx import Instruction, PtxError
from nodeedu.cuda.proof.registers import C_TYPES, Scope, is_float, width

__all__ = ["MEMORY", "space_of"]

_SPACES = {"global": "GLOBAL", "shared": "SHARED", "const": "CONSTANT", "generic": "ANY"}
# How memory is cached, and what other threads see when, has no counterpart where one thread runs at a time.
_IGNORED = re.compile(
    r"volatile|relaxed|acquire|release|acq_rel|weak|cta|cluster|gpu|sys|nc|c[agsvw]|L[12]::.*|wb|wt|lu"
)


def space_of(instruction: Instruction) -> str:
    """Return the space that a load, store or atomic names; "generic" if none."""
    named = [one.partition("::")[0] for one in instruction.parts[1:]]
    return next((one for one in named if one in ("global", "shared", "const", "local", "param")), "generic")


def _lanes(instruction: Instruction, known: set[str]) -> int:
    """Return how many elements are moved at once; raise PtxError if a qualifier is not known."""
    lanes = 1
    for part in instruction.parts[1:-1]:
        if part in ("v2", "v4", "v8"):
            lanes = int(part[1:])
        elif part.partition("::")[0] not in (*_SPACES, "local", "param", *known) and not _IGNORED.fullmatch(part):
            raise PtxError(f"unknown qualifier .{part}")
    return lanes


def _pointer(scope: Scope, instruction: Instruction, operand: str, size: int, align: int, how: str) -> str:
    """Return the checked address as an expression of type ``void *``."""
    space, address = space_of(instruction), scope.address(operand)
    if space == "local":
        return f"reach_local({address}, {size}, {align}, {how}, {scope.site})"
    # The hint is a variable of the instruction: mostly it meets the same array again.
    hint = "({ static uint32_t hint_; &hint_; })"
    return f"reach({address}, {size}, {align}, {_SPACES[space]}, {how}, {scope.site}, {hint})"


def _parameter(scope: Scope, operand: str) -> str:
    """Return the address of a parameter, of the kernel's or of a call's."""
    found = re.fullmatch(r"\[([\w$]+)(?:\+(\d+))?\]", operand.replace(" ", ""))
    if found is None or found[1] not in scope.parameters:
        raise PtxError(f"parameter {operand} is not known")
    return f"((uint8_t *)({scope.parameters[found[1]]}) + {found[2] or 0})"


def _load(scope: Scope, instruction: Instruction) -> str:
    kind, targets = instruction.parts[-1], elements(instruction.operands[0])
    lanes, c = _lanes(instruction, set()), C_TYPES[kind]
    if lanes != len(targets):
        raise PtxError(f"{len(targets)} registers for {lanes} elements")
    if space_of(instruction) == "param":
        source = _parameter(scope, instruction.operands[1])
    else:
        size = lanes * width(kind)
        source = _pointer(scope, instruction, instruction.operands[1], size, size, "READ")
    text = f"{{ {c} w_[{lanes}]; memcpy(w_, {source}, sizeof w_); "
    return text + " ".join(scope.write(one, kind, f"w_[{k}]") for k, one in enumerate(targets)) + " }"


def _store(scope: Scope, instruction: Instruction) -> str:
    kind, sources = instruction.parts[-1], elements(instruction.operands[1])
    lanes, c = _lanes(instruction, set()), C_TYPES[kind]
    if lanes != len(sources):
        raise PtxError(f"{len(sources)} registers for {lanes} elements")
    if space_of(instruction) == "param":
        target = _parameter(scope, instruction.operands[0])
    else:
        size = lanes * width(kind)
        target = _pointer(scope, instruction, instruction.operands[0], size, size, "WRITE")
    values = ", ".join(scope.read(one, kind) for one in sources)
    return f"{{ {c} w_[{lanes}] = {{{values}}}; memcpy({target}, w_, sizeof w_); }}"


_UPDATES = {
    "add": "old_ + b_", "exch": "b_", "and": "old_ & b_", "or": "old_ | b_", "xor": "old_ ^ b_",
    "min": "b_ < old_ ? b_ : old_", "max": "b_ > old_ ? b_ : old_", "cas": "old_ == b_ ? c_ : old_",
    "inc": "old_ >= b_ ? 0 : old_ + 1", "dec": "old_ == 0 || old_ > b_ ? b_ : old_ - 1",
}  # fmt: skip


def _atomic(scope: Scope, instruction: Instruction) -> str:
    """Atom and red: read, change and write at once, as nothing else runs in between."""
    kind, c = instruction.parts[-1], C_TYPES[instruction.parts[-1]]
    operations = [one for one in instruction.parts[1:-1] if one in _UPDATES]
    if len(operations) != 1 or _lanes(instruction, set(_UPDATES)) != 1:
        raise PtxError(f"unknown operation {instruction.opcode}")
    operation, operands = operations[0], list(instruction.operands)
    target = operands.pop(0) if instruction.parts[0] == "atom" else "_"
    values = [scope.read(one, kind) for one in operands[1:]]
    plain = unsigned(kind) if operation == "add" and not is_float(kind) else c
    pointer = _pointer(scope, instruction, operands[0], width(kind), width(kind), "ATOMIC")
    text = f"{{ {plain} *at_ = {pointer}, old_ = *at_, b_ = {values[0]}"
    text += f", c_ = {values[1]}; " if operation == "cas" else "; "
    return text + f"*at_ = {_UPDATES[operation]}; {scope.write(target, kind, 'old_')} }}"


def _nothing(scope: Scope, instruction: Instruction) -> str:
    """prefetch, fences: have no effect where one thread runs at a time."""
    return ";"


def _is_space(scope: Scope, instruction: Instruction) -> str:
    raise PtxError("the space of a generic address is not known here")


MEMORY: dict[str, Emitter] = {
    **dict.fromkeys(("ld", "ldu"), _load),
    "st": _store,
    **dict.fromkeys(("atom", "red"), _atomic),
    **dict.fromkeys(("prefetch", "prefetchu", "membar", "fence", "discard"), _nothing),
    "isspacep": _is_space,
}
