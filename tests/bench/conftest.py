from __future__ import annotations

collect_ignore_glob = ["[!t]*.py", "t[!e]*.py", "__main__.py"]
"""Scripts, which import each other by their own names."""
