"""Mail that no person wrote now: absence notices, reports, list mail. It never changes a state, is never answered.

``RFC 3834`` (Auto-Submitted), ``RFC 3464`` (delivery status), ``RFC 8098`` (disposition), ``RFC 2919``/``2369`` (lists).
"""

from __future__ import annotations

from enum import StrEnum

from teleexpertise.letters import Letter

__all__ = ["Automatic", "classify"]


class Automatic(StrEnum):
    """Why a letter counts as automatic."""

    ABSENCE = "absence"
    REPORT = "report"
    LIST = "list"
    GENERATED = "generated"
    NULL_SENDER = "null_sender"


_LIST_FIELDS = ("List-Id", "List-Post", "List-Unsubscribe", "List-Help", "Mailing-List")
_REPLY_MARKS = ("X-Autoreply", "X-Autorespond", "X-Auto-Response-Suppress-Reply")


def classify(letter: Letter, mail_from: str) -> Automatic | None:
    """The kind of automatic mail this is, or ``None`` for a person's mail. ``mail_from`` is '' for ``<>``."""
    if letter.content_type == "multipart/report":
        return Automatic.REPORT
    submitted = letter.first("Auto-Submitted").partition(";")[0].strip().lower()
    precedence = letter.first("Precedence").strip().lower()
    if submitted == "auto-replied" or precedence == "auto_reply" or any(map(letter.first, _REPLY_MARKS)):
        return Automatic.ABSENCE
    if any(map(letter.first, _LIST_FIELDS)) or precedence in ("list", "bulk", "junk"):
        return Automatic.LIST
    if submitted not in ("", "no"):
        return Automatic.GENERATED
    if not mail_from:
        return Automatic.NULL_SENDER
    return None
