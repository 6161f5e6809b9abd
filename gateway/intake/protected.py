"""Protected header fields put in the place of the outer ones, which anybody on the way could write (RFC
9788).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from gateway.intake.letter import read_letter
from gateway.intake.limits import IntakeLimits
from teleexpertise.letters import Letter

__all__ = ["with_protected"]


def with_protected(letter: Letter, fields: Sequence[tuple[str, str]], limits: IntakeLimits) -> Letter:
    """The letter as its protected ``fields`` (name, unfolded value) say, for a signature that holds.

    Who is addressed and where answers go is believed from inside alone; subject, date and thread stay the
    outer ones where they are not protected. Message-ID stays: every copy is known by it. Raises
    ``IntakeFault`` for fields that a strict reader refuses.
    """
    if not fields:
        return letter
    header = "".join(f"{name}: {value}\r\n" for name, value in fields) + "\r\n"
    inner = read_letter(header.encode("utf-8", "replace"), limits)
    there = {name.lower() for name, _ in fields}
    return replace(
        letter,
        subject=inner.subject if "subject" in there else letter.subject,
        sent_at=inner.sent_at if "date" in there else letter.sent_at,
        in_reply_to=inner.in_reply_to if "in-reply-to" in there else letter.in_reply_to,
        references=inner.references if "references" in there else letter.references,
        senders=inner.senders or letter.senders,
        to=inner.to,
        cc=inner.cc,
        reply_to=inner.reply_to,
    )
