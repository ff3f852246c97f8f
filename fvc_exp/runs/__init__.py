"""One run, from its start to every later use."""
