"""On a GPU, every kernel of the registry gives the CPU's results, on the launches that are proved on the CPU."""

import numpy as np
import pytest

from nodeedu.cuda.device import GPU
from nodeedu.cuda.registry import rows

pytestmark = [pytest.mark.gpu, pytest.mark.jit]


@pytest.mark.parametrize("real", ["float64", "float32"])
@pytest.mark.parametrize("row", rows(), ids=lambda row: row.name)
def test_a_gpu_gives_the_results_of_the_cpu(row, real):
    outputs = row.launch(np.dtype(real), GPU).run()
    for name, expected in row.expected(np.dtype(real)).items():
        if expected.dtype.kind in "iub":
            np.testing.assert_array_equal(outputs[name], expected, err_msg=name)
        else:  # both round: the row says by how much they may differ
            at_most = row.tolerance[real] * max(1.0, float(np.abs(expected).max()))
            np.testing.assert_allclose(outputs[name], expected, rtol=0.0, atol=at_most, err_msg=name)
