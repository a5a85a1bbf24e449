"""Rank-biased precision, as a metric of lego."""

lego_api = ">=1,<2"

from legorec_rbp.rbp import RBP  # noqa: E402 - what it is for is known before anything can fail

__all__ = ["RBP"]
