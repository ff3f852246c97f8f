"""What made a run: code, packages, machine, data."""

import os
import platform
import socket
import subprocess
import sys
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = (
    *("fvc-exp", "hydra-core", "omegaconf", "submitit", "hydra-submitit-launcher"),
    *("numpy", "scipy", "scikit-learn", "joblib", "skops", "polars", "pyarrow", "matplotlib"),
    *("av", "opencv-python-headless"),
)


_COMMIT = "# branch.oid "


_SOURCE = Path(__file__).resolve().parents[1]


def provenance(data_hash: str, seed: int) -> dict[str, Any]:
    """Facts about code, packages and machine; everything that could explain a different number."""
    return {
        "git": _own_git_state(),
        "packages": {name: _version(name) for name in PACKAGES},
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu_count": os.cpu_count(),
        "threads": {name: os.environ.get(name) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")},
        "host": socket.gethostname(),
        "command": sys.argv,
        "working_folder": str(Path.cwd()),
        "data_sha256": data_hash,
        "seed": seed,
    }


@cache  # what was imported stays what runs, whatever happens to the files
def _own_git_state() -> dict[str, Any] | None:
    return git_state(_SOURCE)


def git_state(folder: Path) -> dict[str, Any] | None:
    """Commit and whether the tree differs from it; None outside a git checkout or without git."""
    status = _git(folder, "status", "--porcelain=v2", "--branch")  # the commit as well, in one call
    if status is None:
        return None
    about = [line for line in status.splitlines() if line.startswith("# ")]
    commit = next(line.removeprefix(_COMMIT) for line in about if line.startswith(_COMMIT))
    return {"commit": commit, "dirty": len(status.splitlines()) > len(about)}


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


@cache  # reading one takes milliseconds, and what is loaded stays
def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
