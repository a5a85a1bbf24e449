"""Side adapters over the frozen layers of a language model, as a content operator of lego."""

from legorec_iisan.iisan import IISAN

__all__ = ["IISAN"]
