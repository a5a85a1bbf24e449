"""User and candidates → scores, in float32, before any softmax or sigmoid."""
