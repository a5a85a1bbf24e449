"""Whatever scores impressions without being compiled: the baselines beside the Recommender."""
