"""Whether copies of one video stand on both sides of a split."""
