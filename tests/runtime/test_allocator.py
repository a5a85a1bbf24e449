"""Memory is kept within the block and given back behind it; where the library is another, nothing happens."""

from __future__ import annotations

import resource

import pytest

from lego.runtime import allocator
from lego.runtime.allocator import kept_memory


def faults(size, times):
    """How often the system had to fill a page, while blocks were made and freed."""
    import numpy as np

    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(times):
        np.ones(size, np.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def test_freed_memory_is_used_again(monkeypatch):
    """Blocks larger than any that the library keeps by itself cost their pages once, not each time."""
    for name in ("MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES"):
        monkeypatch.delenv(name, raising=False)
    library = allocator._glibc()
    if library is None:
        pytest.skip("another C library, or settings of its own")
    if not library.mallopt(-3, 2**31 - 1):
        pytest.skip("a C library that maps blocks of 32 MiB and more anew in any case")
    size = 48 << 20
    anew = faults(size, 4)
    with kept_memory():
        faults(size, 1)
        again = faults(size, 4)
    assert anew > 4 * 20  # 2 MB pages, at the largest
    assert again < anew / 4
    assert faults(size, 4) > 4 * 20


@pytest.mark.parametrize("name", ["MALLOC_ARENA_MAX", "GLIBC_TUNABLES"])
def test_settings_of_the_user_are_left_alone(name, monkeypatch):
    """Who says in the environment how to allocate is not overruled."""
    monkeypatch.setenv(name, "1")
    assert allocator._glibc() is None
    with kept_memory():
        pass


def test_other_libraries_are_left_alone(monkeypatch):
    """A library that is not glibc has no such settings."""
    monkeypatch.setattr(allocator.ctypes, "CDLL", lambda _name: object())
    assert allocator._glibc() is None
    monkeypatch.setattr(allocator.sys, "platform", "darwin")
    with kept_memory():
        pass


def test_it_ends_with_an_error_too(monkeypatch):
    """What was set is set back whatever happens within."""
    seen = []

    class Library:
        gnu_get_libc_version = None

        def mallopt(self, name, value):
            seen.append((name, value))
            return 1

        def malloc_trim(self, pad):
            seen.append(pad)

    monkeypatch.setattr(allocator, "_glibc", Library)
    with pytest.raises(KeyError), kept_memory():
        raise KeyError
    assert seen == [(-3, 2**31 - 1), (-1, 2**31 - 1), (-3, 32 << 20), (-1, 64 << 20), 0]


def test_older_libraries_keep_as_much_as_they_can(monkeypatch):
    """Before 2.35 glibc takes no threshold beyond 32 MiB; that much is kept, and the rest is as it was."""
    seen = []

    class Library:
        gnu_get_libc_version = None

        def mallopt(self, name, value):
            taken = name != -3 or value <= 32 << 20
            if taken:
                seen.append((name, value))
            return int(taken)

        def malloc_trim(self, pad):
            seen.append(pad)

    monkeypatch.setattr(allocator, "_glibc", Library)
    with kept_memory():
        assert seen == [(-3, 32 << 20), (-1, 2**31 - 1)]
    assert seen[2:] == [(-3, 32 << 20), (-1, 64 << 20), 0]
