"""Import large libraries in less time."""

import atexit
import gc
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from importlib import import_module
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

# What writes documentation of the functions of a library at its import (place, name, what it returns in place of that),
# by the modules that are imported first.
_DOCUMENTED: dict[str, list[tuple[str, str, Any]]] = {
    "scipy.special": [
        ("scipy._lib._docscrape:NumpyDocString", "_parse", None),
        ("scipy._lib._array_api", "xp_capabilities", lambda function: function),  # a decorator
        ("scipy._lib.doccer", "docformat", ""),
    ],
    "matplotlib.axes": [
        ("matplotlib.artist:Artist", "_update_set_signature_and_docstring", None),
        ("matplotlib.artist", "kwdoc", ""),
    ],
}


class _BeforeImport:
    """Is asked for each module that is imported, and finds none."""

    def __init__(self, undo: ExitStack) -> None:
        self._undo = undo

    def find_spec(self, fullname: str, _path: object, _target: object = None) -> None:
        if fullname in ("charset_normalizer", "pandas"):
            raise ModuleNotFoundError(f"{fullname} is not needed here", name=fullname)
        for place, name, value in _DOCUMENTED.get(fullname, ()):
            with suppress(ImportError, AttributeError, KeyError):  # private names, which another version may not have
                self._undo.callback(setattr, owner := resolve_name(place), name, vars(owner)[name])
                setattr(owner, name, lambda *_, value=value, **__: value)


def begin_process() -> None:
    """Look for garbage less often, and not at the end: in a process of our own nearly all objects stay in use.

    Where stderr is closed, what it is told goes nowhere; ``print`` would take stdout in place of None.
    """
    sys.stderr = sys.stderr or Path(os.devnull).open("w")  # noqa: SIM115 - open until the end
    gc.set_threshold(1_000_000)
    # DuckDB writes to the terminal about each of its objects that is not freed at the end.
    atexit.register(lambda: None if "duckdb" in sys.modules else gc.freeze())


@contextmanager
def quick_imports() -> Iterator[None]:
    """Import and use scikit-learn and matplotlib in less time, in a process of our own, while the block runs.

    scikit-learn imports pandas wherever that is installed, to compare a missing value with that of pandas, and numpy's
    compiler of Fortran asks for charset_normalizer. Here they are not found, unless they are loaded already. Nobody
    reads the documentation of functions here, so what scipy and matplotlib write of it at their import is empty.
    """
    begin_process()
    os.environ.setdefault("_RJEM_MALLOC_CONF", "muzzy_decay_ms:0")  # polars gives back a table's memory a second sooner
    import_module("polars")  # it looks for pandas when it is imported, and never again
    with ExitStack() as undo:
        finder = _BeforeImport(undo)
        undo.callback(sys.meta_path.remove, finder)
        sys.meta_path.insert(0, finder)
        yield
