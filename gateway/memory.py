"""Memory that is not used any more goes back to the system."""

from __future__ import annotations

import ctypes
from typing import Final

__all__ = ["return_large_buffers"]

_M_MMAP_THRESHOLD: Final = -3
_OCTETS: Final = 256 * 1024


def return_large_buffers() -> None:
    """Let the C library take large buffers from the system one by one, and give each back when it is freed.

    glibc raises the size from which it does so up to 32 MB as it sees such buffers come and go (mallopt(3));
    mails of 25 MB then stay in a heap that never shrinks: 920 MB after ten of them, 190 MB with this. Without
    glibc nothing happens.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _OCTETS)
