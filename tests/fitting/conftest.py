"""A small predator-prey table, with a value missing, at irregular times."""

import numpy as np
import pytest

from nodeedu.fitting import Table


@pytest.fixture(scope="session")
def rates():
    """Return a, b, c, d of the system that made the tables."""
    return 1.1, 0.05, 0.9, 0.03


@pytest.fixture(scope="session")
def exact(rates):
    """Return fourteen rows of a Lotka-Volterra system solved by SciPy, without noise."""
    from scipy.integrate import solve_ivp

    a, b, c, d = rates
    t = np.array([0, 0.4, 1, 1.5, 2.1, 2.5, 3.2, 4, 4.4, 5, 5.7, 6.1, 7, 7.5])
    solved = solve_ivp(
        lambda t, y: [y[0] * (a - b * y[1]), y[1] * (d * y[0] - c)],
        (0, 7.5),
        [40.0, 9.0],
        t_eval=t,
        rtol=1e-11,
        atol=1e-11,
    )
    return Table("data.csv", "day", ("prey", "predator"), t, solved.y.T, tuple(range(2, 16)), {"prey": "g"})


@pytest.fixture(scope="session")
def noisy(exact):
    """Return the same with 10 % noise and a missing value."""
    y = exact.y * np.random.default_rng(0).lognormal(sigma=0.1, size=exact.y.shape)
    y[3, 1] = np.nan
    return Table(exact.file, exact.time, exact.columns, exact.t, y, exact.lines, exact.units)
