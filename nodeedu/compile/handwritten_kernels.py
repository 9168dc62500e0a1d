"""Vector fields and their derivatives, derived and written by hand: the cross-check of traced fields, and their model.

Notation: ``x_bar = dL/dx`` is the cotangent of a quantity x, ``x_dot`` its tangent, ``a = dL/d(dz)`` what a VJP starts
from. Indices: i, k number state components, j hidden units, b rows; a repeated index in a term is summed.

**Affine map** ``y_k = W_ki x_i + b_k``. A change of W, b, x changes y by ``dW_ki x_i + W_ki dx_i + db_k``. So

    tangent      y_dot_k  = W_dot_ki x_i + W_ki x_dot_i + b_dot_k                          `push_affine`
    cotangents   dL       = y_bar_k dy_k = (y_bar_k x_i) dW_ki + (y_bar_k W_ki) dx_i + y_bar_k db_k
                 x_bar_i  = y_bar_k W_ki,    that is y_bar W: a row times the matrix       `pull_affine`
                 W_bar_ki = y_bar_k x_i,     b_bar_k = y_bar_k                             `pull_affine_parameters`

**tanh** ``h_j = tanh(u_j)`` has ``dh_j = (1 - h_j^2) du_j``, so ``h_dot_j = (1 - h_j^2) u_dot_j`` and
``u_bar_j = h_bar_j (1 - h_j^2)``: `scale_by_tanh_slope` serves both.

**Multilayer perceptron** ``u = W1 z + b1``, ``h = tanh(u)``, ``dz = W2 h + b2``: the rules in turn, a VJP from the end:

    dz = W2 h + b2     b2_bar_k = a_k,       W2_bar_kj = a_k h_j,       h_bar_j = a_k W2_kj
    h  = tanh(u)                                                        u_bar_j = h_bar_j (1 - h_j^2)
    u  = W1 z + b1     b1_bar_j = u_bar_j,   W1_bar_ji = u_bar_j z_i,   z_bar_i = u_bar_j W1_ji

Parameters lie in p in the order of theta, each in C order. The arithmetic is strict IEEE in the order of the source: in
float64 a function gives the same bits jitted and as plain Python (tanh as far as both call the same C library).
Constants take their type from the arrays: a literal 1.0 would turn float32 arithmetic into float64.
"""

from __future__ import annotations

import math

from nodeedu.compile.build import jit

# --- the rules, for one sample ----------------------------------------------------------------------------------------


@jit
def affine(W, b, x, y):
    """Write ``y = W x + b``; shapes (n, m), (n,), (m,), (n,)."""
    for k in range(W.shape[0]):
        y_k = b[k]
        for i in range(W.shape[1]):
            y_k += W[k, i] * x[i]
        y[k] = y_k


@jit
def push_affine(W, x, W_dot, b_dot, x_dot, y_dot):
    """Write ``y_dot = W_dot x + W x_dot + b_dot``."""
    for k in range(W.shape[0]):
        y_dot_k = b_dot[k]
        for i in range(W.shape[1]):
            y_dot_k += W_dot[k, i] * x[i] + W[k, i] * x_dot[i]
        y_dot[k] = y_dot_k


@jit
def pull_affine(W, y_bar, x_bar):
    """Write ``x_bar = y_bar W``; row by row of W, which is how it lies in memory."""
    for i in range(W.shape[1]):
        x_bar[i] = 0
    for k in range(W.shape[0]):
        for i in range(W.shape[1]):
            x_bar[i] += y_bar[k] * W[k, i]


@jit
def pull_affine_parameters(y_bar, x, W_bar, b_bar):
    """Add ``outer(y_bar, x)`` to W_bar and y_bar to b_bar."""
    for k in range(W_bar.shape[0]):
        b_bar[k] += y_bar[k]
        for i in range(W_bar.shape[1]):
            W_bar[k, i] += y_bar[k] * x[i]


@jit
def apply_tanh(u):
    """Replace u by ``h = tanh(u)``."""
    for j in range(u.shape[0]):
        u[j] = math.tanh(u[j])


@jit
def scale_by_tanh_slope(h, v):
    """Multiply v by ``dh/du = 1 - h^2``."""
    one = h.dtype.type(1)
    for j in range(h.shape[0]):
        v[j] *= one - h[j] * h[j]


@jit
def clear_time_cotangent(t_bar):
    """Write the ``t_bar = 0`` of a field that does not depend on t."""
    for b in range(t_bar.shape[0]):
        t_bar[b] = 0


# --- linear: dz = A z + b, p = (A, b) ---------------------------------------------------------------------------------


@jit
def linear_leaves(p, D):
    """Return views of A (D, D) and b (D,) in p."""
    return p[: D * D].reshape((D, D)), p[D * D : D * D + D]


@jit
def linear_f(t, z, p, dz, work):
    """Evaluate ``dz = A z + b``."""
    A, b = linear_leaves(p, z.shape[1])
    for row in range(z.shape[0]):
        affine(A, b, z[row], dz[row])


@jit
def linear_vjp(t, z, a, p, dz, t_bar, z_bar, p_bar, work):
    """Evaluate f and its VJP: ``z_bar = a A``, ``A_bar += outer(a, z)``, ``b_bar += a``."""
    linear_vjp_z(t, z, a, p, dz, z_bar, work)
    linear_vjp_theta(t, z, a, p, p_bar, work)
    clear_time_cotangent(t_bar)


@jit
def linear_vjp_z(t, z, a, p, dz, z_bar, work):
    """Evaluate f and ``z_bar = a A``."""
    A, b = linear_leaves(p, z.shape[1])
    for row in range(z.shape[0]):
        affine(A, b, z[row], dz[row])
        pull_affine(A, a[row], z_bar[row])


@jit
def linear_vjp_theta(t, z, a, p, p_bar, work):
    """Add ``A_bar = outer(a, z)`` and ``b_bar = a`` of each row."""
    A_bar, b_bar = linear_leaves(p_bar, z.shape[1])
    for row in range(z.shape[0]):
        pull_affine_parameters(a[row], z[row], A_bar, b_bar)


@jit
def linear_jvp(t, z, z_dot, p, p_dot, dz, dz_dot, work):
    """Evaluate f and ``dz_dot = A_dot z + A z_dot + b_dot``."""
    A, b = linear_leaves(p, z.shape[1])
    A_dot, b_dot = linear_leaves(p_dot, z.shape[1])
    for row in range(z.shape[0]):
        affine(A, b, z[row], dz[row])
        push_affine(A, z[row], A_dot, b_dot, z_dot[row], dz_dot[row])


# --- multilayer perceptron: dz = W2 tanh(W1 z + b1) + b2, p = (W1, b1, W2, b2) ----------------------------------------


@jit
def mlp_leaves(p, D):
    """Return views of W1 (H, D), b1 (H,), W2 (D, H) and b2 (D,) in p, whose length is H (2 D + 1) + D."""
    H = (p.shape[0] - D) // (2 * D + 1)
    end_W1, end_b1, end_W2 = H * D, H * D + H, 2 * H * D + H
    W1, W2 = p[:end_W1].reshape((H, D)), p[end_b1:end_W2].reshape((D, H))
    return W1, p[end_W1:end_b1], W2, p[end_W2 : end_W2 + D]


@jit
def mlp_f(t, z, p, dz, work):
    """Evaluate ``dz = W2 tanh(W1 z + b1) + b2``; work holds h."""
    W1, b1, W2, b2 = mlp_leaves(p, z.shape[1])
    h = work[: b1.shape[0]]
    for row in range(z.shape[0]):
        affine(W1, b1, z[row], h)
        apply_tanh(h)
        affine(W2, b2, h, dz[row])


@jit
def mlp_vjp(t, z, a, p, dz, t_bar, z_bar, p_bar, work):
    """Evaluate f and its VJP, the table at the head of this file from bottom to top; work holds h, u_bar."""
    W1, b1, W2, b2 = mlp_leaves(p, z.shape[1])
    W1_bar, b1_bar, W2_bar, b2_bar = mlp_leaves(p_bar, z.shape[1])
    H = b1.shape[0]
    h, u_bar = work[:H], work[H : 2 * H]
    for row in range(z.shape[0]):
        affine(W1, b1, z[row], h)
        apply_tanh(h)
        affine(W2, b2, h, dz[row])
        pull_affine_parameters(a[row], h, W2_bar, b2_bar)
        pull_affine(W2, a[row], u_bar)  # h_bar, which the next line turns into u_bar
        scale_by_tanh_slope(h, u_bar)
        pull_affine_parameters(u_bar, z[row], W1_bar, b1_bar)
        pull_affine(W1, u_bar, z_bar[row])
    clear_time_cotangent(t_bar)


@jit
def mlp_vjp_z(t, z, a, p, dz, z_bar, work):
    """Evaluate f and z_bar, without the cotangents of the parameters; work holds h, u_bar."""
    W1, b1, W2, b2 = mlp_leaves(p, z.shape[1])
    H = b1.shape[0]
    h, u_bar = work[:H], work[H : 2 * H]
    for row in range(z.shape[0]):
        affine(W1, b1, z[row], h)
        apply_tanh(h)
        affine(W2, b2, h, dz[row])
        pull_affine(W2, a[row], u_bar)
        scale_by_tanh_slope(h, u_bar)
        pull_affine(W1, u_bar, z_bar[row])


@jit
def mlp_vjp_theta(t, z, a, p, p_bar, work):
    """Add the cotangents of the parameters; work holds h, u_bar."""
    W1, b1, W2, _ = mlp_leaves(p, z.shape[1])
    W1_bar, b1_bar, W2_bar, b2_bar = mlp_leaves(p_bar, z.shape[1])
    H = b1.shape[0]
    h, u_bar = work[:H], work[H : 2 * H]
    for row in range(z.shape[0]):
        affine(W1, b1, z[row], h)
        apply_tanh(h)
        pull_affine_parameters(a[row], h, W2_bar, b2_bar)
        pull_affine(W2, a[row], u_bar)
        scale_by_tanh_slope(h, u_bar)
        pull_affine_parameters(u_bar, z[row], W1_bar, b1_bar)


@jit
def mlp_jvp(t, z, z_dot, p, p_dot, dz, dz_dot, work):
    """Evaluate f and its JVP, ``u_dot``, ``h_dot``, ``dz_dot`` in turn; work holds h, h_dot."""
    W1, b1, W2, b2 = mlp_leaves(p, z.shape[1])
    W1_dot, b1_dot, W2_dot, b2_dot = mlp_leaves(p_dot, z.shape[1])
    H = b1.shape[0]
    h, h_dot = work[:H], work[H : 2 * H]
    for row in range(z.shape[0]):
        affine(W1, b1, z[row], h)
        apply_tanh(h)
        affine(W2, b2, h, dz[row])
        push_affine(W1, z[row], W1_dot, b1_dot, z_dot[row], h_dot)  # u_dot, which the next line turns into h_dot
        scale_by_tanh_slope(h, h_dot)
        push_affine(W2, h, W2_dot, b2_dot, h_dot, dz_dot[row])


# --- Van der Pol: x' = v, v' = mu (1 - x^2) v - x, p = (mu,) ----------------------------------------------------------
#
#     f_z = [[0, 1], [-2 mu x v - 1, mu (1 - x^2)]],   f_mu = [0, (1 - x^2) v]


@jit
def van_der_pol_f(t, z, p, dz, work):
    """Evaluate ``x' = v``, ``v' = mu (1 - x^2) v - x``."""
    one = z.dtype.type(1)
    for row in range(z.shape[0]):
        x, v = z[row, 0], z[row, 1]
        dz[row, 0] = v
        dz[row, 1] = p[0] * (one - x * x) * v - x


@jit
def van_der_pol_vjp(t, z, a, p, dz, t_bar, z_bar, p_bar, work):
    """Evaluate f and its VJP: ``z_bar = a f_z``, ``mu_bar += a f_mu``."""
    van_der_pol_vjp_z(t, z, a, p, dz, z_bar, work)
    van_der_pol_vjp_theta(t, z, a, p, p_bar, work)
    clear_time_cotangent(t_bar)


@jit
def van_der_pol_vjp_z(t, z, a, p, dz, z_bar, work):
    """Evaluate f and ``z_bar = a f_z``: x_bar = -a_v (2 mu x v + 1), v_bar = a_x + a_v mu (1 - x^2)."""
    van_der_pol_f(t, z, p, dz, work)
    mu, one = p[0], z.dtype.type(1)
    for row in range(z.shape[0]):
        x, v = z[row, 0], z[row, 1]
        z_bar[row, 0] = -a[row, 1] * ((mu + mu) * x * v + one)
        z_bar[row, 1] = a[row, 0] + a[row, 1] * mu * (one - x * x)


@jit
def van_der_pol_vjp_theta(t, z, a, p, p_bar, work):
    """Add ``mu_bar = a_v (1 - x^2) v`` of each row."""
    one = z.dtype.type(1)
    for row in range(z.shape[0]):
        x, v = z[row, 0], z[row, 1]
        p_bar[0] += a[row, 1] * (one - x * x) * v


@jit
def van_der_pol_jvp(t, z, z_dot, p, p_dot, dz, dz_dot, work):
    """Evaluate f and ``f_z z_dot + f_mu mu_dot``."""
    van_der_pol_f(t, z, p, dz, work)
    mu, one = p[0], z.dtype.type(1)
    for row in range(z.shape[0]):
        x, v = z[row, 0], z[row, 1]
        x_dot, v_dot = z_dot[row, 0], z_dot[row, 1]
        slope = mu * (one - x * x) * v_dot - ((mu + mu) * x * v + one) * x_dot
        dz_dot[row, 0] = v_dot
        dz_dot[row, 1] = slope + p_dot[0] * (one - x * x) * v
