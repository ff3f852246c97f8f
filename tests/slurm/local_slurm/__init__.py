"""A private one-machine SLURM on loopback, for tests and development: ``python -m tests.slurm.local_slurm up``."""

from .cluster import LocalSlurm
from .host import LocalSlurmError, UnavailableError

__all__ = ["LocalSlurm", "LocalSlurmError", "UnavailableError"]
