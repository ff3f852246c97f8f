import ast
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.shell import ROOT, run_process, succeeded

PACKAGE = ROOT / "fvc_exp"
# Each layer may import those before it, and its own.
LAYERS = [
    ["errors", "_typing"],
    ["io"],
    ["config"],
    ["video", "data"],
    ["demo", "features", "evaluation"],
    ["stages", "training"],
    ["runs"],
    ["sweeps", "api"],
    ["report", "tracking", "analytics"],
    ["main", "cli", "plugins"],
    ["__main__"],
]
HEAVY = ["sklearn", "scipy", "matplotlib", "polars", "pyarrow", "av", "cv2", "mlflow", "duckdb", "pandas"]


def level(module: str) -> int:
    name = module.split(".")[1] if "." in module else module
    return next(number for number, layer in enumerate(LAYERS) if name in layer)


def imports_of(path: Path) -> set[str]:
    nodes = ast.walk(ast.parse(path.read_text()))
    return {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module} - {"fvc_exp"}


MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


@pytest.mark.parametrize("path", MODULES, ids=[str(path.relative_to(PACKAGE)) for path in MODULES])
def test_imports_point_one_way(path: Path) -> None:
    own = level(".".join(path.relative_to(ROOT).with_suffix("").parts))
    for module in imports_of(path):
        if module.startswith("fvc_exp."):
            assert level(module) <= own, f"{path.name} imports {module}, which stands above it"


def is_command(node: ast.AST) -> bool:
    """Whether this is a command of ``fvc``; it is named for its user, mostly like the function that it calls."""
    names = {each.id for each in getattr(node, "decorator_list", ()) if isinstance(each, ast.Name)}
    return "command" in names


def public_definitions(path: Path) -> list[str]:
    nodes = [each for each in ast.parse(path.read_text()).body if isinstance(each, (ast.FunctionDef, ast.ClassDef))]
    return [node.name for node in nodes if not node.name.startswith("_") and not is_command(node)]


def test_public_names_are_defined_once() -> None:
    counts = Counter(name for path in MODULES for name in public_definitions(path))
    assert not [name for name, count in counts.items() if count > 1]


# What a user waits for: the import of the package and of its command, and Hydra's help.
START_UP = """
import atexit, runpy, sys
import fvc_exp.cli
atexit.register(lambda: print(*sys.modules))
sys.argv = ["run.py", "--help"]
runpy.run_path("run.py", run_name="__main__")
"""


def test_start_up_is_light() -> None:
    done = succeeded(run_process(sys.executable, "-c", START_UP, cwd=ROOT))
    assert "penalty: elasticnet, l1, l2, none" in done.stdout
    loaded = {name.split(".")[0] for name in done.stdout.splitlines()[-1].split()}
    assert "fvc_exp" in loaded
    assert not loaded & set(HEAVY)
