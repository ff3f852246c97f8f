"""The video stages: each reads a table of videos and writes one with a row for every video, resumable at any moment."""
