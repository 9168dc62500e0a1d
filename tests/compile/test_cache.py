"""The folder for compiled code: whom it trusts, what happens without it, and when code in it is out of date."""

import inspect
import os
import sys
import time
import warnings

import numba
import pytest

from nodeedu.compile import cache
from nodeedu.compile.build import build, jit
from nodeedu.compile.kernels import JIT

needs_jit = pytest.mark.skipif(not JIT, reason="NUMBA_DISABLE_JIT=1 makes no machine code")
needs_posix = pytest.mark.skipif(not hasattr(os, "geteuid"), reason="owners and modes are a matter of POSIX")


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A cache folder of our own, not made yet; modules built in it are forgotten afterwards."""
    monkeypatch.setenv("NODEEDU_CACHE_DIR", str(tmp_path / "cache"))
    yield tmp_path / "cache"
    for name in [name for name in sys.modules if name.startswith("nodeedu_double_")]:
        del sys.modules[name]


@pytest.fixture
def blocked(root):
    """A cache folder that cannot be made, by root neither: a file has its name."""
    root.write_text("")
    return root


@pytest.fixture
def nowhere(blocked, monkeypatch):
    """No folder can be made, not even a temporary one."""
    monkeypatch.setattr(cache, "_temporary_folder", lambda: None)


def build_double(salt=""):
    """Build an emitted module with one function; a salt makes it another module."""
    text = "from numba import njit\nfrom nodeedu.compile.build import FLAGS\n\n\n@njit(**FLAGS)\ndef double(x):\n"
    return build(f"{text}    return 2 * x  # {salt}\n", "double")


def build_again(module):
    """Build the module of `build_double` as a new process would."""
    del sys.modules[module.__name__]
    return build_double()


# --- what lies in the folder ---


def test_folder_is_made_for_its_owner_alone(root):
    build_double()
    assert [folder.stat().st_mode & 0o777 for folder in (root, *root.iterdir())] == [0o700, 0o700]


def test_label_is_made_safe_for_a_file_name(root):
    path = build("x = 1", "../a b/θ").__file__
    assert os.path.basename(path) == "_a_b_.py"
    assert os.path.dirname(os.path.dirname(path)) == str(root)


@needs_jit
def test_machine_code_is_read_back(root):
    first = build_double()
    first.double(1.0)
    again = build_again(first)
    again.double(1.0)
    assert sum(again.double.stats.cache_hits.values()) == 1


def test_what_lies_in_a_module_file_is_never_trusted(root):
    module = build_double()
    with open(module.__file__) as file:
        text = file.read()
    with open(module.__file__, "w") as file:
        file.write("raise SystemExit('damaged')")
    again = build_again(module)
    assert again.double(1.0) == 2.0
    with open(again.__file__) as file:
        assert file.read() == text


@needs_posix
def test_module_file_that_others_can_write_to_is_replaced(root):
    module = build_double()
    os.chmod(module.__file__, 0o666)
    assert os.stat(build_again(module).__file__).st_mode & 0o777 == 0o600


@needs_jit
@pytest.mark.parametrize("ending", ["nbi", "nbc"])
def test_damaged_machine_code_is_compiled_again(root, ending):
    module = build_double()
    module.double(1.0)
    for file in root.glob(f"double-*/__pycache__/*.{ending}"):
        file.write_bytes(b"torn")
    again = build_again(module)
    assert again.double(1.0) == 2.0
    assert not again.double.stats.cache_hits


@needs_jit
def test_two_processes_write_no_file_of_machine_code_in_common(root, monkeypatch):
    process = os.getpid()
    for each in (process, process + 1):
        monkeypatch.setattr(os, "getpid", lambda each=each: each)
        build_double(f"{each}").double(1.0)
    names = [file.name.split(".") for file in root.glob("double-*/__pycache__/*.nbc")]
    assert sorted(int(name[-3]) for name in names) == [process, process + 1]


def test_units_unused_for_long_are_removed(root):
    build("x = 4", "old")
    build("x = 5", "young")
    long_ago = time.time() - (cache.UNUSED_DAYS + 1) * 86400
    (old,) = root.glob("old-*")
    os.utime(old, (long_ago, long_ago))
    build("x = 6", "new")
    assert sorted(path.name.split("-")[0] for path in root.iterdir()) == ["new", "young"]


# --- folders that are refused ---


@needs_posix
def test_folder_of_another_user_is_refused(root, monkeypatch):
    root.mkdir(mode=0o700)
    user = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: user + 1)
    with pytest.warns(cache.CacheWarning, match=f"belongs to user {user}, not to user {user + 1}"):
        assert cache.folder() != root


@needs_posix
@pytest.mark.parametrize("mode", [0o720, 0o702])
def test_folder_that_others_can_write_to_is_refused(root, mode):
    root.mkdir()
    root.chmod(mode)
    with pytest.warns(cache.CacheWarning, match="can be written by other users"):
        assert cache.folder() != root


@needs_posix
def test_unit_that_others_can_write_to_is_refused(root):
    module = build_double()
    os.chmod(os.path.dirname(module.__file__), 0o777)
    with pytest.warns(cache.CacheWarning, match="can be written by other users"):
        assert not os.path.exists(build_again(module).__file__)


def test_temporary_folder_stands_in_for_one_that_cannot_be_made_and_this_is_said_once(blocked):
    with pytest.warns(cache.CacheWarning, match="this process only.*Set NODEEDU_CACHE_DIR") as said:
        modules = [build_double(salt) for salt in ("temporary", "temporary, too")]
    assert len(said) == 1
    assert all(os.path.isfile(module.__file__) for module in modules)


def test_module_works_where_nothing_can_be_written(nowhere):
    with pytest.warns(cache.CacheWarning, match="without a cache"):
        module = build_double("in memory")
    assert module.double(1.0) == 2.0


@pytest.mark.filterwarnings("ignore::nodeedu.compile.cache.CacheWarning")
def test_source_in_memory_can_be_inspected(nowhere):
    module = build("def triple(x):\n    return 3 * x\n", "in_memory")
    assert inspect.getsource(module.triple) == "def triple(x):\n    return 3 * x\n"


@needs_jit
def test_nothing_is_said_until_something_is_compiled(nowhere):
    with warnings.catch_warnings():
        warnings.simplefilter("error")

        @jit
        def double(x):
            return 2 * x

    with pytest.warns(cache.CacheWarning, match="without a cache"):
        assert double(1.0) == 2.0


@needs_jit
def test_numba_keeps_its_own_setting(root):
    before = numba.config.CACHE_DIR
    build_double().double(1.0)
    assert before == numba.config.CACHE_DIR


# --- stamps ---


def test_stamp_changes_with_an_edited_callee_in_another_file(tmp_path):
    for name, text in {"caller": "from .callee import f", "callee": "from . import deep", "deep": "x = 1"}.items():
        (tmp_path / f"{name}.py").write_text(text)
    before = cache.source_stamp([tmp_path / "caller.py"])
    (tmp_path / "deep.py").write_text("x = 2")
    assert cache.source_stamp([tmp_path / "caller.py"]) != before


def test_stamp_follows_imports_within_the_package():
    imported = cache._imports(cache.PACKAGE / "compile/build.py")
    assert {cache.PACKAGE / "compile/cache.py", cache.PACKAGE / "compile/kernels.py"} <= set(imported)
    assert cache.PACKAGE / "__init__.py" not in imported
