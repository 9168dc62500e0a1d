"""`vjp` of the vector field `spiral`, float64.

vjp(t, z, a, p, dz, t_bar, z_bar, p_bar, work) for n samples, one a row: D = 2, P = 252 parameters, 252 words in p.
p_bar is added to, all other results are overwritten. Written by nodeedu: change the vector field, not this.
"""

import numpy as np
from numba import carray, njit

from nodeedu.compile.build import FLAGS, c_function
from nodeedu.compile.elementary import tanh64 as tanh

@njit(**FLAGS)
def vjp(t, z, a, p, dz, t_bar, z_bar, p_bar, work):
    n = t.shape[0]
    W1_0 = p[0:50]
    W1_1 = p[50:100]
    b1 = p[100:150]
    W2_0 = p[150:200]
    W2_1 = p[200:250]
    W1_bar_0 = p_bar[0:50]
    W1_bar_1 = p_bar[50:100]
    b1_bar = p_bar[100:150]
    W2_bar_0 = p_bar[150:200]
    W2_bar_1 = p_bar[200:250]
    b2_0 = p[250]
    b2_1 = p[251]
    for b in range(n):
        z_0 = z[b, 0]
        z_1 = z[b, 1]
        a_0 = a[b, 0]
        a_1 = a[b, 1]
        # x = z**3
        x_0 = z_0 * z_0 * z_0
        x_1 = z_1 * z_1 * z_1
        t_bar[b] = 0.0
        p_bar[250] += a_0
        p_bar[251] += a_1
        s = 0.0
        s_2 = 0.0
        x_bar_0 = 0.0
        x_bar_1 = 0.0
        for j in range(50):
            # h = np.tanh(theta["W1"] @ x + theta["b1"])
            h = tanh(W1_0[j] * x_0 + W1_1[j] * x_1 + b1[j])
            # return theta["W2"] @ h + theta["b2"]
            s += W2_0[j] * h
            s_2 += W2_1[j] * h
            h_bar = a_0 * W2_0[j] + a_1 * W2_1[j]
            # h = np.tanh(theta["W1"] @ x + theta["b1"])
            v = h_bar * (1.0 - h * h)
            x_bar_0 += v * W1_0[j]
            x_bar_1 += v * W1_1[j]
            W1_bar_0[j] += v * x_0
            W1_bar_1[j] += v * x_1
            b1_bar[j] += v
            W2_bar_0[j] += a_0 * h
            W2_bar_1[j] += a_1 * h
        dz[b, 0] = s + b2_0
        dz[b, 1] = s_2 + b2_1
        z_bar[b, 0] = x_bar_0 * 3.0 * z_0 * z_0
        z_bar[b, 1] = x_bar_1 * 3.0 * z_1 * z_1


@c_function("vjp", "float64")
def vjp_c(n, t, z, a, p, dz, t_bar, z_bar, p_bar, work):
    vjp(carray(t, n), carray(z, (n, 2)), carray(a, (n, 2)), carray(p, 252), carray(dz, (n, 2)), carray(t_bar, n), carray(z_bar, (n, 2)), carray(p_bar, 252), carray(work, 0))
    return 1
