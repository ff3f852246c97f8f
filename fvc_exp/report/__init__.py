"""One HTML file and one model card that say what a run or a sweep found, for people who will not run anything."""
