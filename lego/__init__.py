"""Content-based recommendation: models that read what an item says, written as short expressions."""
