"""Scores and labels per group → numbers, all groups at once: one sort, then segment sums."""
