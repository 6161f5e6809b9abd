"""What a mail can be refused for before anybody looks at its meaning, each with its SMTP answer."""

from __future__ import annotations

from typing import ClassVar

__all__ = [
    "AmbiguousStructure",
    "BareLineEnd",
    "HeaderTooLarge",
    "IntakeFault",
    "LineTooLong",
    "MalformedAddress",
    "MalformedHeader",
    "NulOctet",
    "TooDeep",
    "TooManyParts",
]


class IntakeFault(Exception):
    """A mail that cannot be read safely.

    ``code`` and ``enhanced`` are the SMTP answer (RFC 5321 §4.2, RFC 3463), ``text`` its ASCII sentence;
    ``disconnect`` says that the connection must end with the answer.
    """

    code: ClassVar[int] = 554
    enhanced: ClassVar[str] = "5.6.0"
    text: ClassVar[str] = "Message content cannot be read"
    disconnect: ClassVar[bool] = False

    def __init__(self) -> None:
        super().__init__(self.text)


class BareLineEnd(IntakeFault):
    """CR or LF outside a CRLF pair: the stuff of SMTP smuggling (RFC 5321 §2.3.8)."""

    code = 521
    text = "Bare CR or LF is not accepted"
    disconnect = True


class NulOctet(IntakeFault):
    """An octet of value zero (RFC 5322 §2.2, RFC 5321 §4.5.3.1.6)."""

    text = "NUL octets are not accepted"


class LineTooLong(IntakeFault):
    """A line above 998 octets and CRLF (RFC 5322 §2.1.1)."""

    text = "Line longer than 998 octets"


class HeaderTooLarge(IntakeFault):
    """A header section, of the mail or of a part, above the limit."""

    text = "Header section too large"


class MalformedHeader(IntakeFault):
    """A line of the header section that is neither a field nor its continuation (RFC 5322 §2.2)."""

    text = "Malformed header section"


class MalformedAddress(IntakeFault):
    """An address field that a strict reader cannot read in exactly one way (RFC 5322 §3.4)."""

    text = "Malformed address in a header field"


class TooDeep(IntakeFault):
    """MIME parts nested deeper than the limit."""

    text = "MIME parts nested too deeply"


class TooManyParts(IntakeFault):
    """More MIME parts than the limit."""

    text = "Too many MIME parts"


class AmbiguousStructure(IntakeFault):
    """MIME fields that readers understand differently: doubled, contradictory, or without boundary (RFC
    2046).
    """

    text = "Ambiguous MIME structure"
