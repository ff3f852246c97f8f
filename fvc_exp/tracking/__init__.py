"""MLflow: finished runs and sweeps are imported from their folders, any number of times, by one process at a time."""
