"""A behavior operator of somebody else's."""
