"""Names on disk, tables and the terminal."""
