"""Arithmetic, logic, comparison and conversion: PTX instructions as C statements. Names as in the PTX ISA."""

from __future__ import annotations

from collections.abc import Callable

from nodeedu.cuda.proof.ptx import Instruction, PtxError
from nodeedu.cuda.proof.registers import C_TYPES, Scope, is_float, is_signed, width

__all__ = ["ARITHMETIC"]

Emitter = Callable[[Scope, Instruction], str]

_ROUNDING = {"rz": "FE_TOWARDZERO", "rm": "FE_DOWNWARD", "rp": "FE_UPWARD"}
_INTEGRAL = {"rni": "nearbyint", "rzi": "trunc", "rmi": "floor", "rpi": "ceil"}
_WIDER = {"s16": "s32", "u16": "u32", "s32": "s64", "u32": "u64"}
_OPERATORS = {"add": "+", "sub": "-", "mul": "*", "div": "/", "and": "&", "or": "|", "xor": "^"}


def require(instruction: Instruction, known: set[str]) -> None:
    """Raise PtxError if there are qualifiers that change the meaning in a way that is not known here."""
    unknown = set(instruction.parts[1:]) - known - set(C_TYPES)
    if unknown:
        raise PtxError(f"unknown qualifier .{', .'.join(sorted(unknown))}")


def unsigned(kind: str) -> str:
    """Return the C type in which sums may overflow."""
    return C_TYPES["u" + kind[1:]]


def _finish(instruction: Instruction, kind: str, value: str) -> str:
    """Flush and saturate as the qualifiers say."""
    if "ftz" in instruction.parts and kind == "f32":
        value = f"flushed({value})"
    return f"({C_TYPES[kind]})saturated({value})" if "sat" in instruction.parts else value


def _operands(scope: Scope, instruction: Instruction, kind: str, count: int = 3) -> list[str]:
    values = [scope.read(one, kind) for one in instruction.operands[1 : 1 + count]]
    if "ftz" in instruction.parts and kind == "f32":
        values = [f"flushed({value})" for value in values]
    return values


def _float(scope: Scope, instruction: Instruction, kind: str) -> str:
    """add, sub, mul, div, fma, sqrt of floating-point numbers, rounded as asked."""
    require(instruction, {"rn", "rz", "rm", "rp", "ftz", "sat", "full", "approx"})
    op, values = instruction.parts[0], _operands(scope, instruction, kind)
    modes = [_ROUNDING[one] for one in instruction.parts if one in _ROUNDING]
    suffix = "" if kind == "f64" else "f"
    if modes:
        sign = {"fma": "f", "mad": "f", "sqrt": "q"}.get(op) or _OPERATORS[op]
        value = f"rounded_{kind}({modes[0]}, '{sign}', {', '.join((values + ['0', '0'])[:3])})"
    elif op in ("fma", "mad"):
        value = f"fma{suffix}({', '.join(values)})"
    elif op == "sqrt":
        value = f"sqrt{suffix}({values[0]})"
    else:
        value = f"{values[0]} {_OPERATORS[op]} {values[1]}"
    return scope.write(instruction.operands[0], kind, _finish(instruction, kind, value))


def _add(scope: Scope, instruction: Instruction) -> str:
    """add, sub and mul: of integers modulo their width, with a carry if asked."""
    kind, op = instruction.parts[-1], instruction.parts[0]
    if is_float(kind):
        return _float(scope, instruction, kind)
    a, b = (scope.read(one, kind) for one in instruction.operands[1:3])
    c, sign = unsigned(kind), _OPERATORS[op]
    if op == "mul":
        return _product(scope, instruction, kind, a, b, "")
    if "cc" in instruction.parts:
        builtin = f"__builtin_{op}_overflow(({c}){a}, ({c}){b}, &r_)"
        return f"{{ {c} r_; CARRY = {builtin}; {scope.write(instruction.operands[0], kind, 'r_')} }}"
    require(instruction, set())
    return scope.write(instruction.operands[0], kind, f"({c})(({c}){a} {sign} ({c}){b})")


def _add_carry(scope: Scope, instruction: Instruction) -> str:
    """addc, subc: with the carry of the instruction before."""
    kind, op = instruction.parts[-1], instruction.parts[0][:3]
    require(instruction, {"cc"})
    a, b = (scope.read(one, unsigned_kind(kind)) for one in instruction.operands[1:3])
    sign = _OPERATORS[op]
    wide = f"(unsigned __int128){a} {sign} {b} {sign} CARRY"
    carry = f"CARRY = (w_ >> {8 * width(kind)}) & 1; " if "cc" in instruction.parts else ""
    write = scope.write(instruction.operands[0], kind, "w_")
    return f"{{ unsigned __int128 w_ = {wide}; {carry}{write} }}"


def unsigned_kind(kind: str) -> str:
    """Return the unsigned type of the same width."""
    return "u" + kind[1:]


def _product(scope: Scope, instruction: Instruction, kind: str, a: str, b: str, plus: str) -> str:
    """Mul and mad of integers: .lo, .hi or .wide; the sum may take and give a carry."""
    parts, target = instruction.parts, instruction.operands[0]
    require(instruction, {"lo", "hi", "wide", "cc"})
    if "wide" in parts:
        wide = _WIDER[kind]
        total = f"({C_TYPES[wide]}){a} * ({C_TYPES[wide]}){b}"
        if plus:
            total = f"({unsigned(wide)})({total}) + ({unsigned(wide)}){plus}"
        return scope.write(target, wide, total)
    c = unsigned(kind)
    twice = "__int128" if is_signed(kind) else "unsigned __int128"
    product = f"({c})HIGH({C_TYPES[kind]}, {twice}, {a}, {b})" if "hi" in parts else f"({c})(({c}){a} * ({c}){b})"
    if not plus:
        return scope.write(target, kind, product)
    carry_in = " + CARRY" if parts[0] == "madc" else ""
    total = f"(unsigned __int128){product} + ({c}){plus}{carry_in}"
    carry_out = f"CARRY = (w_ >> {8 * width(kind)}) & 1; " if "cc" in parts else ""
    return f"{{ unsigned __int128 w_ = {total}; {carry_out}{scope.write(target, kind, 'w_')} }}"


def _mad(scope: Scope, instruction: Instruction) -> str:
    kind = instruction.parts[-1]
    if is_float(kind):
        return _float(scope, instruction, kind)
    a, b = (scope.read(one, kind) for one in instruction.operands[1:3])
    plus = scope.read(instruction.operands[3], _WIDER[kind] if "wide" in instruction.parts else kind)
    return _product(scope, instruction, kind, a, b, plus)


def _divide(scope: Scope, instruction: Instruction) -> str:
    kind = instruction.parts[-1]
    if is_float(kind):
        return _float(scope, instruction, kind)
    a, b = (scope.read(one, kind) for one in instruction.operands[1:3])
    name = "DIVIDE" if instruction.parts[0] == "div" else "REMAINDER"
    return scope.write(instruction.operands[0], kind, f"{name}({C_TYPES[kind]}, {a}, {b})")


def _logic(scope: Scope, instruction: Instruction) -> str:
    kind = instruction.parts[-1]
    a, b = (scope.read(one, kind) for one in instruction.operands[1:3])
    return scope.write(instruction.operands[0], kind, f"{a} {_OPERATORS[instruction.parts[0]]} {b}")


def _shift(scope: Scope, instruction: Instruction) -> str:
    kind = instruction.parts[-1]
    a, by = scope.read(instruction.operands[1], kind), scope.read(instruction.operands[2], "u32")
    name = "SHL" if instruction.parts[0] == "shl" else "SHR" if is_signed(kind) else "SHR_UNSIGNED"
    return scope.write(instruction.operands[0], kind, f"{name}({C_TYPES[kind]}, {a}, {by})")


def _unary(scope: Scope, instruction: Instruction) -> str:
    """neg, abs, not, cnot."""
    op, kind = instruction.parts[0], instruction.parts[-1]
    a = _operands(scope, instruction, kind)[0]
    if op == "not":
        value = f"!{a}" if kind == "pred" else f"~{a}"
    elif op == "cnot":
        value = f"{a} == 0"
    elif op == "neg":
        value = f"-{a}" if is_float(kind) else f"({unsigned(kind)})(0 - ({unsigned(kind)}){a})"
    elif is_float(kind):
        value = f"{'fabs' if kind == 'f64' else 'fabsf'}({a})"
    else:
        value = f"ABSOLUTE({C_TYPES[kind]}, {a})"
    return scope.write(instruction.operands[0], kind, value)


def _extreme(scope: Scope, instruction: Instruction) -> str:
    require(instruction, {"ftz"})
    op, kind = instruction.parts[0], instruction.parts[-1]
    a, b = _operands(scope, instruction, kind)
    name = f"{op}_{kind}" if is_float(kind) else {"min": "LEAST", "max": "MOST"}[op]
    return scope.write(instruction.operands[0], kind, f"{name}({a}, {b})")


def _approximate(scope: Scope, instruction: Instruction) -> str:
    """rcp, rsqrt, ex2, lg2, sin, cos, tanh; the approximate ones rounded correctly."""
    require(instruction, {"approx", "rn", "ftz"})
    op, kind, parts = instruction.parts[0], instruction.parts[-1], instruction.parts
    a = _operands(scope, instruction, kind)[0]
    if kind == "f64" and "approx" in parts:
        value = {"rcp": f"reciprocal_upper({a})", "rsqrt": f"root_upper({a})"}[op]
    elif op in ("rcp", "rsqrt"):
        value = f"1.0 / {a}" if op == "rcp" else f"1.0 / sqrt((double){a})"
        value = f"({C_TYPES[kind]})({value})"
    else:
        name = {"ex2": "exp2", "lg2": "log2"}.get(op, op)
        value = f"({C_TYPES[kind]}){name}((double){a})"
    return scope.write(instruction.operands[0], kind, _finish(instruction, kind, value))


def _copysign(scope: Scope, instruction: Instruction) -> str:
    kind = instruction.parts[-1]
    sign, size = (scope.read(one, kind) for one in instruction.operands[1:3])
    name = "copysign" if kind == "f64" else "copysignf"
    return scope.write(instruction.operands[0], kind, f"{name}({size}, {sign})")


def _testp(scope: Scope, instruction: Instruction) -> str:
    a = scope.read(instruction.operands[1], instruction.parts[-1])
    test = {
        "finite": f"isfinite({a})", "infinite": f"isinf({a})", "number": f"!isnan({a})", "notanumber": f"isnan({a})",
        "normal": f"isnormal({a})", "subnormal": f"(fpclassify({a}) == FP_SUBNORMAL)",
    }[instruction.parts[1]]  # fmt: skip
    return scope.write(instruction.operands[0], "pred", test)


def _compare(a: str, b: str, comparison: str, kind: str) -> str:
    """Return a comparison; those of floating-point numbers that end in u are true where one is nan."""
    signs = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}
    names = {"lo": "lt", "ls": "le", "hi": "gt", "hs": "ge"}
    if not is_float(kind):
        return f"({a} {signs[names.get(comparison, comparison)]} {b})"
    nan = f"(isnan({a}) || isnan({b}))"
    if comparison in ("num", "nan"):
        return nan if comparison == "nan" else f"!{nan}"
    if comparison in signs:  # false where one is nan: C's != is the only one that is not
        return f"({a} != {b} && !{nan})" if comparison == "ne" else f"({a} {signs[comparison]} {b})"
    return f"({a} {signs[comparison[:-1]]} {b} || {nan})"


def _set_predicate(scope: Scope, instruction: Instruction) -> str:
    """setp, alone or combined with another predicate: p = (a < b) and c, q = not (a < b) and c."""
    require(instruction, {"ftz", instruction.parts[1], "and", "or", "xor"})
    kind = instruction.parts[-1]
    p, _, q = instruction.operands[0].partition("|")
    a, b = _operands(scope, instruction, kind, 2)
    text = f"{{ uint8_t r_ = {_compare(a, b, instruction.parts[1], kind)}, n_ = !r_; "
    if instruction.parts[2] in ("and", "or", "xor"):
        c, sign = scope.read(instruction.operands[3], "pred"), _OPERATORS[instruction.parts[2]]
        text += f"uint8_t c_ = ({c}); r_ {sign}= c_; n_ {sign}= c_; "
    text += scope.write(p.strip(), "pred", "r_")
    return text + (scope.write(q.strip(), "pred", "n_") if q else "") + " }"


def _select(scope: Scope, instruction: Instruction) -> str:
    kind = instruction.parts[-1]
    a, b = (scope.read(one, kind) for one in instruction.operands[1:3])
    return scope.write(instruction.operands[0], kind, f"{scope.read(instruction.operands[3], 'pred')} ? {a} : {b}")


def _convert(scope: Scope, instruction: Instruction) -> str:
    """cvt: to integers values are cut off at the end of the range; between floats rounded to nearest unless asked."""
    require(instruction, {*_ROUNDING, *_INTEGRAL, "rn", "ftz", "sat"})
    to, of = instruction.parts[-2:]
    a, parts = scope.read(instruction.operands[1], of), instruction.parts
    if "ftz" in parts and of == "f32":
        a = f"flushed({a})"
    integral = [_INTEGRAL[one] for one in parts if one in _INTEGRAL]
    modes = [_ROUNDING[one] for one in parts if one in _ROUNDING]
    if not is_float(of):
        if "sat" in parts or (modes and is_float(to)):
            raise PtxError("integers are converted by truncation or to nearest only")
        return scope.write(instruction.operands[0], to, f"({C_TYPES[to]}){a}")
    if integral:
        a = f"{integral[0]}((double){a})"
    if not is_float(to):
        return scope.write(instruction.operands[0], to, f"to_{to}({a})")
    value = f"narrowed({modes[0]}, {a})" if modes and (to, of) == ("f32", "f64") else f"({C_TYPES[to]}){a}"
    return scope.write(instruction.operands[0], to, _finish(instruction, to, value))


ARITHMETIC: dict[str, Emitter] = {
    **dict.fromkeys(("add", "sub", "mul"), _add),
    **dict.fromkeys(("addc", "subc"), _add_carry),
    **dict.fromkeys(("mad", "madc", "fma"), _mad),
    **dict.fromkeys(("div", "rem"), _divide),
    **dict.fromkeys(("and", "or", "xor"), _logic),
    **dict.fromkeys(("shl", "shr"), _shift),
    **dict.fromkeys(("neg", "abs", "not", "cnot"), _unary),
    **dict.fromkeys(("min", "max"), _extreme),
    **dict.fromkeys(("rcp", "rsqrt", "ex2", "lg2", "sin", "cos", "tanh"), _approximate),
    "sqrt": lambda scope, instruction: _float(scope, instruction, instruction.parts[-1]),
    "copysign": _copysign,
    "testp": _testp,
    "setp": _set_predicate,
    "selp": _select,
    "cvt": _convert,
}
