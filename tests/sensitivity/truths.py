"""Gradients by routes that use no derivative code of the package: complex steps and a hand-written Jacobian."""

import numpy as np
from scipy.integrate import solve_ivp

import nodeedu as ne
from nodeedu.compile.handwritten import mlp_field, van_der_pol_field

TINY = 1e-200  # of a complex step: its square vanishes, and nothing cancels


def network(samples=3, hidden=4, seed=0):
    """A random MLP field, a batch of states, output times and loss gradients."""
    rng = np.random.default_rng(seed)
    field = mlp_field(2, hidden)
    theta = tuple(rng.normal(size=shape) for shape in field.leaf_shapes.values())
    ts = np.array([0.0, 0.3, 0.8, 1.5])
    return field, rng.normal(size=(samples, 2)), ts, theta, rng.normal(size=(4, samples, 2))


def oscillator():
    """Van der Pol's with mu = 1.5, one sample, observed at four times."""
    ts = np.array([0.0, 0.6, 1.1, 2.0])
    bar = np.array([[0.3, -1.0], [0.7, 0.2], [-0.4, 0.9], [1.0, -0.6]])
    return van_der_pol_field(), np.array([1.2, -0.7]), ts, (np.array(1.5),), bar


def flat(theta):
    """All leaves of a tuple of arrays in one vector."""
    return np.concatenate([np.ravel(leaf) for leaf in theta])


def complex_steps(loss, z0, theta):
    """Return dL/dz0 and dL/dtheta of ``loss(z0, theta)`` by complex steps, one argument at a time."""
    arguments = [z0, *theta]
    gradients = []
    for i, argument in enumerate(arguments):
        gradient = np.empty(np.shape(argument))
        for index in np.ndindex(gradient.shape):
            moved = [np.array(each, complex) for each in arguments]
            moved[i][index] += 1j * TINY
            gradient[index] = loss(moved[0], tuple(moved[1:])).imag / TINY
        gradients.append(gradient)
    return gradients[0], tuple(gradients[1:])


def replay(field, solution, b, z0, theta, tableau):
    """Repeat the recorded steps of sample b in complex NumPy; return its states at the output times."""
    records = solution._records
    steps = records.steps[: records.count[0]]
    steps = steps[steps["sample"] == b]
    ts = solution.ts if solution.ts.ndim == 1 else solution.ts[b]
    z, outputs = z0, [z0]
    for n, (t, h) in enumerate(zip(steps["t"], steps["h"], strict=True)):
        k = np.zeros((tableau.stages, len(z)), complex)
        for i in range(tableau.stages):
            k[i] = field(t + tableau.c[i] * h, z + h * tableau.A[i] @ k, theta)
        end = z + h * tableau.b @ k
        t1 = steps["t"][n + 1] if n + 1 < len(steps) else ts[-1]
        while len(outputs) < len(ts) and (ts[len(outputs)] - t1) * h <= 0:
            time = ts[len(outputs)]
            if solution._options.fixed or time == ts[-1]:
                outputs.append(end)
            else:
                powers = ((time - t) / h) ** np.arange(1, tableau.interpolant.shape[1] + 1)
                outputs.append(z + h * (tableau.interpolant @ powers) @ k)
        z = end
    return np.array(outputs)


def complex_gradient_on_the_recorded_steps(field, solution, theta, bar):
    """Differentiate the replay of all samples by complex steps."""
    tableau = solution._options.tableau
    z0 = solution.zs[0]

    def loss(z0, theta):
        return sum(np.sum(bar[:, b] * replay(field, solution, b, z0[b], theta, tableau)) for b in range(len(z0)))

    return complex_steps(loss, z0, theta)


def complex_gradient_of_the_ode(field, z0, ts, theta, bar):
    """Differentiate SciPy's solution of one sample by complex steps."""

    def loss(z0, theta):
        # A real part of the right size keeps the steps; the tiny imaginary part does not change them.
        scipy = solve_ivp(lambda t, z: field(t, z, theta), ts[[0, -1]], z0, "DOP853", ts, rtol=1e-12, atol=1e-13)
        return np.sum(bar * scipy.y.T)

    return complex_steps(loss, z0, theta)


def oscillator_sensitivity(z0, ts, mu, bar):
    """Solve ``S' = J S + f_mu`` for Van der Pol's oscillator with SciPy; return dL/dz0 and dL/dmu."""

    def rhs(t, y):
        x, v = y[:2]
        J = np.array([[0.0, 1.0], [-2.0 * mu * x * v - 1.0, mu * (1.0 - x * x)]])
        f_mu = np.array([0.0, (1.0 - x * x) * v])
        S = y[2:].reshape(2, 3)
        return np.concatenate([[v, mu * (1.0 - x * x) * v - x], (J @ S + np.outer(f_mu, [0.0, 0.0, 1.0])).ravel()])

    start = np.concatenate([z0, np.eye(2, 3).ravel()])
    y = solve_ivp(rhs, ts[[0, -1]], start, "DOP853", ts, rtol=1e-13, atol=1e-14).y.T
    gradient = np.einsum("ti,tij->j", bar, y[:, 2:].reshape(-1, 2, 3))
    return gradient[:2], gradient[2]


def loss_of(field, ts, bar, **options):
    """Return ``L(z0, ts, theta) = sum bar * zs`` as solved by the package."""
    return lambda z0, ts, theta: float(np.sum(bar * ne.odeint(field, z0, ts, theta, **options).zs))
