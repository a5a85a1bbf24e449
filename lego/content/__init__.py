"""Operators that only the content slot takes: they make a vector out of an item."""
