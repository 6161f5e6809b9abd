"""Every no that the doors say, with its SMTP answer (RFC 5321 §4.2, RFC 3463, RFC 5248)."""

from __future__ import annotations

from typing import ClassVar

from gateway.intake.faults import IntakeFault

__all__ = [
    "AuthenticationFailed",
    "BadSequence",
    "BadSyntax",
    "ContentRefused",
    "DialogueEnded",
    "LineEndRefused",
    "MessageTooBig",
    "NotImplementedHere",
    "OperatorRefused",
    "ParameterUnknown",
    "PolicyRefused",
    "RecipientUnknown",
    "Refusal",
    "SecurityRequired",
    "TemporaryFailure",
    "TooManyErrors",
    "TooManyRecipients",
    "TooMuchAtOnce",
]


class Refusal(Exception):
    """A command or message is refused with ``code enhanced text``; after ``disconnect`` the connection ends.

    ``text`` may be French with accents and several lines: the dialogue transliterates and folds it.
    """

    default_code: ClassVar[int] = 550
    default_enhanced: ClassVar[str] = "5.7.1"
    default_text: ClassVar[str] = "Refused"
    default_disconnect: ClassVar[bool] = False

    def __init__(
        self,
        text: str = "",
        *,
        code: int | None = None,
        enhanced: str = "",
        disconnect: bool | None = None,
    ) -> None:
        self.code = self.default_code if code is None else code
        self.enhanced = enhanced or self.default_enhanced
        self.text = text or self.default_text
        self.disconnect = self.default_disconnect if disconnect is None else disconnect
        super().__init__(f"{self.code} {self.enhanced}")


class PolicyRefused(Refusal):
    """Not allowed for this sender or recipient: relaying, a foreign address, a domain not on the trust
    list.
    """


class OperatorRefused(PolicyRefused):
    """An operator may not send this: its text names domains and reasons only, so that it may be audited."""


class RecipientUnknown(Refusal):
    """No such mailbox in a domain of ours."""

    default_enhanced = "5.1.1"
    default_text = "No such recipient here"


class TooManyRecipients(Refusal):
    """More recipients in one transaction than allowed; the client may send the rest in another (RFC 5321
    §4.5.3.1.10).
    """

    default_code = 452
    default_enhanced = "4.5.3"
    default_text = "Too many recipients"


class MessageTooBig(Refusal):
    """Declared or actual size above the limit (RFC 1870)."""

    default_code = 552
    default_enhanced = "5.3.4"
    default_text = "Message too big"


class TooMuchAtOnce(Refusal):
    """No room now for a mail of this size, of this sender or at all (RFC 1870 §6.1)."""

    default_code = 452
    default_enhanced = "4.3.1"
    default_text = "Too much mail at once, try again later"


class TemporaryFailure(Refusal):
    """Nothing is wrong with the message: try again later."""

    default_code = 451
    default_enhanced = "4.3.0"
    default_text = "Temporary failure, try again later"


class BadSyntax(Refusal):
    """A command or its argument that cannot be read."""

    default_code = 501
    default_enhanced = "5.5.4"
    default_text = "Syntax error in command or argument"


class ParameterUnknown(Refusal):
    """A MAIL or RCPT parameter that was not offered (RFC 5321 §4.1.1.11)."""

    default_code = 555
    default_enhanced = "5.5.4"
    default_text = "Parameter not recognised"


class NotImplementedHere(Refusal):
    """A command that this listener does not have."""

    default_code = 502
    default_enhanced = "5.5.1"
    default_text = "Command not implemented"


class BadSequence(Refusal):
    """A command at the wrong moment."""

    default_code = 503
    default_enhanced = "5.5.1"
    default_text = "Bad sequence of commands"


class SecurityRequired(Refusal):
    """TLS or authentication must come first (RFC 3207 §4, RFC 4954 §6)."""

    default_code = 530
    default_enhanced = "5.7.0"
    default_text = "Must issue a STARTTLS command first"


class AuthenticationFailed(Refusal):
    """Name or password are wrong: which of them is never told (RFC 4954 §6)."""

    default_code = 535
    default_enhanced = "5.7.8"
    default_text = "Authentication credentials invalid"


class TooManyErrors(Refusal):
    """The limit of errors, of connections or of failed authentications is reached."""

    default_code = 421
    default_enhanced = "4.7.0"
    default_text = "Too many errors"
    default_disconnect = True


class DialogueEnded(Refusal):
    """The server ends the connection: idle too long, or stopping (RFC 5321 §3.8)."""

    default_code = 421
    default_enhanced = "4.3.2"
    default_text = "Service closing connection"
    default_disconnect = True


class LineEndRefused(Refusal):
    """A command line with a bare CR or LF: the connection ends, so that nothing smuggled behind it runs."""

    default_code = 521
    default_enhanced = "5.5.2"
    default_text = "Bare CR or LF is not accepted"
    default_disconnect = True


class ContentRefused(Refusal):
    """The answer to a mail that the intake finds unreadable."""

    def __init__(self, fault: IntakeFault) -> None:
        super().__init__(fault.text, code=fault.code, enhanced=fault.enhanced, disconnect=fault.disconnect)
