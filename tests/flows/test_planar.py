"""Planar flows: determinants, gradients, inverses, folds, and the continuous limit in closed form."""

import math

import numpy as np
import pytest
from scipy.special import ndtr

import nodeedu as ne
from nodeedu import nn
from nodeedu.autodiff import structure
from nodeedu.flows import CNF, Gaussian, PlanarCNF, PlanarFlow, densities, one_unit_solution
from nodeedu.flows.planar import constrained_direction

TARGET = Gaussian([0.8, -0.5], [[0.5, 0.2], [0.2, 0.8]])


@pytest.fixture(scope="module")
def flow():
    return PlanarFlow(2, depth=3)


@pytest.fixture(scope="module")
def theta(flow):
    return flow.init(seed=0, scale=1.0)


# ---------------------------------------------------------------- layers


def test_the_log_determinant_is_that_of_the_jacobians_of_the_layers(flow, theta):
    z = np.random.default_rng(1).normal(size=(6, 2))
    for x, log_det in zip(z, flow.push(z, theta)[1], strict=True):
        expected = 0.0
        for u, w, b in zip(*theta.values(), strict=True):
            u = constrained_direction(u, w)
            slope = 1.0 - np.tanh(w @ x + b) ** 2
            expected += np.linalg.slogdet(np.eye(2) + slope * np.outer(u, w))[1]
            x = x + u * np.tanh(w @ x + b)
        assert log_det == pytest.approx(expected, abs=1e-13)  # three layers of roundings


def test_constrained_layers_have_u_times_w_above_minus_one():
    rng = np.random.default_rng(2)
    for u, w in rng.normal(size=(100, 2, 5)) * 5:
        # softplus(w·u) is down to 1e-90: −1 is reached, up to roundings of sums of size |u| |w| = 200.
        assert constrained_direction(u, w) @ w > -1.0 - 1e-12


def test_the_constraint_moves_u_along_w_alone():
    u, w = np.random.default_rng(3).normal(size=(2, 2))
    moved = constrained_direction(u, w) - u
    assert moved[0] * w[1] - moved[1] * w[0] == pytest.approx(0.0, abs=1e-15)  # parallel, up to a rounding


def test_without_scale_the_flow_starts_as_the_identity(flow):
    z = np.random.default_rng(4).normal(size=(5, 2))
    pushed, log_det = flow.push(z, flow.init(seed=1, scale=0.0))
    np.testing.assert_allclose(pushed, z, atol=1e-14)  # softplus(log(e − 1)) − 1 is 0 but for a rounding
    np.testing.assert_allclose(log_det, 0.0, atol=1e-14)


def test_pull_undoes_push(flow, theta):
    z = 2.0 * np.random.default_rng(5).normal(size=(20, 2))
    # 60 bisections of an interval of length 2; slopes down to 0.1 magnify roundings.
    np.testing.assert_allclose(flow.pull(flow.push(z, theta)[0], theta), z, atol=1e-13)


def test_samples_follow_the_log_density(flow, theta):
    x = flow.sample(theta, 2000, seed=6)
    # E_p[score] = 0 and E_p[(x·score)] = −D for any density p that vanishes at infinity: here by differences.
    h = 1e-4
    scores = np.stack([flow.log_prob(x + h * e, theta) - flow.log_prob(x - h * e, theta) for e in np.eye(2)], -1)
    inner = np.sum(x * scores / (2 * h), axis=1)
    assert abs(inner.mean() + 2.0) < 4 * inner.std() / math.sqrt(len(x))  # four standard errors


# ---------------------------------------------------------------- gradients


def losses(flow, z):
    return {
        "reverse KL": lambda theta: flow.reverse_kl(TARGET, z, theta),
        "likelihood": lambda theta: flow.nll_and_gradient(z, theta),
    }


@pytest.mark.parametrize("loss", ["reverse KL", "likelihood"])
def test_the_gradient_of_a_loss_is_that_of_differences(flow, theta, loss):
    rng = np.random.default_rng(7)
    loss_and_gradient = losses(flow, rng.normal(size=(7, 2)))[loss]
    direction = {name: rng.normal(size=leaf.shape) for name, leaf in theta.items()}
    h = 1e-5
    up, down = (loss_and_gradient({k: theta[k] + s * h * direction[k] for k in theta})[0] for s in (1, -1))
    gradient = loss_and_gradient(theta)[1]
    # truncation h² × third derivative, rounding 1e-15/h
    assert sum(np.sum(gradient[k] * direction[k]) for k in theta) == pytest.approx((up - down) / (2 * h), rel=1e-7)


def test_reverse_kl_of_the_identity_is_that_of_two_normals(flow):
    z = flow.base.sample(4000, seed=8)
    value, _ = flow.reverse_kl(TARGET, z, flow.init(seed=1, scale=0.0))
    C, m = TARGET.covariance, TARGET.mean
    inverse = np.linalg.inv(C)
    closed_form = 0.5 * (np.trace(inverse) + m @ inverse @ m - 2.0 + np.linalg.slogdet(C)[1])
    terms = flow.base.log_prob(z) - TARGET.log_prob(z)
    assert abs(value - closed_form) < 4 * terms.std() / math.sqrt(len(z))  # four standard errors


@pytest.mark.jit
def test_training_by_reverse_kl_approaches_the_target(flow):
    def step(theta, k):
        return flow.reverse_kl(TARGET, flow.base.sample(128, seed=[0, k]), theta)

    theta = flow.init(seed=2)
    result = nn.train(step, theta, nn.Adam(lr=2e-2), steps=300, progress=False)
    fresh = flow.base.sample(4000, seed=9)
    # Measured: from 1.3 to 0.016. Three layers are no affine map, and do not reach 0.
    assert flow.reverse_kl(TARGET, fresh, result.theta)[0] < 0.1 < 0.5 < flow.reverse_kl(TARGET, fresh, theta)[0]


# ---------------------------------------------------------------- without the constraint

ACROSS = {"u": np.array([[-3.0, 0.0]]), "w": np.array([[1.0, 0.0]]), "b": np.zeros(1)}  # α ↦ α − 3 tanh α along z₁
FOLD = math.atanh(math.sqrt(2.0 / 3.0))  # where its slope 1 − 3 (1 − tanh²) is 0


def mass(flow):
    """Integral over the plane of the "density" of one layer ACROSS: along z₂ it is a normal."""
    x = np.linspace(-14.0, 14.0, 2801)
    log_p = flow.log_prob(np.stack([x, np.zeros_like(x)], -1), ACROSS)
    return np.sum(np.exp(log_p)) * (x[1] - x[0]) * math.sqrt(2 * math.pi)


def test_with_the_constraint_the_density_integrates_to_one():
    assert mass(PlanarFlow(2, 1)) == pytest.approx(1.0, abs=1e-10)  # smooth: the rectangle rule is exact


def test_a_folding_layer_counts_three_times_what_lies_in_the_fold():
    # Between −y and y, y the height of the fold, three points go to one. The mass is 1 + 2 P(|Y| < y), Y normal.
    y = -FOLD + 3.0 * math.sqrt(2.0 / 3.0)
    expected = 1.0 + 2.0 * (2.0 * ndtr(y) - 1.0)  # 2.61
    # Kinks of |det| at the folds: an error of h² for h = 0.01.
    assert mass(PlanarFlow(2, 1, constrained=False)) == pytest.approx(expected, abs=1e-4)


def test_at_the_fold_of_a_layer_its_log_determinant_is_minus_infinity():
    _, log_det = PlanarFlow(2, 1, constrained=False).push([[FOLD, 0.0]], ACROSS)
    assert log_det[0] < -33.0  # log of the rounding that is left, 1e-16 × 3, or of 0


def test_a_folding_layer_cannot_be_pulled():
    with pytest.raises(ValueError, match="theta: layer 0 has u·w = -3 < −1 and no inverse"):
        PlanarFlow(2, 1, constrained=False).pull(np.zeros((1, 2)), ACROSS)


@pytest.mark.jit
def test_folds_let_maximum_likelihood_beat_the_entropy_which_no_density_can():
    flow, circles = PlanarFlow(2, 8, constrained=False), densities.two_circles()
    x, fresh = circles.sample(2048, seed=0), circles.sample(4000, seed=1)

    def step(theta, k):
        return flow.nll_and_gradient(x[256 * (k % 8) : 256 * (k % 8 + 1)], theta)

    result = nn.train(step, flow.init(0, scale=3.0), nn.Adam(lr=1e-2), steps=500, max_norm=1.0, progress=False)
    # Measured: 2.14 nats, 1.13 below the entropy; the "density" integrates to 19.
    assert -np.mean(flow.log_prob(fresh, result.theta)) < circles.entropy - 0.5


# ---------------------------------------------------------------- the continuous flow

U, W, B = np.array([0.9, -0.4]), np.array([0.7, 1.1]), 0.3


@pytest.fixture(scope="module")
def one_unit():
    """A CNF of one unit without gate."""
    planar = PlanarCNF(2, 1, gates=0)
    theta = {"w": W[None], "b": np.array([B]), "u": U[:, None]}
    return CNF(ne.vector_field(planar, np.zeros(2), theta), method="dop853", rtol=1e-12, atol=1e-13), theta


def test_samples_of_one_unit_are_those_of_the_closed_form(one_unit):
    cnf, theta = one_unit
    z0 = np.random.default_rng(10).normal(size=(5, 2))
    np.testing.assert_allclose(cnf.push(z0, theta), one_unit_solution(z0, U, W, B)[0], atol=1e-10)  # rtol 1e-12


def test_log_densities_of_one_unit_are_those_of_the_closed_form(one_unit):
    cnf, theta = one_unit
    z0 = np.random.default_rng(11).normal(size=(5, 2))
    z, change = one_unit_solution(z0, U, W, B)
    np.testing.assert_allclose(cnf.log_prob(z, theta), cnf.base.log_prob(z0) + change, atol=1e-10)  # rtol 1e-12


def test_the_closed_form_is_continuous_where_u_and_w_become_orthogonal():
    z0 = np.random.default_rng(12).normal(size=(5, 2))
    u = np.array([-W[1], W[0]])
    limit, near = (one_unit_solution(z0, u + epsilon * W, W, B)[0] for epsilon in (0.0, 1e-12))
    np.testing.assert_allclose(near, limit, atol=1e-10)  # linear in epsilon; nothing cancels


def test_planar_layers_of_size_one_over_n_approach_the_continuous_flow_with_order_one():
    z0 = np.random.default_rng(13).normal(size=(4, 2))
    z, change = one_unit_solution(z0, U, W, B)
    errors = []
    for n in (64, 128, 256):
        theta = {"u": np.tile(U / n, (n, 1)), "w": np.tile(W, (n, 1)), "b": np.full(n, B)}
        y, log_det = PlanarFlow(2, n, constrained=False).push(z0, theta)
        errors.append([np.max(np.abs(y - z)), np.max(np.abs(-log_det - change))])
    orders = np.log2(np.divide(errors[:-1], errors[1:]))
    np.testing.assert_allclose(orders, 1.0, atol=0.05)  # the next term is 1/n = 0.015 times the first


def test_gated_units_add_up_as_in_the_formula():
    planar = PlanarCNF(3, 4, gates=2)
    theta = planar.init(seed=3)
    t, z = 0.6, np.array([0.2, -1.0, 0.5])
    gate = theta["gate"]
    expected = np.zeros(3)
    for m in range(4):
        hidden = [math.tanh(c * t + d) for c, d in zip(gate["c"], gate["d"], strict=True)]
        sigma = 1.0 / (1.0 + math.exp(-(gate["G"][m] @ hidden + gate["e"][m])))
        expected += sigma * theta["u"][:, m] * math.tanh(theta["w"][m] @ z + theta["b"][m])
    np.testing.assert_allclose(planar(t, z, theta), expected, rtol=1e-13)  # roundings


def test_a_hypernetwork_moves_every_parameter_as_in_the_formula():
    planar = PlanarCNF(3, 4, gates=2, hypernetwork=True)
    theta = planar.init(seed=3)
    t, z, gate, motion = 0.6, np.array([0.2, -1.0, 0.5]), theta["gate"], theta["motion"]
    hidden = [math.tanh(c * t + d) for c, d in zip(gate["c"], gate["d"], strict=True)]
    there = {"gate": gate | {"G": np.zeros((4, 2)), "e": gate["G"] @ hidden + gate["e"]}}
    for name in ("w", "b", "u"):
        there[name] = theta[name] + np.reshape([row @ hidden for row in motion[name]], theta[name].shape)
    np.testing.assert_allclose(planar(t, z, theta), PlanarCNF(3, 4, gates=2)(t, z, there), rtol=1e-13)  # roundings


def test_a_hypernetwork_of_zeros_is_the_gated_flow():
    theta = PlanarCNF(2, 3, gates=2, hypernetwork=True).init(seed=5)
    gated = PlanarCNF(2, 3, gates=2).init(seed=5)
    for name, leaf in theta.pop("motion").items():
        assert leaf.std() > 0, name
    assert all(np.array_equal(x, y) for x, y in zip(structure.leaves(theta), structure.leaves(gated), strict=True))
    theta["motion"] = {"w": np.zeros((6, 2)), "b": np.zeros((3, 2)), "u": np.zeros((6, 2))}
    z = np.array([0.3, -0.2])
    np.testing.assert_array_equal(
        PlanarCNF(2, 3, gates=2, hypernetwork=True)(0.4, z, theta), PlanarCNF(2, 3, gates=2)(0.4, z, gated)
    )


def test_a_closed_gate_stops_the_flow():
    planar = PlanarCNF(2, 3, gates=2)
    theta = planar.init(seed=4)
    theta["gate"]["e"] -= 800.0
    np.testing.assert_array_equal(planar(0.5, np.ones(2), theta), 0.0)  # exp(−800) underflows


def test_the_size_of_the_field_does_not_depend_on_the_width():
    z = np.random.default_rng(14).normal(size=(200, 2))
    sizes = []
    for width in (4, 64):
        planar = PlanarCNF(2, width)
        sizes.append(np.mean([planar(0.5, x, planar.init(seed)) ** 2 for seed, x in enumerate(z)]))
    assert sizes[1] / sizes[0] == pytest.approx(1.0, abs=0.4)  # 200 draws: a standard error of about 0.1


# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PlanarFlow(2, 0), "depth: got 0, expected a positive integer"),
        (lambda: PlanarFlow(2.0, 1), "dim: got 2.0"),
        (lambda: PlanarFlow(2, 1, base=Gaussian([0.0], [1.0])), "base: got dimension 1, expected dim = 2"),
        (
            lambda: PlanarFlow(2, 2).push(np.zeros((1, 2)), PlanarFlow(2, 3).init(0)),
            r"theta: got u \(3, 2\), .*\(2, 2\)",
        ),
        (lambda: PlanarFlow(2, 1).push(np.zeros(2), ACROSS), r"z: got shape \(2,\), expected \(B, 2\)"),
        (lambda: PlanarFlow(2, 1).log_prob([[0.0, math.nan]], ACROSS), "z: .*nan"),
        (lambda: PlanarFlow(2, 1).init(None), "seed: got None"),
        (lambda: PlanarCNF(2, 0), "width: got 0, expected an integer of at least 1"),
        (lambda: PlanarCNF(2, 1, gates=0, hypernetwork=True), "gates: got 0, expected hidden units"),
        (lambda: PlanarCNF(2, 1, gates=-1), "gates: got -1, expected an integer of at least 0"),
    ],
)
def test_what_makes_no_planar_flow_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_parameters_have_a_structure_that_optimisers_take():
    theta = PlanarCNF(2, 3).init(0)
    assert [path for path, _ in structure.flatten(theta)] == [
        "theta['w']", "theta['b']", "theta['u']",
        "theta['gate']['c']", "theta['gate']['d']", "theta['gate']['G']", "theta['gate']['e']",
    ]  # fmt: skip
