"""Whether copies of one video are on both sides of a split."""
