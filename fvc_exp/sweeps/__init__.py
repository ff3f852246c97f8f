"""Many configurations, each run once; files are the only truth about what happened."""
