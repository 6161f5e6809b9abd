"""How much of a mail the intake reads before it refuses."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["IntakeLimits"]


@dataclass(frozen=True, slots=True)
class IntakeLimits:
    """Bounds of one mail: octets of a header section, nesting depth, number of parts, addresses of one field.

    ``unnamed_stem`` begins the file name of an attachment that came without one.
    """

    max_header_bytes: int = 256 * 1024
    max_depth: int = 20
    max_parts: int = 1000
    max_addresses: int = 1000
    unnamed_stem: str = "piece-jointe"
