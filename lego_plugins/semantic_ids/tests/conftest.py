from __future__ import annotations

from lego.testing import own_home

__all__ = ["own_home"]
