"""A pipeline over time: fit, evaluate, checkpoint, run folders."""
