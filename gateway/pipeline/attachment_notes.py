"""Attachments as the record remembers them: names, sizes and hashes; the octets stay in the message."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

from teleexpertise.events import AttachmentNote
from teleexpertise.letters import Attachment

__all__ = ["notes_of"]


def notes_of(attachments: Sequence[Attachment]) -> tuple[AttachmentNote, ...]:
    """One note per attachment, in order."""
    return tuple(
        AttachmentNote(
            filename=item.filename,
            content_type=item.content_type,
            size=len(item.content),
            sha256=sha256(item.content).hexdigest(),
        )
        for item in attachments
    )
