"""SQL over finished runs."""
