"""A fitted model predicts in data units, and its file comes back to the bit or is refused."""

import dataclasses

import numpy as np
import pytest

from nodeedu.fitting import DataError
from nodeedu.fitting.model import load
from nodeedu.fitting.training import fit
from nodeedu.nn import save_checkpoint


@pytest.fixture(scope="module")
def model(noisy):
    return fit(noisy, 0, 5, 1e-3, progress=False)


def test_the_first_state_is_the_initial_state_in_data_units(model):
    np.testing.assert_array_equal(model.predict([0.0]), model.coordinates.y(model.z0)[None])


def test_times_may_come_in_any_order_and_repeated(model):
    # outputs of one solve are interpolated: which other times are asked for changes only where the last step ends
    expected = np.concatenate([model.predict([t]) for t in (2.0, 0.0, 7.5, 2.0)])
    np.testing.assert_allclose(model.predict([2.0, 0.0, 7.5, 2.0]), expected, rtol=1e-5)


@pytest.mark.parametrize("t", [-0.1, np.nan, np.inf])
def test_a_time_before_the_first_or_not_finite_is_refused(model, t):
    with pytest.raises(DataError, match="times: got .*, expected finite times from 0 on"):
        model.predict([1.0, t])


def test_a_saved_model_predicts_the_same_bits(model, tmp_path):
    model.save(tmp_path / "model.npz")
    again = load(tmp_path / "model.npz")
    t = np.linspace(0, 9, 7)
    np.testing.assert_array_equal(again.predict(t), model.predict(t))


def test_a_saved_model_knows_its_columns_units_and_seed(model, tmp_path):
    model.save(tmp_path / "model.npz")
    again = load(tmp_path / "model.npz")
    for name in ("time", "columns", "units", "seed", "t_train", "t_last"):
        assert getattr(again, name) == getattr(model, name)


def test_the_file_can_be_read_without_pickle(model, tmp_path):
    model.save(tmp_path / "model.npz")
    with np.load(tmp_path / "model.npz", allow_pickle=False) as archive:
        assert archive["weights['W1']"].shape == (20, 2)


def refused(path, text):
    with pytest.raises(DataError, match=text) as error:
        load(path)
    assert "\n" not in str(error.value)


def test_a_missing_model_is_refused(tmp_path):
    refused(tmp_path / "none.npz", "got no such file, expected a model file")


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04 not a zip"])
def test_a_foreign_file_is_refused(tmp_path, content):
    (tmp_path / "m.npz").write_bytes(content)
    refused(tmp_path / "m.npz", "damaged or foreign file")


@pytest.mark.parametrize("keep", [0.3, 0.9])
def test_a_truncated_model_is_refused(model, tmp_path, keep):
    model.save(tmp_path / "m.npz")
    whole = (tmp_path / "m.npz").read_bytes()
    (tmp_path / "m.npz").write_bytes(whole[: int(keep * len(whole))])
    refused(tmp_path / "m.npz", "damaged or foreign file")


def test_arrays_of_another_program_are_refused(tmp_path):
    np.savez(tmp_path / "m.npz", weights=np.ones(3))
    refused(tmp_path / "m.npz", "damaged or foreign file")


def test_pickled_objects_are_refused_and_never_run(tmp_path):
    np.savez(tmp_path / "m.npz", structure=np.array([{"a": 1}], dtype=object))
    refused(tmp_path / "m.npz", "damaged or foreign file")


def test_another_checkpoint_is_refused(tmp_path):
    save_checkpoint(tmp_path / "m.npz", {"theta": np.ones(3)})
    refused(tmp_path / "m.npz", "holds no model")


@pytest.mark.parametrize(
    "change",
    [{"z0": np.ones(3)}, {"weights": {"W1": np.ones((2, 2))}}, {"t_last": np.nan}, {"columns": ("a",)}],
    ids=["z0", "weights", "nan", "columns"],
)
def test_a_model_whose_parts_do_not_fit_is_refused(model, tmp_path, change):
    dataclasses.replace(model, **change).save(tmp_path / "m.npz")
    refused(tmp_path / "m.npz", "holds no model")
