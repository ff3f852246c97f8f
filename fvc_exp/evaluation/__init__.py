"""Scores of predictions and what they are compared with. Nothing here reads a run folder."""
