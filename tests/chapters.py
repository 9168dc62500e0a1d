"""Chapters run as scripts, one after the other, in processes beside that of the tests: two cores share the work."""

import json
import os
import subprocess
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

FOLDER = Path(__file__).parent.parent / "tutorials"
CHAPTERS = [path.stem for path in sorted(FOLDER.glob("[0-9]*.py"))]

# Runs a chapter and prints, last, the labels of the equations that it has checked.
SCRIPT = """
import json, runpy, sys, warnings
warnings.filterwarnings("error", module="nodeedu")
checks = runpy.run_path(sys.argv[1], run_name="__main__")["checks"]
print(json.dumps(sorted(checks)))
"""


class Runs:
    """Runs of chapters, begun when it is made; `labels` waits for one."""

    def __init__(self, chapters, folder):
        self.folder, self.process = folder, None
        self.pool = ThreadPoolExecutor(1)
        self.futures: dict[str, Future] = {chapter: self.pool.submit(self._run, chapter) for chapter in chapters}

    def labels(self, chapter):
        """Return the labels of the equations that a chapter has checked; its figures are in `figures(chapter)`."""
        return self.futures[chapter].result()

    def figures(self, chapter):
        """Return the folder that a chapter was told to draw into."""
        return self.folder / chapter

    def stop(self):
        """Begin no further chapter, and end the one that runs."""
        self.pool.shutdown(wait=False, cancel_futures=True)
        if self.process is not None:
            self.process.kill()

    def _run(self, chapter):
        self.figures(chapter).mkdir()
        self.process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(FOLDER / f"{chapter}.py")],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, "NODEEDU_FIGURES": str(self.figures(chapter)), "MPLBACKEND": "agg"},
        )  # fmt: skip
        out, err = self.process.communicate()
        assert self.process.returncode == 0, f"{chapter} failed:\n{out[-1000:]}\n{err[-3000:]}"
        return json.loads(out.splitlines()[-1])
