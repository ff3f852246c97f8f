import ast
from collections import Counter
from pathlib import Path

import pytest

from tests.shell import ROOT, modules_of

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
    ["cli", "plugins"],
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


def test_public_names_are_defined_once() -> None:
    nodes = [node for path in MODULES for node in ast.parse(path.read_text()).body if not is_command(node)]
    counts = Counter(node.name for node in nodes if isinstance(node, (ast.FunctionDef, ast.ClassDef)))
    assert not [name for name, count in counts.items() if count > 1 and not name.startswith("_")]


# What a user waits for: the import of the package and of its command, and Hydra's help.
START_UP = (
    "import fvc_exp.__main__, runpy, sys; sys.argv = ['', '--help']; runpy.run_path('run.py', run_name='__main__')"
)


def test_start_up_is_light() -> None:
    loaded = modules_of("-c", START_UP)
    assert {"fvc_exp", "hydra"} <= loaded
    assert not loaded & set(HEAVY)


def test_predict_is_light() -> None:
    assert not modules_of("-c", "import fvc_exp.__main__, fvc_exp.runs.predict") & {*HEAVY, "omegaconf", "rich"}
