"""The embedded demo corpus: real mp4 files with known labels and known manipulations, made on first use."""
