"""Rows in, a judged model out; no files."""
