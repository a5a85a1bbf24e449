"""Language models from outside: where they are, what of them learns, and what of them is computed once."""
