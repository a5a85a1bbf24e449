"""What can be asked of a language model about items and users, one kind a file."""
