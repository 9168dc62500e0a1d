"""Checkpoints: exact, whole or not at all, and never believed when damaged."""

import zipfile

import numpy as np
import pytest

from nodeedu import nn
from nodeedu.autodiff.structure import flatten


def content():
    """One of everything that a checkpoint can hold."""
    rng = np.random.default_rng(0)
    special = np.array([np.nan, -0.0, np.inf, 5e-324, 0.1])
    return {
        "theta": {"W1": rng.normal(size=(2, 3)), "b's \"/..": np.float32([0.1, 1e-45]), 3: [np.array(1.5), special]},
        "state": ({"step": 7, "m": (np.zeros(0), np.asfortranarray(rng.normal(size=(2, 2))))}, [], {}),
        "plain": [None, True, 2**200, 0.1, -0.0, float("inf"), "Grüße \x00", np.float32(0.1), np.int64(3)],
    }


def described(structure):
    """Containers, types, dtypes, shapes and bits of a structure."""
    if isinstance(structure, dict):
        return [(key, described(value)) for key, value in structure.items()]
    if isinstance(structure, (list, tuple)):
        return type(structure), [described(x) for x in structure]
    if isinstance(structure, (np.ndarray, np.generic)):
        layout = structure.flags.f_contiguous
        return type(structure), structure.dtype, structure.shape, layout, structure.tobytes(order="A")
    return type(structure), repr(structure)


def test_content_comes_back_exactly(tmp_path):
    nn.save_checkpoint(tmp_path / "run.npz", content())
    assert described(nn.load_checkpoint(tmp_path / "run.npz")) == described(content())


@pytest.mark.parametrize("kind", ["PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64"])
def test_random_generator_continues_where_it_was(tmp_path, kind):
    rng = np.random.Generator(getattr(np.random, kind)(0))
    rng.integers(0, 9, 3, dtype=np.int32)  # leaves half of a 64-bit word behind
    nn.save_checkpoint(tmp_path / "run.npz", {"rng": rng})
    loaded = nn.load_checkpoint(tmp_path / "run.npz")["rng"]
    np.testing.assert_array_equal(loaded.integers(0, 99, 9, dtype=np.int32), rng.integers(0, 99, 9, dtype=np.int32))


def test_arrays_are_found_by_numpy_under_their_paths(tmp_path):
    nn.save_checkpoint(tmp_path / "run.npz", content())
    with np.load(tmp_path / "run.npz") as archive:
        np.testing.assert_array_equal(archive["theta['W1']"], content()["theta"]["W1"])


def test_same_content_gives_the_same_bytes(tmp_path):
    paths = [nn.save_checkpoint(tmp_path / name, content()) for name in ("a.npz", "b.npz")]
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_name_is_used_as_given_and_its_folder_made(tmp_path):
    path = nn.save_checkpoint(tmp_path / "new" / "model", {"x": 1})
    assert path == tmp_path / "new" / "model"
    assert nn.load_checkpoint(path) == {"x": 1}


def test_link_stays_a_link(tmp_path):
    link = tmp_path / "latest.npz"
    link.symlink_to(tmp_path / "run.npz")
    nn.save_checkpoint(link, {"x": 1})
    assert link.is_symlink()
    assert nn.load_checkpoint(tmp_path / "run.npz") == {"x": 1}


def test_older_file_survives_a_failed_write(tmp_path, monkeypatch):
    path = nn.save_checkpoint(tmp_path / "run.npz", {"x": 1})

    def full_disk(*args, **kwargs):
        raise OSError("no space left on device")

    monkeypatch.setattr(zipfile.ZipFile, "writestr", full_disk)
    with pytest.raises(OSError, match="no space left"):
        nn.save_checkpoint(path, {"x": 2})
    assert nn.load_checkpoint(path) == {"x": 1}


def test_failed_write_leaves_no_file_behind(tmp_path, monkeypatch):
    monkeypatch.setattr(zipfile.ZipFile, "writestr", lambda *args: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        nn.save_checkpoint(tmp_path / "run.npz", {"x": 2})
    assert list(tmp_path.iterdir()) == []


def test_damaged_byte_never_changes_what_is_read(tmp_path):
    path = nn.save_checkpoint(tmp_path / "run.npz", {"theta": (np.arange(3.0), np.float32(2.0)), "step": 3})
    whole, expected = path.read_bytes(), described(nn.load_checkpoint(path))
    refused = 0
    places = range(0, len(whole), 3)  # every third byte: fast, and still hundreds
    for i in places:
        path.write_bytes(whole[:i] + bytes([whole[i] ^ 0x55]) + whole[i + 1 :])
        try:
            assert described(nn.load_checkpoint(path)) == expected  # a byte that says nothing, such as a date
        except ValueError:
            refused += 1
    assert refused > len(places) / 2


@pytest.mark.parametrize("keep", [0.0, 0.3, 0.9, 0.999])
def test_file_cut_short_is_refused_with_its_name(tmp_path, keep):
    path = nn.save_checkpoint(tmp_path / "run.npz", content())
    whole = path.read_bytes()
    path.write_bytes(whole[: int(keep * len(whole))])
    with pytest.raises(ValueError, match=r"run\.npz: got a file that is damaged or no checkpoint"):
        nn.load_checkpoint(path)


def test_npz_of_another_program_is_refused(tmp_path):
    np.savez(tmp_path / "other.npz", x=np.ones(3))
    with pytest.raises(ValueError, match=r"other\.npz: .* no checkpoint .*structure\.json"):
        nn.load_checkpoint(tmp_path / "other.npz")


def test_file_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"absent\.npz"):
        nn.load_checkpoint(tmp_path / "absent.npz")


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"x": [1, {2}]}, r"x\[1\] is a set"),
        ({"x": {"y": np.array([None])}}, r"x\['y'\] is an array of Python objects"),
        ({"x": np.ma.array([1.0])}, "x is a MaskedArray"),
        ({"x": {1.5: 0}}, r"x has the key 1\.5: expected texts or integers"),
        ({"not a name": 0}, "content has the key 'not a name'"),
    ],
)
def test_what_a_checkpoint_cannot_hold_is_refused(tmp_path, bad, message):
    with pytest.raises(TypeError, match=message):
        nn.save_checkpoint(tmp_path / "run.npz", bad)
    assert list(tmp_path.iterdir()) == []


def test_paths_of_leaves_are_unique():
    paths = [path for path, _ in flatten({1: 0, "1": 0, "a": {"b": 0}, "a']['b": 0})]
    assert len(set(paths)) == 4
