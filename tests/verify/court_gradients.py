"""The whole gradient as a student would compute it, interval by interval, right or with one slip."""

from itertools import pairwise

import numpy as np
from court_students import Derivatives, solve


class Student:
    """Algorithms 1 and 2 on complex steps and SciPy's solver; ``bug`` is the number of the mistake, 0 is right."""

    def __init__(self, bug, f, start, ts, theta, zs_bar):
        self.bug, self.ts, self.T = bug, ts, len(ts)
        self.d, self.g = Derivatives(f, start.shape, theta), zs_bar.reshape(len(ts), -1)
        self.paths, zs = [], [start.reshape(-1)]
        for s, t in pairwise(ts):
            self.paths.append(solve(self.d.f, (s, t), zs[-1], 1e-10, dense=True).sol)
            zs.append(self.paths[-1](t))
        self.slopes = np.array([self.d.f(t, z) for t, z in zip(ts, zs, strict=True)])

    def z_at(self, t):
        ts = self.ts
        t = ts[0] + ts[-1] - t if self.bug == 4 else t
        inside = (ts[1:-1] < t) if ts[-1] > ts[0] else (ts[1:-1] > t)
        return self.paths[int(np.sum(inside))](t)

    def rhs(self, t, y):
        a, z, d = y[: self.g.shape[1]], self.z_at(t), self.d
        J = d.J(self.ts[-1], self.z_at(self.ts[-1])) if self.bug == 3 else d.J(t, z)
        rate = {1: a @ J, 2: -J @ a}.get(self.bug, -a @ J)
        return np.concatenate([rate, -a @ d.f_theta(t, z), [-a @ d.f_t(t, z)]])

    def back(self, i, a, a_theta, a_t):
        """Cross the interval before t_i."""
        span = (self.ts[i - 1], self.ts[i]) if self.bug == 5 else (self.ts[i], self.ts[i - 1])
        y = solve(self.rhs, span, np.concatenate([a, a_theta, [a_t]])).y[:, -1]
        return y[: len(a)], y[len(a) : -1], y[-1]

    def jump(self, a, i):
        """Add the observation at t_i, which is not the last."""
        g = self.g
        if self.bug == 11:  # that of the time before is added here
            a = a + g[i + 1] * (i + 1 < self.T - 1)
            return a if i else a + g[0]
        if self.bug == 17:
            return a + g[i] / self.T
        slip = {8: a, 9: a - g[i], 10: g[i]}.get(self.bug, a + g[i])
        return slip if i else a + g[0]

    def sweep(self, seed):
        """Return a, a_theta, a_t(t0) and a(t0+)."""
        a, a_theta = seed, np.zeros(len(self.d.p))
        dL_dt = np.einsum("td,td->t", self.g, self.slopes)
        a_t = {20: dL_dt[-1], 21: 0.0}.get(self.bug, -dL_dt[-1])
        for i in range(self.T - 1, 0, -1):
            plus, a_theta, a_t = self.back(i, a, a_theta, a_t)
            a = self.jump(plus, i - 1)
            if i > 1:
                a_t -= dL_dt[i - 1]
                a_theta = 0 * a_theta if self.bug == 12 else a_theta
        return a, a_theta, a_t, plus

    def with_adjoint(self):
        """Return a f at all times but the first, where g_i f belongs."""
        a, found = self.g[-1], [self.g[-1] @ self.slopes[-1]]
        for i in range(self.T - 1, 1, -1):
            a = self.back(i, a, np.zeros(len(self.d.p)), 0.0)[0] + self.g[i - 1]
            found.append(a @ self.slopes[i - 1])
        return found[::-1]

    def times(self, a, a_t, plus):
        """Return dL/dt_i."""
        dts = np.einsum("td,td->t", self.g, self.slopes)
        if self.bug == 18:
            dts[1:] = self.with_adjoint()
        first = {19: -dts[1:].sum(), 20: a_t, 21: a_t, 22: plus @ self.slopes[0], 53: -a @ self.slopes[0]}
        dts[0] = first.get(self.bug, -plus @ self.slopes[0])
        dts[1:] *= -1.0 if self.bug == 23 else 1.0
        return dts


def gradient(bug, loss_value=1.0, z0_theta=None):
    """Return a claim; the loss itself is needed where it is taken for its gradient."""

    def claim(f, z0, ts, theta, zs_bar):
        start = np.asarray(z0(theta) if callable(z0) else z0, float)
        s = Student(bug, f, start, ts, theta, zs_bar)
        last = s.g[-1]
        seed = {13: np.full_like(last, loss_value), 14: np.ones_like(last), 17: last / len(ts)}.get(bug, last)
        a, a_theta, a_t, plus = s.sweep(seed)
        dts = s.times(a, a_t, plus)
        if z0_theta is not None and bug != 15:
            a_theta = a_theta + a @ z0_theta
        sign, theta_sign = (-1.0 if bug == 6 else 1.0), (-1.0 if bug in (6, 7) else 1.0)
        a_theta = theta_sign * a_theta / (ts[-1] - ts[0] if bug == 16 else 1.0)
        return sign * a.reshape(start.shape), s.d.unflat(a_theta), sign * dts

    return claim
