"""Memory that a step gives back is kept for the next step, instead of being returned to the system and asked for again.

A step makes and frees tensors of megabytes by the thousand. The C library of Linux maps each of these anew, and the system fills
its pages with zeros each time. What is kept here is what the largest step held anyway, so the peak stays.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from collections.abc import Iterator
from typing import Any

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""By their numbers in malloc.h of glibc."""
_ALL = 2**31 - 1
_USUAL_TRIM, _USUAL_MMAP = 64 << 20, 32 << 20
"""What glibc's own rule comes to where large blocks are freed, https://man7.org/linux/man-pages/man3/mallopt.3.html."""


@contextlib.contextmanager
def kept_memory() -> Iterator[None]:
    """Within the block freed memory stays with the process; behind it what is not used is given back.

    Blocks of more than 32 MiB only from glibc 2.35 on. Nothing where the C library is not glibc, or where the environment says
    how it shall allocate.
    """
    library = _glibc()
    if library is None:
        yield
        return
    if not library.mallopt(_MMAP_THRESHOLD, _ALL):  # before 2.35 glibc takes 32 MiB at most
        library.mallopt(_MMAP_THRESHOLD, _USUAL_MMAP)
    library.mallopt(_TRIM_THRESHOLD, _ALL)
    try:
        yield
    finally:
        library.mallopt(_MMAP_THRESHOLD, _USUAL_MMAP)
        library.mallopt(_TRIM_THRESHOLD, _USUAL_TRIM)
        library.malloc_trim(0)


def _glibc() -> Any:
    """The C library, where these settings are its own and nobody else made them."""
    told = any(name.startswith("MALLOC_") for name in os.environ) or "GLIBC_TUNABLES" in os.environ
    if told or not sys.platform.startswith("linux"):
        return None
    library = ctypes.CDLL(None)
    names = ("gnu_get_libc_version", "mallopt", "malloc_trim")
    return library if all(hasattr(library, name) for name in names) else None
