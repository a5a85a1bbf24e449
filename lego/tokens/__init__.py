"""Text → token ids and first vectors, for content operators that read vectors."""
