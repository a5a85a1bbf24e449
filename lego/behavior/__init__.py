"""Operators that only the behavior slot takes: they make a user out of a history of item vectors."""
