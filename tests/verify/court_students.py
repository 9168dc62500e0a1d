"""Functions as a student would hand them in, right or with one slip, for the tests of the court.

They share no code with it: derivatives are complex steps, solves are SciPy's, and a slip is made where one would make
it, in the middle of the algorithm. ``bug`` is the number of the mistake; 0 is right.
"""

from __future__ import annotations

import numpy as np
from scipy.integrate import solve_ivp

from nodeedu.autodiff import structure

STEP = 1e-30


class Derivatives:
    """f of flat states and parameters, with its derivatives."""

    def __init__(self, f, z_shape, theta):
        self.function, self.shape, self.theta = f, z_shape, theta
        self.shapes = [np.shape(leaf) for leaf in structure.leaves(theta)]
        self.p = np.concatenate([np.zeros(0), *(np.ravel(leaf) for leaf in structure.leaves(theta))])

    def unflat(self, p):
        ends = np.cumsum([int(np.prod(shape)) for shape in self.shapes])
        parts = np.split(p, ends[:-1]) if self.shapes else []
        return structure.unflatten(self.theta, [x.reshape(s) for x, s in zip(parts, self.shapes, strict=True)])

    def f(self, t, z, p=None):
        theta = self.theta if p is None else self.unflat(p)
        value = self.function(t, np.reshape(z, self.shape), theta) if self.theta is not None else self.function(
            t, np.reshape(z, self.shape))  # fmt: skip
        return np.reshape(np.asarray(value), -1)

    def J(self, t, z):
        return np.stack([self.f(t, z + 1j * STEP * e).imag / STEP for e in np.eye(len(z))], axis=1)

    def f_theta(self, t, z):
        columns = [self.f(t, z, self.p + 1j * STEP * e).imag / STEP for e in np.eye(len(self.p))]
        return np.stack(columns, axis=1) if columns else np.zeros((len(z), 0))

    def f_t(self, t, z):
        return self.f(t + 1j * STEP, z).imag / STEP


def solve(rhs, span, start, tol=1e-8, dense=False):
    return solve_ivp(rhs, span, start, "DOP853", rtol=tol, atol=tol / 10, dense_output=dense)


def adjoint_rhs(f, problem, bug):
    """Return a claim of da/dt; the path is the student's own."""
    d = Derivatives(f, problem.field.shape, problem.theta)
    path = solve(d.f, (problem.ts[0], problem.ts[-1]), problem.z0, 1e-11, dense=True).sol
    t0, t1 = problem.ts[0], problem.ts[-1]

    def claim(t, z, a, theta):
        z, a = z.reshape(-1), a.reshape(-1)
        if bug == 3:
            t, z = t1, path(t1)
        if bug == 4:
            z = path(t0 + t1 - t)
        J = d.J(t, z)
        return {1: a @ J, 2: -J @ a}.get(bug, -a @ J).reshape(problem.field.shape)

    return claim


def theta_integrand(f, problem, bug):
    d = Derivatives(f, problem.field.shape, problem.theta)
    sign = -1.0 if bug == 7 else 1.0
    return lambda t, z, a, theta: d.unflat(sign * a.reshape(-1) @ d.f_theta(t, z.reshape(-1)))


def jump(bug):
    return {9: lambda a, g: a - g, 10: lambda a, g: g}.get(bug, lambda a, g: a + g)


def tangent_rhs(f, problem, bug):
    d, shape = Derivatives(f, problem.field.shape, problem.theta), problem.field.shape

    def claim(t, z, dz, theta):
        J = d.J(t, z.reshape(-1))
        return ((J.T if bug == 52 else J) @ dz.reshape(-1)).reshape(shape)

    return claim


def discrete_backward(bug):
    """Return a claim that goes back through Euler's steps."""

    def claim(f, zs, ts, theta, zs_bar):
        d, shape = Derivatives(f, zs.shape[1:], theta), zs.shape[1:]
        zs, g, h = zs.reshape(len(ts), -1), zs_bar.reshape(len(ts), -1), np.diff(ts)
        a, a_theta, N = g[-1], np.zeros(len(d.p)), len(h)
        if bug == 43:
            a_theta = a_theta + h[-1] * a @ d.f_theta(ts[N], zs[N])
            a = a + h[-1] * a @ d.J(ts[N], zs[N])
        for n in reversed(range(N)):
            t = {42: ts[n + 1], 44: ts[0]}.get(bug, ts[n])
            behind = bug == 48
            place = (ts[n + 1], zs[n + 1]) if behind else (t, zs[n + 1] if bug == 46 else zs[n])
            step = 1.0 if bug == 41 else h[n]
            a_next, a = a, a + step * a @ d.J(*place) + g[n]
            weight = a if bug == 45 else a_next
            own = (ts[n + 1], zs[n + 1]) if behind else (t, zs[n])
            a_theta = a_theta + (1.0 if bug in (41, 47) else h[n]) * weight @ d.f_theta(*own)
        return a.reshape(shape), d.unflat(a_theta)

    return claim


def rate_of(d, bug, z0):
    """Return a wrong or right d log p/dt."""

    def rate(t, z):
        J = d.J(t, z0 if bug == 31 else z)
        return {
            24: lambda: np.trace(J), 25: lambda: -np.sum(J), 26: lambda: -np.sum(J * J),
            27: lambda: -np.linalg.det(J), 28: lambda: -np.sum(np.abs(np.diag(J))),
            29: lambda: -np.sum(d.f_t(t, z)), 30: lambda: -np.mean(np.diag(J)),
        }.get(bug, lambda: -np.trace(J))()  # fmt: skip

    return rate


def log_p_rate(f, problem, bug):
    rate = rate_of(Derivatives(f, problem.field.shape, problem.theta), bug, problem.z0)
    return lambda t, z, theta: rate(t, z.reshape(-1))


def log_p(problem, bug):
    """Return a claim that solves back from x and integrates the rate."""
    t0, t1 = problem.ts[0], problem.ts[-1]

    def log_normal(z):
        return -0.5 * z @ z - 0.5 * len(z) * np.log(2 * np.pi)

    def claim(f, x, theta):
        d, x = Derivatives(f, x.shape, theta), x.reshape(-1)
        D = len(x)
        z0 = solve(d.f, (t1, t0), x, 1e-10).y[:, -1]
        if bug == 32:
            return log_normal(z0) - np.linalg.slogdet(np.eye(D) + (t1 - t0) * d.J(t0, z0))[1]
        if bug == 33:

            def tangent(t, y):
                return np.concatenate([d.f(t, y[:D]), (d.J(t, y[:D]) @ y[D:].reshape(D, D)).ravel()])

            Phi = solve(tangent, (t0, t1), np.concatenate([z0, np.eye(D).ravel()])).y[D:, -1].reshape(D, D)
            return log_normal(z0) - np.log(np.linalg.det(Phi.T @ Phi))
        rate = rate_of(d, bug, z0)
        y = solve(lambda t, y: [*d.f(t, y[:D]), rate(t, y[:D])], (t0, t1), [*z0, 0.0]).y[:, -1]
        return log_normal(x if bug == 34 else z0) + y[-1]

    return claim


def fixed_rate(f, problem, bug):
    """Return a claim of the rate at a fixed point; the score is solved along the path, by differences of the trace."""
    d, D = Derivatives(f, problem.field.shape, problem.theta), problem.size

    def trace_gradient(t, z):
        h = 1e-4
        return np.array([(np.trace(d.J(t, z + h * e)) - np.trace(d.J(t, z - h * e))) / (2 * h) for e in np.eye(D)])

    def rhs(t, y):
        z, s = y[:D], y[D:]
        return np.concatenate([d.f(t, z), -s @ d.J(t, z) - trace_gradient(t, z)])

    path = solve(rhs, (problem.ts[0], problem.ts[-1]), np.concatenate([problem.z0, -problem.z0]), 1e-10, dense=True).sol

    def claim(t, z, theta):
        z = z.reshape(-1)
        return -np.trace(d.J(t, z)) - (0.0 if bug else path(t)[D:] @ d.f(t, z))

    return claim


def mixed_rate(f, problem):
    """Return a claim of the rate along the path that computes the one at a fixed point."""
    return fixed_rate(f, problem, 0)


def trace_estimate(f, problem, bug):
    d, D = Derivatives(f, problem.field.shape, problem.theta), problem.size
    fresh = np.random.default_rng(11)

    def claim(t, z, theta, seed):
        rng = fresh if bug == 40 else np.random.default_rng(seed)
        if bug == 36:
            v = rng.uniform(-1, 1, D)
        elif bug == 37:
            v = rng.normal(size=D)
            v = v / np.linalg.norm(v)
        else:
            v = rng.choice([-1.0, 1.0], D)
        Jv = d.f(t, z.reshape(-1) + 1j * STEP * v).imag / STEP
        if bug == 38:
            return rng.choice([-1.0, 1.0], D) @ Jv
        return Jv @ Jv if bug == 39 else v @ Jv

    return claim


def linear_adjoint(bug):
    def claim(A, C, u):
        if bug == 50:
            return u @ C @ np.linalg.inv(A)
        return np.linalg.solve(A if bug == 49 else A.T, u) @ C

    return claim


def lagrange(bug):
    """Return a claim that solves the multiplier's equation back; the Hessian of the loss by differences."""

    def claim(f, z0, ts, theta, loss_gradient):
        d, D, shape = Derivatives(f, z0.shape, theta), z0.size, z0.shape
        path = solve(d.f, (ts[0], ts[-1]), z0.reshape(-1), 1e-10, dense=True).sol

        def L_z(z):
            return loss_gradient(z.reshape(shape)).reshape(-1)

        def rhs(t, y):
            z, m = path(t), y[:D]
            v = d.f(t, z)
            h = 1e-5
            l_z = (L_z(z + h * v) - L_z(z - h * v)) / (2 * h) + L_z(z) @ d.J(t, z)
            if bug == 54:
                l_z = L_z(z)
            return np.concatenate([l_z - m @ d.J(t, z), -(L_z(z) - m) @ d.f_theta(t, z)])

        m1 = L_z(path(ts[-1])) if bug == 51 else np.zeros(D)
        y = solve(rhs, (ts[-1], ts[0]), np.concatenate([m1, np.zeros(len(d.p))])).y[:, -1]
        return d.unflat(y[D:])

    return claim
