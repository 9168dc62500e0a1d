"""Operands of PTX instructions as C expressions: registers, constants, special registers, addresses of variables.

A register is a C variable as wide as it was declared, ``double`` or ``float`` if declared so. An instruction reads it
as the type that it names itself: the same bits (an untyped ``.b64`` register may hold a double), or fewer of them.
"""

from __future__ import annotations

import re
from collections import ChainMap
from dataclasses import dataclass, field

from nodeedu.cuda.proof.ptx import Declaration, PtxError

__all__ = ["C_TYPES", "Scope", "c_name", "is_float", "is_signed", "width"]

C_TYPES = {
    "pred": "uint8_t", "b8": "uint8_t", "u8": "uint8_t", "s8": "int8_t", "b16": "uint16_t", "u16": "uint16_t",
    "s16": "int16_t", "b32": "uint32_t", "u32": "uint32_t", "s32": "int32_t", "b64": "uint64_t", "u64": "uint64_t",
    "s64": "int64_t", "f32": "float", "f64": "double",
}  # fmt: skip

_SPECIAL = {
    **{f"%tid.{axis}": f"ME->tid[{k}]" for k, axis in enumerate("xyz")},
    **{f"%ctaid.{axis}": f"ctaid[{k}]" for k, axis in enumerate("xyz")},
    **{f"%ntid.{axis}": f"L->threads[{k}]" for k, axis in enumerate("xyz")},
    **{f"%nctaid.{axis}": f"L->blocks[{k}]" for k, axis in enumerate("xyz")},
    "%laneid": "ME->lane",
    "%warpid": "(ME->index / WARP)",
    "%lanemask_eq": "(1u << ME->lane)",
    "%lanemask_lt": "((1u << ME->lane) - 1)",
    "%lanemask_le": "((2u << ME->lane) - 1)",
    "%lanemask_gt": "~((2u << ME->lane) - 1)",
    "%lanemask_ge": "~((1u << ME->lane) - 1)",
    "%dynamic_smem_size": "L->shared",
    "WARP_SZ": "WARP",
}
_ADDRESS = re.compile(r"(?P<base>[%\w$]+)(?:\s*\+\s*(?P<offset>-?\w+))?$")


def c_name(name: str) -> str:
    """Return a name as C takes it."""
    return "p_" + re.sub(r"\W", "_", name.lstrip("%"))


def width(kind: str) -> int:
    """Return the bytes of a type."""
    return 1 if kind == "pred" else int(kind[1:]) // 8


def is_float(kind: str) -> bool:
    """Whether a type is of floating-point numbers."""
    return kind in ("f32", "f64")


def is_signed(kind: str) -> bool:
    """Whether a type is of signed integers."""
    return kind.startswith("s")


@dataclass
class Scope:
    """What is declared where an instruction stands."""

    registers: ChainMap[str, str] = field(default_factory=ChainMap)  # types by name
    addresses: ChainMap[str, str] = field(default_factory=ChainMap)  # C expressions by variable
    parameters: dict[str, str] = field(default_factory=dict)  # C pointers by parameter of the function
    tables: dict[str, tuple[str, ...]] = field(default_factory=dict)  # labels that brx.idx chooses from
    frame: str = ""  # the function's local memory
    site: int = 0  # number of the instruction
    backward: bool = False  # whether its branch goes back

    def declare(self, declaration: Declaration) -> str:
        """Take up registers; return their C declaration."""
        names = declaration.registers()
        self.registers.update(dict.fromkeys(names, declaration.type))
        kind = C_TYPES.get(declaration.type)
        if kind is None:
            raise PtxError(f"PTX: registers of type .{declaration.type} are not known")
        return f"{kind} {', '.join(f'{c_name(name)} = 0' for name in names)};" if names else ""

    def read(self, operand: str, kind: str) -> str:
        """Return the value of an operand as an expression of the C type of ``kind``."""
        if operand.startswith("!"):
            return f"!{self.read(operand[1:], kind)}"
        if operand in self.registers:
            return self._register(operand, kind)
        if operand in _SPECIAL:
            return f"(({C_TYPES[kind]}){_SPECIAL[operand]})"
        constant = _constant(operand, kind)
        if constant:
            return constant
        if width(kind) == 8:
            return f"((uint64_t)({self.address(operand)}))"
        raise PtxError(f"operand {operand!r} of type .{kind} is not known")

    def _register(self, name: str, kind: str) -> str:
        declared, c = self.registers[name], c_name(name)
        if declared == kind:
            return c
        if is_float(declared) == is_float(kind):
            return f"(({C_TYPES[kind]}){c})"
        if width(declared) != width(kind):
            raise PtxError(f"register {name} of type .{declared} is used as .{kind}")
        return f"as_b{8 * width(kind)}({c})" if is_float(declared) else f"as_{kind}({c})"

    def write(self, register: str, kind: str, value: str) -> str:
        """Return the assignment of a value of type ``kind`` to a register: wider ones are filled with the sign."""
        if register == "_":
            return f"(void)({value});"
        declared = self.registers.get(register)
        if declared is None:
            raise PtxError(f"register {register!r} is not declared")
        c = c_name(register)
        if is_float(declared) == is_float(kind):
            inner = value if is_float(kind) else f"({C_TYPES[kind]})({value})"
            return f"{c} = ({C_TYPES[declared]})({inner});" if declared != "pred" else f"{c} = ({value}) != 0;"
        return f"{c} = " + (f"as_{declared}({value});" if is_float(declared) else f"as_b{8 * width(kind)}({value});")

    def address(self, operand: str) -> str:
        """Return an address, ``name+offset`` with or without brackets, as an integer expression."""
        found = _ADDRESS.match(operand.strip("[] "))
        if found is None:
            raise PtxError(f"address {operand!r} is not known")
        base, offset = found["base"], found["offset"] or "0"
        if base in self.registers:
            whole = self.read(base, "u64") if width(self.registers[base]) == 8 else ""
        else:
            whole = self.addresses.get(base, "")
        if not whole:
            raise PtxError(f"address {operand!r} is not known")
        return f"((uint64_t)({whole}) + ({offset}))"


def _constant(operand: str, kind: str) -> str:
    """Return a constant as C, or nothing if it is none."""
    found = re.fullmatch(r"0([dDfF])([0-9A-Fa-f]{16}|[0-9A-Fa-f]{8})", operand)
    if found and len(found[2]) == (16 if found[1] in "dD" else 8):
        bits = f"0x{found[2]}" + ("ull" if found[1] in "dD" else "u")
        return f"as_{kind}({bits})" if is_float(kind) else bits
    if re.fullmatch(r"-?(0[xX][0-9A-Fa-f]+|\d+)U?", operand):
        number = int(operand.rstrip("U"), 0)
        return f"(({C_TYPES[kind]}){number % 2**64}ull)" if not is_float(kind) else f"(({C_TYPES[kind]}){number}.0)"
    if re.fullmatch(r"-?\d+\.\d*(?:[eE][-+]?\d+)?", operand) and is_float(kind):
        return f"(({C_TYPES[kind]}){operand})"
    return ""
