"""One writer brings finished runs and sweeps into MLflow, from their folders, any number of times."""
