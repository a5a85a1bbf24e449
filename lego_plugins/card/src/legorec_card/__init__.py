"""`lego card`: what a run is, on one page."""

lego_api = ">=1,<2"

from legorec_card.card import card  # noqa: E402 - what it is for is known before anything can fail

__all__ = ["card"]
