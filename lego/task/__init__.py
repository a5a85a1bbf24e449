"""Scores and labels → a loss, and what candidates the training batches must bring for it."""
