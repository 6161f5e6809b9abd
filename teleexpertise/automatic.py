"""Mail that no person wrote now: absence notices, reports, list mail. It changes nothing, gets no answer.

``RFC 3834`` (Auto-Submitted), ``RFC 3464`` (delivery status), ``RFC 8098`` (disposition), ``RFC 2919`` and
``RFC 2369`` (lists).
"""

from __future__ import annotations

import re
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
_REPLY_MARKS = ("X-Autoreply", "X-Autorespond")
_REPORT_TYPES = ("multipart/report", "message/delivery-status", "message/disposition-notification")


def classify(letter: Letter, mail_from: str) -> Automatic | None:
    """The kind of automatic mail this is, or ``None`` for a person's mail. ``mail_from`` is '' for ``<>``."""
    if letter.content_type in _REPORT_TYPES:
        return Automatic.REPORT
    submitted = _submitted(letter)
    precedence = {value.strip().lower() for value in letter.values("Precedence")}
    if submitted == "auto-replied" or "auto_reply" in precedence or any(map(letter.first, _REPLY_MARKS)):
        return Automatic.ABSENCE
    # Exchange calls its absence notices auto-generated; that they answer a mail tells them from other
    # programs'.
    if submitted == "auto-generated" and letter.first("X-Auto-Response-Suppress") and letter.in_reply_to:
        return Automatic.ABSENCE
    if any(map(letter.first, _LIST_FIELDS)) or precedence & {"list", "bulk", "junk"}:
        return Automatic.LIST
    if submitted != "no":
        return Automatic.GENERATED
    if not mail_from:
        return Automatic.NULL_SENDER
    return None


def _submitted(letter: Letter) -> str:
    """The keyword of the first Auto-Submitted field that is not ``no`` (``RFC 3834 §5``), ``no`` without one.

    What follows the keyword does not count: Dovecot writes ``auto-replied (vacation)``.
    """
    for value in letter.values("Auto-Submitted"):
        keyword = re.split(r"[\s;(]", re.sub(r"^\s*(\([^()]*\)\s*)*", "", value), maxsplit=1)[0].lower()
        if keyword not in ("", "no"):
            return keyword
    return "no"
