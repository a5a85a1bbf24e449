"""A package of somebody else's whose operator cannot be imported."""
