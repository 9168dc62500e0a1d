"""Fields of bits and moves: PTX instructions as C statements."""

from __future__ import annotations

from nodeedu.cuda.proof.arithmetic import Emitter, require, unsigned_kind
from nodeedu.cuda.proof.ptx import Instruction, PtxError, split
from nodeedu.cuda.proof.registers import C_TYPES, Scope, is_signed, width

__all__ = ["BITS", "elements"]


def elements(operand: str) -> list[str]:
    """Return the registers of ``{a, b}``, or the one that stands alone."""
    return split(operand[1:-1]) if operand.startswith("{") else [operand]


def _move(scope: Scope, instruction: Instruction) -> str:
    """mov, which also packs registers into a wider one and takes it apart: ``mov.b64 {low, high}, wide``."""
    kind, (target, source) = instruction.parts[-1], instruction.operands
    pieces = elements(target if target.startswith("{") else source)
    if len(pieces) == 1:
        return scope.write(target, kind, scope.read(source, kind))
    whole, part = unsigned_kind(kind), f"u{8 * width(kind) // len(pieces)}"
    step = 8 * width(part)
    if target.startswith("{"):
        text = f"{{ {C_TYPES[whole]} w_ = {scope.read(source, whole)}; "
        for k, piece in enumerate(pieces):
            if piece != "_":
                text += scope.write(piece, part, f"({C_TYPES[part]})(w_ >> {k * step})")
        return text + " }"
    value = " | ".join(f"({C_TYPES[whole]}){scope.read(piece, part)} << {k * step}" for k, piece in enumerate(pieces))
    return scope.write(target, whole, value)


def _insert(scope: Scope, instruction: Instruction) -> str:
    kind = unsigned_kind(instruction.parts[-1])
    a, b = (scope.read(one, kind) for one in instruction.operands[1:3])
    at, length = (scope.read(one, "u32") for one in instruction.operands[3:5])
    return scope.write(instruction.operands[0], kind, f"insert_field({a}, {b}, {at}, {length}, {8 * width(kind)})")


def _extract(scope: Scope, instruction: Instruction) -> str:
    kind = instruction.parts[-1]
    a = scope.read(instruction.operands[1], unsigned_kind(kind))
    at, length = (scope.read(one, "u32") for one in instruction.operands[2:4])
    value = f"extract_field({a}, {at}, {length}, {8 * width(kind)}, {int(is_signed(kind))})"
    return scope.write(instruction.operands[0], unsigned_kind(kind), value)


def _count(scope: Scope, instruction: Instruction) -> str:
    """popc, clz, brev, bfind."""
    require(instruction, {"shiftamt"})
    op, kind, bits = instruction.parts[0], instruction.parts[-1], 8 * width(instruction.parts[-1])
    a = scope.read(instruction.operands[1], unsigned_kind(kind))
    if op == "brev":
        return scope.write(instruction.operands[0], unsigned_kind(kind), f"reversed({a}, {bits})")
    if op == "bfind":
        if is_signed(kind):
            a = f"({C_TYPES[unsigned_kind(kind)]})({a} >> {bits - 1} ? ~{a} : {a})"
        found = f"highest_bit({a})"
        if "shiftamt" in instruction.parts:
            found = f"({found} == 0xffffffffu ? 0xffffffffu : {bits - 1} - {found})"
        return scope.write(instruction.operands[0], "u32", found)
    value = f"__builtin_popcountll({a})" if op == "popc" else f"leading_zeros({a}, {bits})"
    return scope.write(instruction.operands[0], "u32", value)


def _permute(scope: Scope, instruction: Instruction) -> str:
    require(instruction, set())
    a, b, c = (scope.read(one, "u32") for one in instruction.operands[1:4])
    return scope.write(instruction.operands[0], "u32", f"permute_bytes({a}, {b}, {c})")


def _combine(scope: Scope, instruction: Instruction) -> str:
    require(instruction, set())
    values = ", ".join(scope.read(one, "u32") for one in instruction.operands[1:5])
    return scope.write(instruction.operands[0], "u32", f"combine_bits({values})")


def _funnel(scope: Scope, instruction: Instruction) -> str:
    require(instruction, {"l", "r", "wrap", "clamp"})
    values = ", ".join(scope.read(one, "u32") for one in instruction.operands[1:4])
    how = f"{int(instruction.parts[1] == 'l')}, {int(instruction.parts[2] == 'wrap')}"
    return scope.write(instruction.operands[0], "u32", f"funnel({values}, {how})")


def _address(scope: Scope, instruction: Instruction) -> str:
    """cvta: all spaces lie in one memory here, so that addresses stay what they are."""
    if width(instruction.parts[-1]) != 8:
        raise PtxError("addresses have 64 bits here")
    return scope.write(instruction.operands[0], "u64", scope.read(instruction.operands[1], "u64"))


BITS: dict[str, Emitter] = {
    "mov": _move,
    "bfi": _insert,
    "bfe": _extract,
    **dict.fromkeys(("popc", "clz", "brev", "bfind"), _count),
    "prmt": _permute,
    "lop3": _combine,
    "shf": _funnel,
    "cvta": _address,
}
