"""Which parts of a mail its signature covers, by structure alone: whether the signature holds is not judged
here (RFC 8551 §3.5, RFC 9788 §4.5.3).
"""

from __future__ import annotations

from certs.legacydisplay import declares_legacy_display
from gateway.intake.structure import Part

__all__ = ["is_signature", "repeats_headers", "unsigned_parts"]

_SIGNATURES = frozenset(
    {"application/pkcs7-signature", "application/x-pkcs7-signature", "application/pgp-signature"}
)
_OPAQUE = frozenset({"application/pkcs7-mime", "application/x-pkcs7-mime"})


def is_signature(part: Part, parts: tuple[Part, ...]) -> bool:
    """Whether a part is the signature of the multipart/signed that holds it (RFC 1847 §2.1)."""
    return _is_in_signed(part, parts) and part.position == 1 and part.content_type.value in _SIGNATURES


def unsigned_parts(parts: tuple[Part, ...]) -> frozenset[int]:
    """The indices of what stands outside of the signed part; none where all is signed, or nothing is.

    Signed are the first child of multipart/signed with all below it, and an opaque signature below the top.
    """
    if len(parts) == 1 or _is_whole(parts):
        return frozenset()
    signed: list[bool] = []
    for part in parts:
        own = _is_in_signed(part, parts) and part.position == 0
        above = part.parent >= 0 and signed[part.parent]
        signed.append(own or above or _is_opaque(part))
    if not any(signed):
        return frozenset()
    return frozenset(
        index
        for index, part in enumerate(parts)
        if not signed[index] and not part.is_multipart and not is_signature(part, parts)
    )


def _is_whole(parts: tuple[Part, ...]) -> bool:
    """Whether the top is multipart/signed with its two parts and nothing else."""
    children = [part for part in parts if part.parent == 0]
    return len(children) == 2 and _is_in_signed(children[0], parts) and is_signature(children[1], parts)


def _is_in_signed(part: Part, parts: tuple[Part, ...]) -> bool:
    return part.parent >= 0 and parts[part.parent].content_type.value == "multipart/signed"


def _is_opaque(part: Part) -> bool:
    kind = part.content_type
    return kind.value in _OPAQUE and kind.get("smime-type").lower() == "signed-data"


def repeats_headers(part: Part, parts: tuple[Part, ...]) -> bool:
    """Whether a text says that it begins with a copy of hidden fields for clients that know no header
    protection: its parameter, below a part that has protected fields (RFC 9788 §4.5.3).
    """
    parameter = part.content_type.get("hp-legacy-display")
    while not part.content_type.get("hp") and part.parent >= 0:
        part = parts[part.parent]
    return declares_legacy_display(part.content_type.get("hp"), parameter)
