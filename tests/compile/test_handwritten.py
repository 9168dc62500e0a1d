"""Handwritten fields: every kernel against the NumPy reference, whose derivatives come from complex steps."""

import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest

from nodeedu.compile import kernels
from nodeedu.compile.build import jit
from nodeedu.compile.handwritten import KINDS, linear_field, mlp_field, van_der_pol_field
from nodeedu.compile.kernels import JIT, SIGNATURES

FIELDS = {"linear": linear_field(3), "mlp": mlp_field(2, 5), "van_der_pol": van_der_pol_field()}
N = 3  # rows
EXACT = {"rtol": 1e-13, "atol": 1e-14}  # sums of at most 15 terms of size 1: some tens of rounding errors
call_f, call_vjp, call_vjp_z = kernels.call_f, kernels.call_vjp, kernels.call_vjp_z
call_vjp_theta, call_jvp = kernels.call_vjp_theta, kernels.call_jvp


@jit
def drive_f(*args):
    return call_f(*args)


@jit
def drive_vjp(*args):
    return call_vjp(*args)


@jit
def drive_vjp_z(*args):
    return call_vjp_z(*args)


@jit
def drive_vjp_theta(*args):
    return call_vjp_theta(*args)


@jit
def drive_jvp(*args):
    return call_jvp(*args)


DRIVERS = {"f": drive_f, "vjp": drive_vjp, "vjp_z": drive_vjp_z, "vjp_theta": drive_vjp_theta, "jvp": drive_jvp}
INPUTS = ("t", "z", "a", "z_dot", "p", "p_dot")


def arguments(field, kind, dtype=np.float64, seed=0):
    """Return the arrays of a kind by name: random inputs, nan where it must overwrite, zeros where it adds."""
    rng = np.random.default_rng(seed)
    size = {"n": (N,), "nD": (N, field.size), "Q": (field.n_packed,), "P": (field.n_params,), "W": (1000,)}
    drawn = {name: rng.normal(size=size[kernels.EXTENTS[name]]) for name in INPUTS}
    made = {}
    for name in SIGNATURES[kind]:
        start = (
            drawn[name] if name in INPUTS else np.full(size[kernels.EXTENTS[name]], 0.0 if name == "p_bar" else np.nan)
        )
        made[name] = start.astype(np.float64 if name == "t" else dtype)
    return made


def run(field, kind, dtype=np.float64, through_address=True):
    """Call a kernel; return its arrays by name."""
    made, kernel = arguments(field, kind, dtype), field.kernel(kind, dtype)
    made["work"] = made["work"][: kernel.work_size].copy()
    if through_address:
        assert DRIVERS[kind](kernel.callee, N, *made.values()) == kernels.DONE
    else:
        kernel.function(*made.values())
    return made


def jacobians(field, t, z, p):
    """Return df/dz (D, D) and df/dp (D, P) of the reference at one row by complex steps, exact to rounding."""
    step = 1e-30  # no difference is taken, so it may be as small as one likes
    columns = []
    for x, evaluate in ((z, lambda x: field(t, x, field.unpack(p))), (p, lambda x: field(t, z, field.unpack(x)))):
        points = x + 1j * step * np.eye(x.size)
        columns.append(np.array([evaluate(point).imag / step for point in points]).T)
    return columns


def expected(field, made):
    """Return every output that can be had from the inputs, row by row from the reference."""
    p, rows = made["p"], []
    for t, z in zip(made["t"], made["z"], strict=True):
        rows.append((field(t, z, field.unpack(p)), *jacobians(field, t, z, p)))
    out = {"dz": np.array([dz for dz, _, _ in rows]), "t_bar": np.zeros(N)}
    if "a" in made:
        out["z_bar"] = np.array([a @ f_z for a, (_, f_z, _) in zip(made["a"], rows, strict=True)])
        out["p_bar"] = sum(a @ f_p for a, (_, _, f_p) in zip(made["a"], rows, strict=True))
    if "z_dot" in made:
        tangents = zip(made["z_dot"], rows, strict=True)
        out["dz_dot"] = np.array([f_z @ z_dot + f_p @ made["p_dot"] for z_dot, (_, f_z, f_p) in tangents])
    return out


all_fields = pytest.mark.parametrize("field", FIELDS.values(), ids=FIELDS)
all_kinds = pytest.mark.parametrize("kind", KINDS)


@all_fields
@all_kinds
def test_kernel_agrees_with_the_reference_and_its_complex_step(field, kind):
    made = run(field, kind)
    truth = expected(field, made)
    for name in set(made) & set(truth):
        np.testing.assert_allclose(made[name], truth[name], **EXACT, err_msg=name)


@all_fields
def test_vjp_and_jvp_are_transposes_of_each_other(field):
    vjp, jvp = run(field, "vjp"), run(field, "jvp")
    forward = np.sum(vjp["a"] * jvp["dz_dot"])
    backward = np.sum(vjp["z_bar"] * jvp["z_dot"]) + vjp["p_bar"] @ jvp["p_dot"]
    assert forward == pytest.approx(backward, rel=1e-12)  # rounding of a sum of some hundred products


@all_fields
def test_partial_vjps_give_the_bits_of_the_whole(field):
    whole = run(field, "vjp")
    for kind in ("vjp_z", "vjp_theta"):
        part = run(field, kind)
        for name in set(part) & {"dz", "z_bar", "p_bar"}:
            np.testing.assert_array_equal(part[name], whole[name], err_msg=f"{kind} {name}")


@all_fields
@pytest.mark.parametrize("kind", ["vjp", "vjp_theta"])
def test_parameter_cotangents_accumulate(field, kind):
    made = arguments(field, kind)
    for _ in range(2):
        field.kernel(kind).function(*made.values())
    np.testing.assert_allclose(made["p_bar"], 2 * run(field, kind)["p_bar"], **EXACT)


@all_fields
@all_kinds
def test_address_and_function_give_the_same_bits(field, kind):
    called, direct = run(field, kind), run(field, kind, through_address=False)
    for name in set(called) - {"work"}:
        np.testing.assert_array_equal(called[name], direct[name], err_msg=name)


@all_fields
@all_kinds
def test_inputs_are_not_written_to(field, kind):
    made, before = run(field, kind), arguments(field, kind)
    for name in set(made) & set(INPUTS):
        np.testing.assert_array_equal(made[name], before[name])


@all_fields
@pytest.mark.parametrize("kind", ["f", "vjp", "jvp"])  # the other two are made of the same rules
def test_float32_kernel_agrees_to_single_precision(field, kind):
    single, double = run(field, kind, np.float32), run(field, kind)
    for name in set(single) - {"work"}:
        # some tens of rounding errors of 6e-8
        np.testing.assert_allclose(single[name], double[name], rtol=5e-6, atol=5e-6, err_msg=name)


@all_fields
def test_unpack_undoes_pack(field):
    p = np.random.default_rng(1).normal(size=field.n_params)
    np.testing.assert_array_equal(field.pack(field.unpack(p)), p)
    assert [leaf.shape for leaf in field.unpack(p)] == list(field.leaf_shapes.values())


def test_pack_takes_lists_and_arrays_in_any_memory_order():
    A = np.array([[1.0, 2.0], [3.0, 4.0]])
    p = linear_field(2).pack((np.asfortranarray(A), [5, 6]), np.float32)
    np.testing.assert_array_equal(p, np.arange(1, 7, dtype=np.float32), strict=True)


def test_unpack_copies():
    field = van_der_pol_field()
    p = np.array([1.0])
    (mu,) = field.unpack(p)
    p[0] = 2.0
    assert mu == 1.0


def test_pack_names_the_array_of_wrong_shape():
    with pytest.raises(ValueError, match=r"theta\[1\], b1 of mlp_field, has shape \(4,\): expected \(5,\)"):
        FIELDS["mlp"].pack((np.zeros((5, 2)), np.zeros(4), np.zeros((2, 5)), np.zeros(2)))


def test_pack_names_the_arrays_that_are_missing():
    with pytest.raises(ValueError, match=r"theta has 1 arrays: linear_field expects \(A, b\)"):
        FIELDS["linear"].pack((np.zeros((3, 3)),))


def test_unknown_kind_raises_with_the_known_ones():
    with pytest.raises(ValueError, match="kind is 'hessian'.*vjp_theta"):
        FIELDS["linear"].kernel("hessian")


def test_kernel_of_other_dtype_raises():
    with pytest.raises(ValueError, match="dtype is int64"):
        FIELDS["linear"].kernel("f", int)


def test_kernel_is_made_once():
    field = FIELDS["linear"]
    assert field.kernel("f", np.float64) is field.kernel("f", "float64")


def digest():
    """Return a hash over the outputs of all kernels in float64."""
    made = [run(field, kind) for field in FIELDS.values() for kind in KINDS]
    outputs = [each[name].tobytes() for each in made for name in each if name != "work"]
    return hashlib.sha256(b"".join(outputs)).hexdigest()


@pytest.mark.skipif(not JIT, reason="NUMBA_DISABLE_JIT=1 leaves nothing to compare with")
def test_jitted_and_plain_python_give_the_same_bits():
    code = "import sys; sys.path.insert(0, sys.argv[1]); import test_handwritten; print(test_handwritten.digest())"
    command = [sys.executable, "-c", code, os.path.dirname(__file__)]
    environment = os.environ | {"NUMBA_DISABLE_JIT": "1"}
    plain = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert plain.stdout.strip() == digest()
