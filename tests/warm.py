"""Imported by the process that all chapters are forked from: what each would do first is done once, for all."""

import gc
import io

import matplotlib
import matplotlib.pyplot as plt
import numpy as np

import nodeedu as ne
from nodeedu import plot

matplotlib.use("Agg")
figure, axes = plot.figure()
axes.loglog([1, 2], [1, 2], label=r"$\alpha_1$")
axes.set(title=r"$\frac{1}{2}$", xlabel="t")
axes.legend()
figure.savefig(io.BytesIO())
plt.close(figure)
RATES = np.array([1.0, 2.0])
field = ne.vector_field(lambda t, z, rates: -rates * z, np.ones(2), RATES)
ne.gradients(field, np.ones(2), [0.0, 1.0], RATES, np.ones((2, 2)))
gc.freeze()  # a collection would copy the pages that forked processes share
