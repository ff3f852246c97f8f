"""A private one-machine SLURM on loopback, for tests and development: ``python -m ops.local_slurm up``."""
