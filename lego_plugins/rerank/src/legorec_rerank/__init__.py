"""Re-rankers of lego: the best items of a list in an order that is more than their scores."""

lego_api = ">=1,<2"

from legorec_rerank.calibrated import Calibrated  # noqa: E402 - what it is for is known before anything can fail
from legorec_rerank.mmr import MMR  # noqa: E402 - see above

__all__ = ["MMR", "Calibrated"]
