"""A private one-machine SLURM on loopback, for tests and development: ``python -m tests.slurm.local_slurm up``."""
