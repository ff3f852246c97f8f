import sys
from pathlib import Path

import pytest

from tests.shell import run_process, succeeded

SCRIPT = """
import sys
from fvc_exp.io.imports import _DOCUMENTED, quick_imports
_DOCUMENTED["scipy.special"] += [("scipy", "no_such_name", None), ("scipy.no_such_place", "x", None)]
with quick_imports():
    import matplotlib.axes, matplotlib.figure, scipy.special, scipy.stats
    assert "pandas" not in sys.modules
    assert "sample" not in scipy.stats.ttest_ind.__doc__ and not matplotlib.figure.Figure.set.__doc__
    assert not scipy.stats.norm.__doc__ and abs(scipy.stats.norm.sf(0) - 0.5) < 1e-15
    matplotlib.figure.Figure().add_subplot().plot([1, 2], label="set", gid="by name")
from matplotlib.artist import ArtistInspector, kwdoc
assert "edgecolor" in kwdoc(matplotlib.figure.Figure)
assert quick_imports.__module__ not in {type(finder).__module__ for finder in sys.meta_path}
"""


def test_libraries_write_no_documentation_at_import_and_all_is_as_before_afterwards() -> None:
    succeeded(run_process(sys.executable, "-c", SCRIPT))


def test_a_command_with_duckdb_ends_without_a_word_about_its_objects(finished_run: Path) -> None:
    pytest.importorskip("duckdb")
    words = ("query", "SELECT run_id FROM runs", str(finished_run))
    assert succeeded(run_process(sys.executable, "-m", "fvc_exp", *words)).stderr == ""
