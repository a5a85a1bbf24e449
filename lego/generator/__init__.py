"""Language models that write: each answers prompts, or replays what one answered before."""
