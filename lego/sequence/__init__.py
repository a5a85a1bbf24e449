"""Operators that read a masked sequence, so that they fit two slots: an item's tokens, or a user's history."""
