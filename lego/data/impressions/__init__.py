"""Logs → impressions: candidates, histories and parts, by declared rules."""
