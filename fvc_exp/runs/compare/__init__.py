"""Which configuration is better, as far as the data can tell."""
