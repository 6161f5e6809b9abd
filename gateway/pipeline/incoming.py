"""One mail that stands at the door: its envelope, its octets, how it reads, and what trust found."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from certs.dkim import DkimReport
from certs.verdicts import SignatureReport
from gateway.smtp.envelope import Envelope
from teleexpertise.addressing import Addressed
from teleexpertise.automatic import Automatic
from teleexpertise.letters import Letter, Mailbox

__all__ = ["Incoming"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Incoming:
    """A screened mail. ``id`` is what it is stored under.

    ``login`` is who answers for it: the authenticated account, or at the MX the From that the operator
    vouches for.
    ``dkim`` is what was found about its DKIM signatures, which a user's submission is not asked for.
    ``trace`` are the header fields that every copy gets (Authentication-Results, Sender, Received).
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
    encrypted: bool
    received_at: datetime
    dkim: DkimReport

    @property
    def written_as(self) -> str:
        """The From address."""
        author = self.letter.author
        return author.address if author else self.login.address
