"""Food.com, as a source of lego."""

lego_api = ">=1,<2"

from legorec_foodcom.foodcom import FoodCom  # noqa: E402 - what it is for is known before anything can fail

__all__ = ["FoodCom"]
