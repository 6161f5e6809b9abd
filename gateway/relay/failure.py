"""How an attempt to relay fails: the answer of the other side, or what stood in the way."""

from __future__ import annotations

import re
from enum import StrEnum

__all__ = ["OwnWords", "RelayFailed"]

_ENHANCED = re.compile(r"([245]\.\d{1,3}\.\d{1,3})(?:\s|$)")
_LONGEST_TEXT = 500


class OwnWords(StrEnum):
    """How the text of a failure begins where it is ours and no host's answer: the templates of reports
    explain each in French (the last by the table of patients' bounces).
    """

    HOST_UNTRUSTED = "Host not trusted for this domain"
    HOST_UNUSABLE = "Host cannot be used"
    DOMAIN_UNLISTED = "Domain not in the trust space"
    LIST_STALE = "List of operators too old"
    PATIENT_SIZE = "Message larger than patients' mailboxes take"


class RelayFailed(Exception):
    """One recipient was not reached. ``permanent`` means that another attempt would fail alike: a 5yz code,
    unless what it says of a host is ``passing``, since its operator may repair it.

    ``code`` and ``enhanced`` are SMTP status (RFC 3463); ``text`` is one line of ASCII of at most 500
    characters, from the other side where it answered (it may name addresses: not for logs). ``remote`` is its
    host name, '' if none.
    """

    def __init__(
        self, code: int, enhanced: str, text: str, remote: str = "", *, passing: bool = False
    ) -> None:
        self.permanent = 500 <= code <= 599 and not passing
        self.code = code
        self.enhanced = enhanced
        self.text = "".join(c if " " <= c <= "~" else " " for c in text)[:_LONGEST_TEXT].strip()
        self.remote = remote
        super().__init__(f"{code} {enhanced}")

    @classmethod
    def answered(cls, code: int, message: str, remote: str, *, passing: bool = False) -> RelayFailed:
        """The failure in an answer of the other side; an answer that is neither 4xx nor 5xx is a
        passing fault.
        """
        match = _ENHANCED.match(message)
        enhanced = match.group(1) if match and match.group(1)[0] == str(code)[0] else ""
        unsaid = "5.0.0" if 500 <= code <= 599 else "4.0.0"
        return cls(code, enhanced or unsaid, message, remote, passing=passing)
