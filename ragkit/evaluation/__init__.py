"""Questions with gold answers, metrics, statistics, and the report of a run."""
