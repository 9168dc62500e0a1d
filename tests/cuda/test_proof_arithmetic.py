"""Every PTX instruction computes what the PTX ISA says: against NumPy, exact integers, and exact fractions."""

import math
import struct
from fractions import Fraction

import numpy as np
import pytest

from nodeedu.cuda.proof import Program

pytestmark = pytest.mark.cuda

NAN, INF = math.nan, math.inf
LEAST = 5e-324
FLOATS = {"f64": np.float64, "f32": np.float32}
MAX32, MIN32 = 2**31 - 1, -(2**31)

# name: (instructions that leave their result in %d, type of the operands %a %b %c, of the result, operands, result)
CASES = {
    "add_f64": ("add.f64 %d, %a, %b;", "f64", "f64", (0.1, 0.2), 0.1 + 0.2),
    "add_f64_towards_zero": ("add.rz.f64 %d, %a, %b;", "f64", "f64", (1.0, 2**-53 * 1.5), 1.0),
    "add_f64_upwards": ("add.rp.f64 %d, %a, %b;", "f64", "f64", (1.0, 2**-80), 1.0 + 2**-52),
    "sub_f32_downwards": ("sub.rm.f32 %d, %a, %b;", "f32", "f32", (1.0, 2**-60), 1.0 - 2**-24),
    "mul_f64": ("mul.rn.f64 %d, %a, %b;", "f64", "f64", (0.1, 0.3), 0.1 * 0.3),
    "div_f64": ("div.rn.f64 %d, %a, %b;", "f64", "f64", (1.0, 3.0), 1.0 / 3.0),
    "div_f64_by_zero": ("div.rn.f64 %d, %a, %b;", "f64", "f64", (-1.0, 0.0), -INF),
    "fma_f64_rounds_once": ("fma.rn.f64 %d, %a, %b, %c;", "f64", "f64", (1 + 2**-30, 1 - 2**-30, -1.0), -(2.0**-60)),
    "fma_f32_rounds_once": ("fma.rn.f32 %d, %a, %b, %c;", "f32", "f32", (1 + 2**-12, 1 - 2**-12, -1.0), -(2.0**-24)),
    "fma_f64_upwards": ("fma.rp.f64 %d, %a, %b, %c;", "f64", "f64", (1.0, 1.0, 2**-80), 1.0 + 2**-52),
    "sqrt_f64": ("sqrt.rn.f64 %d, %a;", "f64", "f64", (2.0,), math.sqrt(2.0)),
    "sqrt_f64_of_a_negative": ("sqrt.rn.f64 %d, %a;", "f64", "f64", (-2.0,), NAN),
    "neg_f64_of_zero": ("neg.f64 %d, %a;", "f64", "f64", (0.0,), -0.0),
    "abs_f64": ("abs.f64 %d, %a;", "f64", "f64", (-3.0,), 3.0),
    "min_f64_ignores_nan": ("min.f64 %d, %a, %b;", "f64", "f64", (NAN, 2.0), 2.0),
    "max_f64_of_nans": ("max.f64 %d, %a, %b;", "f64", "f64", (NAN, NAN), NAN),
    "max_f64_of_zeros": ("max.f64 %d, %a, %b;", "f64", "f64", (-0.0, 0.0), 0.0),
    "min_f32_of_zeros": ("min.f32 %d, %a, %b;", "f32", "f32", (0.0, -0.0), -0.0),
    "copysign_takes_the_sign_of_the_first": ("copysign.f64 %d, %a, %b;", "f64", "f64", (-0.0, 3.0), -3.0),
    "ftz_flushes_what_goes_in": ("add.ftz.f32 %d, %a, %b;", "f32", "f32", (1e-40, 0.0), 0.0),
    "ftz_flushes_what_comes_out": ("mul.ftz.f32 %d, %a, %b;", "f32", "f32", (2e-38, 0.25), 0.0),
    "without_ftz_subnormals_stay": ("add.f32 %d, %a, %b;", "f32", "f32", (1e-40, 0.0), float(np.float32(1e-40))),
    "sat_f32": ("add.sat.f32 %d, %a, %b;", "f32", "f32", (1.0, 0.5), 1.0),
    "sat_f32_of_nan": ("add.sat.f32 %d, %a, %b;", "f32", "f32", (NAN, 0.5), 0.0),
    "rcp_approx_f64_has_the_upper_half": (
        "rcp.approx.ftz.f64 %d, %a;", "f64", "f64", (3.0,),
        struct.unpack("<d", (struct.unpack("<Q", struct.pack("<d", 1 / 3))[0] >> 32 << 32).to_bytes(8, "little"))[0],
    ),
    "ex2": ("ex2.approx.f32 %d, %a;", "f32", "f32", (3.0,), 8.0),
    "lg2": ("lg2.approx.f32 %d, %a;", "f32", "f32", (8.0,), 3.0),
    "rni_halves_to_even": ("cvt.rni.f64.f64 %d, %a;", "f64", "f64", (2.5,), 2.0),
    "rzi": ("cvt.rzi.f64.f64 %d, %a;", "f64", "f64", (-2.7,), -2.0),
    "rmi": ("cvt.rmi.f64.f64 %d, %a;", "f64", "f64", (-2.1,), -3.0),
    "rpi": ("cvt.rpi.f64.f64 %d, %a;", "f64", "f64", (2.1,), 3.0),
    "f64_to_f32": ("cvt.rn.f32.f64 %d, %a;", "f64", "f32", (0.1,), float(np.float32(0.1))),
    "f64_to_f32_downwards": ("cvt.rm.f32.f64 %d, %a;", "f64", "f32", (1 + 2**-30,), 1.0),
    "f64_to_f32_upwards": ("cvt.rp.f32.f64 %d, %a;", "f64", "f32", (1 + 2**-30,), 1.0 + 2**-23),
    "f32_to_f64": ("cvt.f64.f32 %d, %a;", "f32", "f64", (0.1,), float(np.float32(0.1))),
    "to_s32_cuts_off": ("cvt.rzi.s32.f64 %d, %a;", "f64", "s32", (1e20,), MAX32),
    "to_s32_of_nan": ("cvt.rzi.s32.f64 %d, %a;", "f64", "s32", (NAN,), 0),
    "to_u32_of_a_negative": ("cvt.rni.u32.f32 %d, %a;", "f32", "u32", (-5.0,), 0),
    "to_s64": ("cvt.rmi.s64.f64 %d, %a;", "f64", "s64", (-2.5,), -3),
    "from_s32": ("cvt.rn.f64.s32 %d, %a;", "s32", "f64", (-7,), -7.0),
    "from_u64_rounds": ("cvt.rn.f32.u64 %d, %a;", "u64", "f32", (2**24 + 1,), 2.0**24),
    "sign_extends": ("cvt.s64.s32 %d, %a;", "s32", "s64", (-5,), -5),
    "zero_extends": ("cvt.u64.u32 %d, %a;", "u32", "u64", (2**32 - 5,), 2**32 - 5),
    "truncates": ("cvt.u16.u64 %d, %a;", "u64", "u32", (0x12345678,), 0x5678),
    "add_s32_wraps": ("add.s32 %d, %a, %b;", "s32", "s32", (MAX32, 1), MIN32),
    "mul_lo": ("mul.lo.s32 %d, %a, %b;", "s32", "s32", (70000, 70000), 70000**2 - 2**32),
    "mul_hi_u64": ("mul.hi.u64 %d, %a, %b;", "u64", "u64", (2**63, 6), 3),
    "mul_hi_s32": ("mul.hi.s32 %d, %a, %b;", "s32", "s32", (MIN32, 4), -2),
    "mul_wide": ("mul.wide.s32 %d, %a, %b;", "s32", "s64", (-70000, 70000), -(70000**2)),
    "mad_lo": ("mad.lo.s64 %d, %a, %b, %c;", "s64", "s64", (-3, 5, 7), -8),
    "div_s32_truncates": ("div.s32 %d, %a, %b;", "s32", "s32", (-7, 2), -3),
    "rem_s32_has_the_sign_of_the_first": ("rem.s32 %d, %a, %b;", "s32", "s32", (-7, 2), -1),
    "div_u64": ("div.u64 %d, %a, %b;", "u64", "u64", (2**63, 3), 2**63 // 3),
    "div_of_the_least": ("div.s32 %d, %a, %b;", "s32", "s32", (MIN32, -1), MIN32),
    "shl_by_the_width": ("shl.b32 %d, %a, 32;", "u32", "u32", (1,), 0),
    "shr_s64_by_more": ("shr.s64 %d, %a, 200;", "s64", "s64", (-5,), -1),
    "shr_u64": ("shr.u64 %d, %a, 63;", "u64", "u64", (2**63,), 1),
    "xor": ("xor.b64 %d, %a, %b;", "u64", "u64", (0b1100, 0b1010), 0b0110),
    "not": ("not.b32 %d, %a;", "u32", "u32", (0,), 2**32 - 1),
    "abs_s32": ("abs.s32 %d, %a;", "s32", "s32", (-9,), 9),
    "max_s64": ("max.s64 %d, %a, %b;", "s64", "s64", (-1, -2), -1),
    "max_u64": ("max.u64 %d, %a, %b;", "u64", "u64", (2**64 - 1, 1), 2**64 - 1),
    "bfi": ("bfi.b64 %d, %a, %b, 32, 32;", "u64", "u64", (0x12345678, 0x9ABCDEF0), 0x123456789ABCDEF0),
    "bfe_u32": ("bfe.u32 %d, %a, 8, 8;", "u32", "u32", (0xABCDEF12,), 0xEF),
    "bfe_s32_extends_the_sign": ("bfe.s32 %d, %a, 8, 8;", "s32", "s32", (0x0000EF12,), 0xEF - 256),
    "popc": ("popc.b64 %d, %a;", "u64", "u32", (2**63 + 5,), 3),
    "clz": ("clz.b32 %d, %a;", "u32", "u32", (1,), 31),
    "clz_of_zero": ("clz.b64 %d, %a;", "u64", "u32", (0,), 64),
    "brev": ("brev.b32 %d, %a;", "u32", "u32", (1,), 2**31),
    "bfind": ("bfind.u32 %d, %a;", "u32", "u32", (0x100,), 8),
    "prmt_reverses_bytes": ("prmt.b32 %d, %a, %b, 0x0123;", "u32", "u32", (0x11223344, 0), 0x44332211),
    "lop3_majority": ("lop3.b32 %d, %a, %b, %c, 0xE8;", "u32", "u32", (0b1100, 0b1010, 0b0110), 0b1110),
    "funnel_shift": ("shf.l.wrap.b32 %d, %a, %b, 8;", "u32", "u32", (0xAB000000, 0x1), 0x1AB),
    "halves_swap": (
        "{ .reg .b32 %lo, %hi; mov.b64 {%lo, %hi}, %a; mov.b64 %d, {%hi, %lo}; }",
        "u64", "u64", (0x1_00000002,), 0x2_00000001,
    ),
    "carry": (
        "{ .reg .b32 %x, %y; add.cc.u32 %x, %a, %b; addc.u32 %d, 0, 0; }", "u32", "u32", (2**32 - 1, 1), 1,
    ),
    "borrow": (
        "{ .reg .b32 %x, %y; sub.cc.u32 %x, %a, %b; subc.u32 %d, 5, 0; }", "u32", "u32", (0, 1), 4,
    ),
    "a_float_as_bits": ("mov.b64 %d, %a;", "f64", "u64", (-0.0,), 2**63),
    "select": ("{ .reg .pred %q; setp.lt.s32 %q, %a, %b; selp.b32 %d, %a, %b, %q; }", "s32", "s32", (-1, 1), -1),
    "setp_and": (
        "{ .reg .pred %q, %s; setp.eq.s32 %q, %a, %a; setp.lt.and.s32 %s, %a, %b, !%q; selp.b32 %d, 1, 0, %s; }",
        "s32", "s32", (1, 2), 0,
    ),
    "setp_of_two": (
        "{ .reg .pred %q, %s; setp.lt.s32 %q|%s, %a, %b; selp.b32 %d, 1, 0, %s; }", "s32", "s32", (1, 2), 0,
    ),
    "unsigned_comparison": (
        "{ .reg .pred %q; setp.hi.u32 %q, %a, %b; selp.b32 %d, 1, 0, %q; }", "u32", "u32", (2**32 - 1, 1), 1,
    ),
    "testp_subnormal": (
        "{ .reg .pred %q; testp.subnormal.f64 %q, %a; selp.b32 %d, 1, 0, %q; }", "f64", "u32", (LEAST,), 1,
    ),
    "decimal_of_bits": ("mov.f32 %d, 0f3F000000;", "f32", "f32", (), 0.5),
}  # fmt: skip
for comparison in ("eq", "ne", "lt", "le", "gt", "ge", "num"):
    for u in ("", "u") if comparison != "num" else ("",):
        CASES[f"{comparison}{u}_of_nan"] = (
            f"{{ .reg .pred %q; setp.{comparison}{u}.f64 %q, %a, %b; selp.b32 %d, 1, 0, %q; }}", "f64", "u32",
            (NAN, 1.0), int(u == "u"),
        )  # fmt: skip

WORD = {"f64": "<d", "f32": "<f"}


def bits(value, kind):
    return struct.unpack("<Q" if kind == "f64" else "<I", struct.pack(WORD[kind], value))[0] if kind in WORD else value


def literal(value, kind):
    if kind not in WORD:
        return value
    return f"0d{bits(value, kind):016X}" if kind == "f64" else f"0f{bits(value, kind):08X}"


@pytest.fixture(scope="module")
def results():
    """All cases in one kernel, each a block of its own; results as 64 bits."""
    lines = []
    for k, (code, kind, result, values, _) in enumerate(CASES.values()):
        wide = {one: f".reg .{'f' if one in WORD else 'b'}{one[1:]}" for one in (kind, result)}
        lines += ["{", *(f"{wide[kind]} %{name};" for name in "abc"), f"{wide[result]} %d;"]
        lines += [f"mov.{kind} %{name}, {literal(value, kind)};" for name, value in zip("abc", values, strict=False)]
        lines += [code, f"st.global.{result} [%rd1+{8 * k}], %d;", "}"]
    words = "".join(f".param .u64 w{k}," for k in range(7)).rstrip(",")
    head = f".target sm_90\n.visible .entry k({words}) {{\n.reg .b64 %rd<2>;\nld.param.u64 %rd1, [w4];\n"
    out = np.zeros(len(CASES), np.uint64)
    Program(head + "\n".join(lines) + "\nret;\n}").run(1, 1, (out,))
    return dict(zip(CASES, out, strict=True))


@pytest.mark.parametrize("name", CASES)
def test_instruction(results, name):
    _, _, kind, _, expected = CASES[name]
    dtype = np.dtype(FLOATS.get(kind, f"{'i' if kind[0] == 's' else 'u'}{int(kind[1:]) // 8}"))
    got = results[name].reshape(1).view(dtype)[0]
    if isinstance(expected, float):
        assert math.isnan(got) if math.isnan(expected) else bits(float(got), "f64") == bits(expected, "f64")
    else:
        assert int(got) == expected


def test_the_case_of_fma_is_one_that_rounding_twice_gets_wrong():
    a, b, c = CASES["fma_f64_rounds_once"][3]
    assert float(Fraction(a) * Fraction(b) + Fraction(c)) == CASES["fma_f64_rounds_once"][4] != a * b + c
