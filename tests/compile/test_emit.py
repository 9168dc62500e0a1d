"""Emitted kernels: equal to the tape, independent of names, batch and tile, and readable."""

import ast
import warnings
from pathlib import Path

import numpy as np
import pytest
from fields import FIELDS

from nodeedu.autodiff import structure
from nodeedu.compile import vector_field
from nodeedu.compile.kernels import EXTENTS, SIGNATURES
from nodeedu.compile.render import TILE

KINDS = ("f", "vjp", "vjp_z", "vjp_theta", "jvp", "divergence")
ROWS = TILE + 5  # a full tile and a part of one
TYPICAL = ("lotka_volterra", "spiral", "wide_mlp", "commutator")
SINGLE = ("spiral", "wide_mlp", "heat", "kinked", "gated", "elementary", "forced_pendulum")

INPUT_ROLES = {"a": "dz_bar", "z_dot": "z_dot"}


def make(case):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # some fields capture an array on purpose
        return vector_field(case.function, case.z, case.theta)


def random_arguments(field, theta, kind, dtype, rng, rows=ROWS):
    """Arguments of a kernel; states near 1, so that roots and logarithms are defined."""
    extents = {"n": (rows,), "nD": (rows, field.size), "Q": (field.n_packed,), "P": (field.n_params,)}
    arrays = {}
    for name in SIGNATURES[kind]:
        shape = extents.get(EXTENTS[name], (field.kernel(kind, dtype).work_size,))
        arrays[name] = np.zeros(shape, float if name == "t" else dtype)
        if name in ("t", "z", "a", "z_dot"):
            arrays[name][:] = rng.normal(size=shape) * (0.3 if name == "z" else 1.0) + (name == "z")
    arrays["p"] = field.pack(theta, dtype)
    theta_dot = structure.tree_map(lambda x: rng.normal(size=np.shape(x)), theta)
    if "p_dot" in arrays:
        arrays["p_dot"] = field.pack(theta_dot, dtype)
    return arrays, theta_dot


def run_tape(field, theta, theta_dot, kind, arrays):
    """The same numbers by walking the tape with NumPy, row by row."""
    tape = field.tapes(kind)
    rows = []
    for b in range(len(arrays["t"])):
        inputs = {"t": arrays["t"][b], "z": arrays["z"][b].reshape(field.shape).astype(float)}
        inputs |= {r: arrays[a][b].reshape(field.shape).astype(float) for a, r in INPUT_ROLES.items() if a in arrays}
        inputs |= dict(structure.flatten(theta))
        inputs |= {path + "_dot": leaf for path, leaf in structure.flatten(theta_dot)}
        rows.append(tape.evaluate({role: inputs[role] for role in tape.inputs}))
    return {role: np.array([row[role] for row in rows]) for role in tape.outputs}


def assert_kernel_equals_tape(case, kind, dtype, tolerance):
    rng = np.random.default_rng(0)
    field = make(case)
    arrays, theta_dot = random_arguments(field, case.theta, kind, dtype, rng)
    field.kernel(kind, dtype).function(*(arrays[name] for name in SIGNATURES[kind]))
    expected = run_tape(field, case.theta, theta_dot, kind, arrays)
    for role, value in expected.items():
        if role in arrays:
            got = arrays[role].reshape(value.shape)
            np.testing.assert_allclose(got, value, rtol=tolerance, atol=tolerance * (1 + np.abs(value).max()))
    if "p_bar" in arrays:
        leaves = structure.leaves(field.unpack(arrays["p_bar"]))
        for (path, _), leaf in zip(structure.flatten(case.theta), leaves, strict=True):
            value = expected[path + "_bar"].sum(0)
            np.testing.assert_allclose(leaf, value, rtol=tolerance, atol=tolerance * (1 + np.abs(value).max(initial=0)))


@pytest.mark.parametrize("kind", ["f", "vjp", "jvp"])
@pytest.mark.parametrize("case", FIELDS, ids=lambda case: case.name)
def test_a_kernel_computes_what_its_tape_computes(case, kind):
    # up to ~1e3 terms a sum, each off by a few units of 1.1e-16
    assert_kernel_equals_tape(case, kind, np.float64, 1e-12)


@pytest.mark.parametrize("kind", ["vjp_z", "vjp_theta", "divergence"])
@pytest.mark.parametrize("case", [case for case in FIELDS if case.name in TYPICAL], ids=lambda case: case.name)
def test_the_partial_kernels_compute_what_their_tapes_compute(case, kind):
    assert_kernel_equals_tape(case, kind, np.float64, 1e-12)  # as above


@pytest.mark.parametrize("case", [case for case in FIELDS if case.name in SINGLE], ids=lambda case: case.name)
def test_float32_kernels_compute_what_the_tape_computes(case):
    # single precision has units of 6e-8, up to ~1e2 terms a sum
    assert_kernel_equals_tape(case, "vjp", np.float32, 3e-5)


# ---------------------------------------------------------------- names are for display only


def hostile(t, z, theta):
    """Every local has the name of something in the emitted code."""
    a, dz, p, b, n, r = theta
    z_bar = np.tanh(a * z + dz)
    p_bar, work = z_bar * p, np.sin(b * z)
    t_bar = p_bar + n * work
    tanh = t_bar * r
    return tanh


def test_names_of_the_user_that_collide_with_ours_change_no_gradient():
    rng = np.random.default_rng(1)
    theta = tuple(rng.normal(size=3) for _ in range(6))
    z, a = rng.normal(size=(2, 3))
    field = vector_field(hostile, z, theta)
    arrays, _ = random_arguments(field, theta, "vjp", np.float64, rng, rows=1)
    arrays["z"][0], arrays["a"][0] = z, a
    field.kernel("vjp").function(*(arrays[name] for name in SIGNATURES["vjp"]))
    for k, leaf in enumerate(field.unpack(arrays["p_bar"])):
        for i in range(3):
            moved = [[x.copy() for x in theta] for _ in range(2)]
            moved[0][k][i] += 1e-6
            moved[1][k][i] -= 1e-6
            difference = a @ (hostile(0.0, z, moved[0]) - hostile(0.0, z, moved[1])) / 2e-6
            assert leaf[i] == pytest.approx(difference, abs=1e-8)  # round-off 1e-16/1e-6 and h² = 1e-12


@pytest.mark.parametrize("key", ["W 1", "lambda", "1st", "np", "Δ", "a\nimport os", 3])
def test_keys_that_are_no_identifiers_are_never_written_as_code(key):
    field = vector_field(lambda t, z, th: th[key] * z, np.ones(3), {key: np.ones(3)})
    for kind in KINDS:
        ast.parse(field.source(kind))
    assert "import os" not in field.source("vjp").replace("# ", "")


# ---------------------------------------------------------------- rows


def mlp(t, z, theta):
    W1, b1, W2, b2 = theta
    return W2 @ np.tanh(W1 @ z + b1 * t) + b2


def mlp_theta(rng, size, hidden):
    shapes = (hidden, size), (hidden,), (size, hidden), (size,)
    return tuple(rng.normal(size=shape) / 3 for shape in shapes)


@pytest.mark.parametrize(("size", "bits"), [(2, True), (8, False)])
def test_a_row_does_not_depend_on_the_rows_beside_it(size, bits):
    """Bit for bit in a fused kernel; to rounding where a matrix product works on a tile."""
    rng = np.random.default_rng(2)
    theta = mlp_theta(rng, size, 20)
    field = vector_field(mlp, np.zeros(size), theta)
    arrays, _ = random_arguments(field, theta, "vjp_z", np.float64, rng, rows=2 * TILE + 1)
    function = field.kernel("vjp_z").function
    function(*(arrays[name] for name in SIGNATURES["vjp_z"]))
    for b in (0, TILE - 1, TILE, 2 * TILE):
        alone = {name: x[b : b + 1].copy() if EXTENTS[name][0] == "n" else x for name, x in arrays.items()}
        function(*(alone[name] for name in SIGNATURES["vjp_z"]))
        for name in ("dz", "z_bar"):
            if bits:
                np.testing.assert_array_equal(alone[name][0], arrays[name][b])
            else:
                np.testing.assert_allclose(alone[name][0], arrays[name][b], rtol=1e-13)  # 20 terms, reordered


def test_p_bar_is_added_to_and_all_else_is_overwritten():
    rng = np.random.default_rng(3)
    theta = mlp_theta(rng, 2, 6)
    field = vector_field(mlp, np.zeros(2), theta)
    arrays, _ = random_arguments(field, theta, "vjp", np.float64, rng, rows=3)
    call = lambda: field.kernel("vjp").function(*(arrays[name] for name in SIGNATURES["vjp"]))  # noqa: E731
    call()
    once, dz = arrays["p_bar"].copy(), arrays["dz"].copy()
    call()
    np.testing.assert_allclose(arrays["p_bar"], 2 * once, rtol=1e-14)  # the same numbers added twice, one rounding each
    np.testing.assert_array_equal(arrays["dz"], dz)


# ---------------------------------------------------------------- the text


def test_the_same_field_gives_the_same_text():
    theta = mlp_theta(np.random.default_rng(0), 2, 6)
    assert vector_field(mlp, np.zeros(2), theta).source("vjp") == vector_field(mlp, np.ones(2), theta).source("vjp")


def test_no_kernel_is_compiled_before_it_is_asked_for():
    field = vector_field(mlp, np.zeros(2), mlp_theta(np.random.default_rng(0), 2, 6))
    field.kernel("f")
    assert list(field._kernels) == [("f", np.dtype(float))]


def spiral(t, z, theta):
    x = z**3
    h = np.tanh(theta["W1"] @ x + theta["b1"])
    return theta["W2"] @ h + theta["b2"]


GOLDEN = Path(__file__).with_name("golden_spiral_vjp.py")


def emitted_spiral():
    shapes = {"W1": (50, 2), "b1": (50,), "W2": (2, 50), "b2": (2,)}
    return vector_field(spiral, np.zeros(2), {key: np.zeros(shape) for key, shape in shapes.items()}).source("vjp")


def test_the_emitted_code_is_the_golden_file():
    """When a change is meant, run this file: it renews the golden one, and a reviewer sees what happens to the code."""
    assert emitted_spiral() == GOLDEN.read_text(encoding="utf-8")


if __name__ == "__main__":
    GOLDEN.write_text(emitted_spiral(), encoding="utf-8")
