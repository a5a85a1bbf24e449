"""Raw files → tables → store → batches."""
