"""Chapters run as scripts, one after the other, in processes beside that of the tests: two cores share the work."""

import contextlib
import io
import multiprocessing
import os
import runpy
import warnings
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import forkserver
from pathlib import Path

import pytest

from nodeedu import plot

FOLDER = Path(__file__).parent.parent / "tutorials"
CHAPTERS = [path.stem for path in sorted(FOLDER.glob("[0-9]*.py"))]
# Imported once, by the process that all chapters are forked from: to import them takes longer than most chapters.
PRELOADED = ["numba", "scipy.integrate", "matplotlib.pyplot", "nodeedu", "nodeedu.verify.equations", "warm"]


def run(chapter, figures):
    """Run a chapter, which draws into a folder; return the labels of the equations that it has checked."""
    figures.mkdir()
    plot.draft()
    os.environ["NODEEDU_FIGURES"] = str(figures)
    warnings.filterwarnings("error", module="nodeedu")
    with contextlib.redirect_stdout(io.StringIO()):
        return sorted(runpy.run_path(str(FOLDER / f"{chapter}.py"), run_name="__main__")["checks"])


class Runs:
    """Runs of chapters, begun when it is made; `labels` waits for one."""

    def __init__(self, chapters, folder):
        self.folder = folder
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(PRELOADED)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)  # `warm` is there
            forkserver.ensure_running()
        self.pool = ProcessPoolExecutor(1, context, max_tasks_per_child=1)
        self.futures: dict[str, Future] = {
            chapter: self.pool.submit(run, chapter, self.figures(chapter)) for chapter in chapters
        }

    def labels(self, chapter):
        """Return the labels of the equations that a chapter has checked; its figures are in `figures(chapter)`."""
        return self.futures[chapter].result()

    def figures(self, chapter):
        """Return the folder that a chapter was told to draw into."""
        return self.folder / chapter

    def stop(self):
        """Begin no further chapter."""
        self.pool.shutdown(wait=True, cancel_futures=True)
