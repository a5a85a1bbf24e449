"""An operator that was written for something that is not there."""

from __future__ import annotations

message = "the library this operator leans on is gone"
raise ImportError(message)
