"""The constants of the explicit Runge-Kutta methods, each with its reference; `nodeedu.tableaus` checks them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nodeedu.order_conditions import density, rooted_trees, stage_weights

Array = NDArray[np.float64]


def _lower(*rows: ArrayLike) -> Array:
    """Fill a strictly lower triangular matrix from its rows below the first."""
    A = np.zeros((len(rows) + 1, len(rows) + 1))
    for i, row in enumerate(rows):
        A[i + 1, : i + 1] = row
    return A


def _hermite(b: Array, bump: ArrayLike | None = None) -> Array:
    """Make the dense output of an FSAL method, from the values and slopes at both ends of the step.

    With ``dz = h sum_i b_i k_i``, the cubic Hermite polynomial through them is ``z + theta dz + theta (1 - theta)
    ((1 - theta) (h k_1 - dz) - theta (h k_s - dz))``. What a bump (s,) or (s, m) adds, ``theta**2 (1 - theta)**2 h
    sum_ij bump_ij theta**j k_i``, changes neither values nor slopes at the ends (Hairer, Norsett & Wanner I, II.6).
    """
    first, last = np.eye(len(b))[[0, -1]]
    cubic = np.stack([first, 3 * b - 2 * first - last, first + last - 2 * b], axis=1)
    if bump is None:
        return cubic
    bump = np.reshape(bump, (len(b), -1))
    weights = np.pad(cubic, [(0, 0), (0, bump.shape[1])])
    for j, column in enumerate(bump.T):
        weights[:, j + 1 : j + 4] += np.multiply.outer(column, [1, -2, 1])
    return weights


def _fsal(*rows: ArrayLike, bump: ArrayLike | None = None, **others: Any) -> dict[str, Any]:
    """Complete the constants of a method whose last stage is the first of its next step: b is the last row of A."""
    A = _lower(*rows)
    return {"A": A, "b": A[-1], "fsal": True, "interpolant": _hermite(A[-1], bump)} | others


# fmt: off
# DOP853, of order 8(5): row 12 of A, which is the FSAL stage, holds the weights b; entries that are not given are 0.
DOP853_NODES = (
    0.0, 0.0526001519587677318785587544488, 0.0789002279381515978178381316732, 0.11835034190722739672675719751,
    0.28164965809277260327324280249, 0.333333333333333333333333333333, 0.25, 0.307692307692307692307692307692,
    0.651282051282051282051282051282, 0.6, 0.857142857142857142857142857142, 1.0, 1.0,
)
DOP853_ROWS: dict[int, dict[int, float]] = {
    1: {
        0: 0.0526001519587677318785587544488,
    },
    2: {
        0: 0.0197250569845378994544595329183, 1: 0.0591751709536136983633785987549,
    },
    3: {
        0: 0.0295875854768068491816892993775, 2: 0.0887627564304205475450678981324,
    },
    4: {
        0: 0.241365134159266685502369798665, 2: -0.884549479328286085344864962717,
        3: 0.924834003261792003115737966543,
    },
    5: {
        0: 0.037037037037037037037037037037, 3: 0.170828608729473871279604482173,
        4: 0.125467687566822425016691814123,
    },
    6: {
        0: 0.037109375, 3: 0.170252211019544039314978060272, 4: 0.0602165389804559606850219397283,
        5: -0.017578125,
    },
    7: {
        0: 0.0370920001185047927108779319836, 3: 0.170383925712239993810214054705,
        4: 0.107262030446373284651809199168, 5: -0.0153194377486244017527936158236,
        6: 0.00827378916381402288758473766002,
    },
    8: {
        0: 0.624110958716075717114429577812, 3: -3.36089262944694129406857109825,
        4: -0.868219346841726006818189891453, 5: 27.5920996994467083049415600797,
        6: 20.1540675504778934086186788979, 7: -43.4898841810699588477366255144,
    },
    9: {
        0: 0.477662536438264365890433908527, 3: -2.48811461997166764192642586468,
        4: -0.590290826836842996371446475743, 5: 21.2300514481811942347288949897,
        6: 15.2792336328824235832596922938, 7: -33.2882109689848629194453265587,
        8: -0.0203312017085086261358222928593,
    },
    10: {
        0: -0.93714243008598732571704021658, 3: 5.18637242884406370830023853209,
        4: 1.09143734899672957818500254654, 5: -8.14978701074692612513997267357,
        6: -18.5200656599969598641566180701, 7: 22.7394870993505042818970056734,
        8: 2.49360555267965238987089396762, 9: -3.0467644718982195003823669022,
    },
    11: {
        0: 2.27331014751653820792359768449, 3: -10.5344954667372501984066689879,
        4: -2.00087205822486249909675718444, 5: -17.9589318631187989172765950534,
        6: 27.9488845294199600508499808837, 7: -2.85899827713502369474065508674,
        8: -8.87285693353062954433549289258, 9: 12.3605671757943030647266201528,
        10: 0.643392746015763530355970484046,
    },
    12: {
        0: 0.0542937341165687622380535766363, 5: 4.45031289275240888144113950566,
        6: 1.89151789931450038304281599044, 7: -5.8012039600105847814672114227,
        8: 0.31116436695781989440891606237, 9: -0.152160949662516078556178806805,
        10: 0.201365400804030348374776537501, 11: 0.0447106157277725905176885569043,
    },
}
DOP853_ERROR = {  # b - b_hat
    0: 0.01312004499419488073250102996, 5: -1.225156446376204440720569753, 6: -0.4957589496572501915214079952,
    7: 1.664377182454986536961530415, 8: -0.350328848749973681688648729, 9: 0.3341791187130174790297318841,
    10: 0.08192320648511571246570742613, 11: -0.02235530786388629525884427845,
}
# fmt: on


def _dop853() -> dict[str, Any]:
    """Complete the constants of DOP853 by dense output of order 6 that needs no stage beyond the thirteen.

    The published one, of order 7, needs three more. Order 6 leaves one direction of bumps free; the least of them keeps
    round-off small. Stages 2 to 5, which are of low order, have no weight, as in b.
    """
    A, b_hat = np.zeros((13, 13)), np.zeros(13)
    for i, row in DOP853_ROWS.items():
        A[i, list(row)] = list(row.values())
    b_hat[list(DOP853_ERROR)] = list(DOP853_ERROR.values())
    b, used = A[-1], np.r_[0, 5:13]
    phi, q = zip(*(_bump_conditions(A, b, order) for order in range(1, 7)), strict=True)
    bump = np.zeros((13, 3))
    bump[used] = np.linalg.lstsq(np.concatenate(phi)[:, used], np.concatenate(q), rcond=1e-13)[0]
    return dict(
        order=8, A=A, b=b, c=DOP853_NODES, fsal=True, b_hat=b - b_hat, embedded_order=5,
        interpolant=_hermite(b, bump), interpolant_order=6,
        reference="Hairer, Norsett & Wanner, Solving Ordinary Differential Equations I (1993), section II.10, and "
                  "their program dop853.f; of its two error estimates the one of order 5",
    )  # fmt: skip


def _bump_conditions(A: Array, b: Array, order: int) -> tuple[Array, Array]:
    """Return Phi (trees, s) and q (trees, 3): with ``Phi bump = q`` all trees of that order are met.

    ``theta**order / gamma`` less what the cubic Hermite polynomial gives has the factor ``theta**2 (1 - theta)**2``; q
    is the quotient.
    """
    trees = rooted_trees(order)
    phi = np.array([stage_weights(tree, A) for tree in trees])
    rest = np.zeros((len(trees), 7))
    rest[:, order] = [1 / density(tree) for tree in trees]
    rest[:, 1:4] -= phi @ _hermite(b)
    q = rest[:, 2:5]  # times 1 / (1 - theta)**2 = 1 + 2 theta + 3 theta**2 + ...
    for _ in range(2):
        q = np.cumsum(q, axis=1)
    return phi, q


# fmt: off
CONSTANTS: dict[str, dict[str, Any] | Callable[[], dict[str, Any]]] = {
    "euler": dict(
        order=1, A=_lower(), b=[1], c=[0],
        reference="Euler, Institutionum calculi integralis (1768)",
    ),
    "midpoint": dict(
        order=2, A=_lower([1/2]), b=[0, 1], c=[0, 1/2],
        reference="Runge, Math. Ann. 46 (1895) 167",
    ),
    "heun": dict(
        order=2, A=_lower([1]), b=[1/2, 1/2], c=[0, 1],
        reference="Heun, Z. Math. Phys. 45 (1900) 23",
    ),
    "ralston": dict(
        order=2, A=_lower([2/3]), b=[1/4, 3/4], c=[0, 2/3],
        reference="Ralston, Math. Comp. 16 (1962) 431: the smallest bound of the error at order 2",
    ),
    "kutta3": dict(
        order=3, A=_lower([1/2], [-1, 2]), b=[1/6, 2/3, 1/6], c=[0, 1/2, 1],
        reference="Kutta, Z. Math. Phys. 46 (1901) 435",
    ),
    "rk4": dict(
        order=4, A=_lower([1/2], [0, 1/2], [0, 0, 1]), b=[1/6, 1/3, 1/3, 1/6], c=[0, 1/2, 1/2, 1],
        reference="Kutta, Z. Math. Phys. 46 (1901) 435",
    ),
    "rk4_38": dict(
        order=4, A=_lower([1/3], [-1/3, 1], [1, -1, 1]), b=[1/8, 3/8, 3/8, 1/8], c=[0, 1/3, 2/3, 1],
        reference="Kutta, Z. Math. Phys. 46 (1901) 435: the 3/8 rule",
    ),
    "bosh3": _fsal(
        [1/2],
        [0, 3/4],
        [2/9, 1/3, 4/9],
        order=3, c=[0, 1/2, 3/4, 1],
        b_hat=[7/24, 1/4, 1/3, 1/8], embedded_order=2,
        interpolant_order=3,
        reference="Bogacki & Shampine, Appl. Math. Lett. 2 (1989) 321",
    ),
    "dopri5": _fsal(
        [1/5],
        [3/40, 9/40],
        [44/45, -56/15, 32/9],
        [19372/6561, -25360/2187, 64448/6561, -212/729],
        [9017/3168, -355/33, 46732/5247, 49/176, -5103/18656],
        [35/384, 0, 500/1113, 125/192, -2187/6784, 11/84],
        order=5, c=[0, 1/5, 3/10, 4/5, 8/9, 1, 1],
        b_hat=[5179/57600, 0, 7571/16695, 393/640, -92097/339200, 187/2100, 1/40], embedded_order=4,
        bump=[
            -12715105075/11282082432, 0, 87487479700/32700410799, -10690763975/1880347072,
            701980252875/199316789632, -1453857185/822651844, 69997945/29380423,
        ],
        interpolant_order=4,
        reference="Dormand & Prince, J. Comput. Appl. Math. 6 (1980) 19; "
                  "dense output: Shampine, Math. Comp. 46 (1986) 135, as in Hairer, Norsett & Wanner I, section II.6",
    ),
    "tsit5": _fsal(
        [0.161],
        [-0.008480655492356989, 0.335480655492357],
        [2.897153057105493, -6.359448489975075, 4.362295432869581],
        [5.325864828439257, -11.748883564062828, 7.495539342889836, -0.09249506636175525],
        [5.86145544294642, -12.92096931784711, 8.159367898576159, -0.071584973281401, -0.028269050394068383],
        [0.09646076681806523, 0.01, 0.4798896504144996, 1.379008574103742, -3.290069515436081, 2.324710524099774],
        order=5, c=[0, 0.161, 0.327, 0.9, 0.9800255409045097, 1, 1],
        # The paper prints b - b_hat, with the minus of its last entry, -1/66, lost; the order conditions need it.
        b_hat=[
            0.09468075576583946, 0.009183565540343254, 0.4877705284247616, 1.234297566930479,
            -2.7077123499835256, 1.866628418170587, 1/66,
        ],
        embedded_order=4,
        interpolant=[
            [1, -2.763706197274826, 2.9132554618219126, -1.0530884977290216],
            [0, 0.1317, -0.2234, 0.1017],
            [0, 3.9302962368947516, -5.941033872131505, 2.490627285651253],
            [0, -12.411077166933676, 30.33818863028232, -16.548102889244902],
            [0, 37.50931341651104, -88.1789048947664, 47.37952196281928],
            [0, -27.896526289197286, 65.09189467479366, -34.87065786149661],
            [0, 1.5, -4, 2.5],
        ],
        interpolant_order=4,
        reference="Tsitouras, Comput. Math. Appl. 62 (2011) 770",
    ),
    "dop853": _dop853,
}
# fmt: on
