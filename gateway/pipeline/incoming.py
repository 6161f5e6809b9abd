"""One mail that stands at the door: its envelope, its octets, how it reads, and what trust found."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from certs.dkim import DkimReport
from certs.harvest import FoundCertificate
from certs.results import told_note
from certs.smime import shows_other_address
from certs.verdicts import Note, SignatureReport
from gateway.smtp.envelope import Envelope
from teleexpertise.addressing import Addressed
from teleexpertise.automatic import Automatic
from teleexpertise.letters import Letter, Mailbox

__all__ = ["Encryption", "Incoming", "noted"]


class Encryption(StrEnum):
    """What became of a mail that is encrypted as a whole; stored with it and shown by ``gateway explain``."""

    DECRYPTED = "decrypted"
    BETWEEN_USERS = "between-users"
    """It names no certificate of ours: end to end, passed on untouched."""
    NOT_OPENED = "not-opened"
    """It names one of ours and others too, and was not opened: passed on untouched, for them."""


def noted(signature: SignatureReport, letter: Letter) -> SignatureReport:
    """The report with a note on the display name, which is to be shown for unsigned mail, too."""
    author = letter.author
    if author is None or Note.DISPLAY_NAME_ADDRESS in signature.notes:
        return signature
    if not shows_other_address(author.name, author.address):
        return signature
    return replace(signature, notes=(*signature.notes, Note.DISPLAY_NAME_ADDRESS))


@dataclass(frozen=True, slots=True, kw_only=True)
class Incoming:
    """A screened mail. ``id`` is what it is stored under.

    ``login`` is who answers for it: the authenticated account, or at the MX the From that the operator
    vouches for. ``dkim`` is what was found about its DKIM signatures, which a user's submission is not asked
    for. ``trace`` are the header fields that every copy gets (Authentication-Results, Sender, Received).
    ``encryption`` is ``None`` for mail that is not encrypted as a whole; ``clear`` is the mail with its
    decrypted content, to which letter and signature then belong, while ``raw`` is the ciphertext as received.
    ``known`` are certificates that a verified signature of another operator's person brought.
    """

    id: UUID
    envelope: Envelope
    raw: bytes
    sha256: str
    letter: Letter
    login: Mailbox
    local: bool
    signature: SignatureReport
    trace: tuple[tuple[str, str], ...]
    addressed: Addressed
    automatic: Automatic | None
    received_at: datetime
    dkim: DkimReport
    encryption: Encryption | None = None
    clear: bytes | None = None
    known: tuple[FoundCertificate, ...] = ()

    @property
    def encrypted(self) -> bool:
        """Whether it is encrypted and we do not read it."""
        return self.encryption in (Encryption.BETWEEN_USERS, Encryption.NOT_OPENED)

    @property
    def readable(self) -> bytes:
        """The octets that are read and passed on to people here: decrypted where the mail came so."""
        return self.raw if self.clear is None else self.clear

    @property
    def false_name(self) -> bool:
        """Whether the display name of From shows an address that is not the sender's."""
        return Note.DISPLAY_NAME_ADDRESS in self.signature.notes

    @property
    def findings(self) -> tuple[str, ...]:
        """What is to be known beside the verdict, as identifiers: no values of header fields."""
        found = [told_note(note, self.signature) for note in self.signature.notes]
        return (*found, *(["unsigned-part"] if self.letter.has_unsigned else []))

    @property
    def told(self) -> dict[str, str]:
        """What the audit trail says of its encryption and findings; empty for a mail with neither."""
        said = {"encryption": str(self.encryption or ""), "findings": "; ".join(self.findings)}
        return {name: text for name, text in said.items() if text}

    @property
    def written_as(self) -> str:
        """The From address."""
        author = self.letter.author
        return author.address if author else self.login.address
