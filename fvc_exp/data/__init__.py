"""From tables and folders to rows, groups and folds."""
