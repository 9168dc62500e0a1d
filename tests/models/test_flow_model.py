"""A trained flow has a density in data units, and its file comes back to the bit or is refused."""

import numpy as np
import pytest

from nodeedu.fitting import DataError
from nodeedu.models.flow.model import load
from nodeedu.nn import save_checkpoint


@pytest.fixture
def path(trained, tmp_path):
    trained.model.save(tmp_path / "model.npz")
    return tmp_path / "model.npz"


def test_a_loaded_model_draws_the_samples_of_the_one_saved(trained, path):
    np.testing.assert_array_equal(load(path).sample(7, seed=3), trained.model.sample(7, seed=3))


def test_a_loaded_model_gives_the_densities_of_the_one_saved(samples, trained, path):
    np.testing.assert_array_equal(load(path).log_prob(samples.held_out), trained.model.log_prob(samples.held_out))


@pytest.mark.jit  # in plain Python: 10 s; others run the same lines
def test_the_density_is_one_of_data_units(trained):
    # a window of ten deviations each way; the trapezoid rule on a smooth peak is far better than 1e-3
    centre, reach = trained.model.mean, 6.0 * trained.model.scale
    x, y = (np.linspace(c - r, c + r, 45) for c, r in zip(centre, reach, strict=True))
    points = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    total = np.exp(trained.model.log_prob(points)).sum() * (x[1] - x[0]) * (y[1] - y[0])
    np.testing.assert_allclose(total, 1.0, atol=1e-3)


@pytest.mark.parametrize("change", ["version", "shape", "nan"])
def test_a_file_that_holds_no_flow_is_refused(trained, path, change):
    import dataclasses

    content = {f.name: getattr(trained.model, f.name) for f in dataclasses.fields(trained.model)}
    content |= {"model": "nodeedu flow 1"}
    if change == "version":
        content["model"] = "nodeedu flow 0"
    else:
        weights = dict(content["weights"])
        weights["W1"] = weights["W1"][:, :2] if change == "shape" else weights["W1"] * np.nan
        content["weights"] = weights
    save_checkpoint(path, content)
    with pytest.raises(DataError, match="holds no flow, expected one that `nodeedu flow train` wrote"):
        load(path)
