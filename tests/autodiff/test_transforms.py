"""Derivatives of tapes, against each other and against routes that never use the table's derivatives."""

import numpy as np
import pytest
from fields import FIELDS

from nodeedu.autodiff import (
    central_difference,
    complex_step,
    divergence,
    grad,
    jacobian,
    jvp,
    record,
    structure,
    tape_dot_product_test,
    vjp,
)

SQUARE = [field for field in FIELDS if field.z.size <= 6]


def tape_of(field):
    return record(field.function, {"t": field.t, "z": field.z, "theta": field.theta}, "dz")


def random_like(x, seed=1):
    return np.random.default_rng(seed).normal(size=np.shape(x))


def by_name(field):
    return field.name


def call(field):
    """The function itself, of one dict of all its arguments."""

    def f(x):
        return np.asarray(field.function(x["t"], x["z"], x["theta"]))

    return f, {"t": field.t, "z": field.z, "theta": field.theta}


# ---------------------------------------------------------------------------------------------------- first derivatives


@pytest.mark.parametrize("field", FIELDS, ids=by_name)
def test_jvp_and_vjp_of_a_field_are_adjoint(field):
    assert tape_dot_product_test(tape_of(field), field.inputs()) < 1e-14  # rounding of sums of up to 1500 terms


@pytest.mark.parametrize("field", FIELDS, ids=by_name)
def test_jvp_of_a_field_equals_extrapolated_differences(field):
    tape = tape_of(field)
    f, x = call(field)
    x_dot = structure.tree_map(random_like, x)
    tangents = {role + "_dot": v for role, v in zip(tape.inputs, structure.leaves(x_dot), strict=True)}
    got = jvp(tape, tuple(tape.inputs)).evaluate({**field.inputs(), **tangents})["dz_dot"]
    expected = central_difference(f, x, x_dot, step=0.02)  # small enough to stay off the kinks
    # rounding: 2e-16 / (smallest step 2e-4), times values up to 100
    assert np.allclose(got, expected.value, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("field", FIELDS, ids=by_name)
def test_vjp_of_a_field_equals_the_complex_step(field):
    tape = tape_of(field)
    dz_bar = random_like(field.z)
    got = vjp(tape).evaluate({**field.inputs(), "dz_bar": dz_bar})
    for role, value in field.inputs().items():
        v = random_like(value)

        def along(s, role=role, v=v):
            return np.sum(dz_bar * tape.evaluate({**field.inputs(), role: field.inputs()[role] + s * v})["dz"])

        expected = complex_step(along, 0.0, 1.0)
        # rounding of sums of up to 600 terms
        assert np.sum(got[role + "_bar"] * v) == pytest.approx(expected, rel=1e-12, abs=1e-13)


def test_names_of_the_user_do_not_collide_with_those_of_the_transforms():
    field = next(field for field in FIELDS if field.name == "misleading_names")
    f, x = call(field)
    dz_bar = random_like(field.z)
    got = vjp(tape_of(field)).evaluate({**field.inputs(), "dz_bar": dz_bar})
    expected = central_difference(lambda x: np.sum(dz_bar * f(x)), x)
    for role, leaf in {"t": "t", "z": "z"}.items():
        assert np.allclose(got[role + "_bar"], expected.value[leaf], rtol=1e-9)  # 1e-12 / 1e-3 of differencing
    for key, value in expected.value["theta"].items():
        assert np.allclose(got[f"theta[{key!r}]_bar"], value, rtol=1e-9)


def test_cotangent_of_an_unused_input_is_zero():
    tape = record(lambda t, z, theta: theta[0] * z, {"t": 0.0, "z": np.ones(2), "theta": (1.0, np.ones((3, 0)))}, "dz")
    got = vjp(tape).evaluate(
        {"t": 0.0, "z": np.ones(2), "theta[0]": 1.0, "theta[1]": np.ones((3, 0)), "dz_bar": np.ones(2)}
    )
    assert got["t_bar"] == 0.0
    assert got["theta[1]_bar"].shape == (3, 0)


def test_transforms_leave_the_given_tape_as_it_was():
    tape = tape_of(FIELDS[0])
    before = tape.show(), len(tape.nodes), dict(tape.inputs)
    for transform in (vjp, jvp, divergence, jacobian):
        transform(tape)
    assert (tape.show(), len(tape.nodes), dict(tape.inputs)) == before


def test_vjp_keeps_the_outputs_of_the_tape():
    assert list(vjp(tape_of(FIELDS[3])).outputs) == ["dz", "t_bar", "z_bar", "theta_bar"]


def test_vjp_of_the_spiral_field_has_no_superfluous_lines():
    field = next(field for field in FIELDS if field.name == "spiral")
    live = vjp(tape_of(field), wrt=["z"])
    ops = [live.nodes[i].op for i in live.live() if live.nodes[i].op not in ("input", "const")]
    # f: power, 2 products, 2 sums, tanh; z_bar: 2 products, h^2, 1 - h^2, its product; z^2, 3 z^2, its product;
    # and one broadcast for each of the constants 3, 2 (twice) and 1
    assert len(ops) == 18
    assert ops.count("tanh") == 1


@pytest.mark.parametrize("field", SQUARE, ids=by_name)
def test_jacobian_equals_extrapolated_differences(field):
    got = jacobian(tape_of(field)).evaluate(field.inputs())["dz_z"]
    expected = central_difference(
        lambda z: np.asarray(field.function(field.t, z, field.theta)), field.z, step=0.02
    ).value
    assert got.shape == field.z.shape * 2
    assert np.allclose(got, expected, rtol=1e-9, atol=1e-10)  # rounding: 2e-16 / (smallest step 2e-4), values below 100


def test_jacobian_by_a_parameter_has_the_shapes_of_both():
    field = next(field for field in FIELDS if field.name == "commutator")
    got = jacobian(tape_of(field), wrt="theta").evaluate(field.inputs())["dz_theta"]
    expected = central_difference(lambda theta: field.function(field.t, field.z, theta), field.theta).value
    assert got.shape == (3, 3, 3, 3)
    assert np.allclose(got, expected, atol=1e-11)  # the field is linear in theta: rounding only


def test_jacobian_by_an_empty_input_is_empty():
    tape = record(lambda z, theta: z, {"z": np.ones(2), "theta": np.zeros((0, 3))}, "dz")
    got = jacobian(tape, wrt="theta").evaluate({"z": np.ones(2), "theta": np.zeros((0, 3))})
    assert got["dz_theta"].shape == (2, 0, 3)


@pytest.mark.parametrize("field", SQUARE, ids=by_name)
def test_divergence_is_the_trace_of_the_jacobian(field):
    tape = tape_of(field)
    J = jacobian(tape).evaluate(field.inputs())["dz_z"].reshape(field.z.size, field.z.size)
    got = divergence(tape).evaluate(field.inputs())["trace"]
    assert got == pytest.approx(np.trace(J), rel=1e-13, abs=1e-13)  # the same terms in another order


def test_grad_of_a_scalar_output():
    x = np.array([0.3, -0.8])
    tape = grad(record(lambda x: np.sum(np.exp(x) * x**2), {"x": x}, "loss"))
    assert np.allclose(tape.evaluate({"x": x})["x_grad"], np.exp(x) * (x**2 + 2 * x), rtol=1e-14)


# -------------------------------------------------------------------------------------------------------------- nesting


@pytest.mark.parametrize("field", SQUARE, ids=by_name)
def test_vjp_of_the_divergence_equals_extrapolated_differences(field):
    tape = divergence(tape_of(field))
    dz_bar, trace_bar = random_like(field.z), 0.7
    got = vjp(tape, ("dz", "trace")).evaluate({**field.inputs(), "dz_bar": dz_bar, "trace_bar": trace_bar})
    for role, value in field.inputs().items():

        def scalar(v, role=role):
            y = tape.evaluate({**field.inputs(), role: v})
            return np.sum(dz_bar * y["dz"]) + trace_bar * y["trace"]

        v = random_like(value)
        expected = central_difference(scalar, value, v, step=0.02).value
        # rounding: 2e-16 / (smallest step 2e-4), times values up to 100
        assert np.sum(got[role + "_bar"] * v) == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_cotangents_add_up_where_two_outputs_are_one_line():
    tape = divergence(record(lambda t, z: np.exp(z), {"t": 0.0, "z": 0.5}, "dz"))  # exp is its own divergence
    assert tape.outputs["dz"] == tape.outputs["trace"]
    got = vjp(tape, ("dz", "trace")).evaluate({"t": 0.0, "z": 0.5, "dz_bar": 2.0, "trace_bar": 3.0})
    assert got["z_bar"] == pytest.approx(5.0 * np.exp(0.5), rel=1e-15)


def scalar_of_three(z):
    return np.sum(np.tanh(np.outer(z, z)) * z) + np.prod([np.cos(z[0]), z[1], z[2] ** 3])


def hessians(z):
    """H by forward over reverse and by reverse over reverse."""
    loss = record(scalar_of_three, {"z": z}, "loss")
    gradient = grad(loss).select({"z_grad": "g"})
    forward = jvp(gradient, ("z",), ("g",))
    reverse = vjp(gradient, ("g",))
    units = np.eye(len(z))
    return (
        np.stack([forward.evaluate({"z": z, "z_dot": e})["g_dot"] for e in units], axis=-1),
        np.stack([reverse.evaluate({"z": z, "g_bar": e})["z_bar"] for e in units], axis=0),
    )


def test_forward_over_reverse_gives_a_symmetric_hessian():
    H, _ = hessians(np.array([0.4, -0.9, 1.2]))
    assert np.allclose(H, H.T, rtol=1e-13, atol=1e-14)  # equal up to the order of sums


def test_reverse_over_reverse_equals_forward_over_reverse():
    forward, reverse = hessians(np.array([0.4, -0.9, 1.2]))
    assert np.allclose(forward, reverse, rtol=1e-13, atol=1e-14)  # equal up to the order of sums


def test_hessian_equals_extrapolated_differences_of_the_gradient():
    z = np.array([0.4, -0.9, 1.2])
    gradient = grad(record(scalar_of_three, {"z": z}, "loss"))
    expected = central_difference(lambda z: gradient.evaluate({"z": z})["z_grad"], z)
    assert np.allclose(hessians(z)[0], expected.value, rtol=1e-9, atol=1e-10)  # rounding: 2e-16 / (smallest step 5e-4)


def test_jacobian_of_the_divergence_nests():
    tape = record(lambda t, z: z**3 * np.sum(z), {"t": 0.0, "z": np.ones(2)}, "dz")
    z = np.array([0.5, -1.5])
    got = jacobian(divergence(tape), "trace", "z").evaluate({"t": 0.0, "z": z})["trace_z"]
    # div = sum_i (3 z_i^2 s + z_i^3), s = sum z; d div / d z_k = 6 z_k s + 3 sum z_i^2 + 3 z_k^2
    assert np.allclose(got, 6 * z * z.sum() + 3 * np.sum(z**2) + 3 * z**2, rtol=1e-14)


def test_third_derivative_of_a_power():
    tape = record(lambda z: z**5, {"z": 0.0}, "y0")
    for k in range(3):
        tape = jacobian(tape, f"y{k}", "z").select({f"y{k}_z": f"y{k + 1}"})
    assert tape.evaluate({"z": 0.0})["y3"] == 0.0
    assert tape.evaluate({"z": 2.0})["y3"] == 60.0 * 2.0**2


# --------------------------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("transform", "said"),
    [
        (lambda tape: vjp(tape, ("y",)), "'y' is not an output of the tape, which has dz"),
        (lambda tape: vjp(tape, wrt=["x"]), "'x' is not an input of the tape, which has t, z"),
        (lambda tape: jvp(tape, ("x",)), "'x' is not an input"),
        (lambda tape: jacobian(tape, "dz", "x"), "'x' is not an input"),
        (lambda tape: grad(tape, "dz"), r"shape \(2,\): grad expects a scalar"),
        (lambda tape: vjp(vjp(tape), ("z_bar",)), r"has an output 't_bar' already: tape.select"),
        (lambda tape: vjp(vjp(tape), ("dz",)), "role 'dz_bar' is already an input"),
        (lambda tape: divergence(divergence(tape)), "has an output 'trace' already"),
    ],
)
def test_wrong_roles_are_named(transform, said):
    tape = record(lambda t, z: np.sin(z) * t, {"t": 0.0, "z": np.ones(2)}, "dz")
    with pytest.raises(ValueError, match=said):
        transform(tape)


def test_divergence_needs_the_shape_of_the_state():
    tape = record(lambda z: z[:2], {"z": np.ones(3)}, "dz")
    with pytest.raises(ValueError, match=r"dz has shape \(2,\), z \(3,\)"):
        divergence(tape)
