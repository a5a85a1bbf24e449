"""Raw files → Arrow columns, and where in a file that stands which cannot be read."""
