"""Where prepared data and caches live: `$LEGO_HOME`, or the user's cache folder."""

from __future__ import annotations

import os
from pathlib import Path


def home() -> Path:
    """The folder; it is made when something is written to it."""
    named = os.environ.get("LEGO_HOME")
    if named:
        return Path(named).expanduser().resolve()
    import platformdirs

    return Path(platformdirs.user_cache_dir("lego"))
