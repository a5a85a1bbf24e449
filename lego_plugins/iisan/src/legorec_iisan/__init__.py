"""Side adapters over the frozen layers of a language model, as a content operator of lego."""

lego_api = ">=1,<2"

from legorec_iisan.iisan import IISAN  # noqa: E402 - what it is for is known before anything can fail

__all__ = ["IISAN"]
