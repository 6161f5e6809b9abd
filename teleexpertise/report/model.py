"""What a report says: identities, dates, question, exchanges chosen, conclusion (``CSP art. R6316-4``)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from teleexpertise.events import Author
from teleexpertise.patients import Patient
from teleexpertise.people import Party

__all__ = ["Report", "ReportAttachment", "ReportExchange"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportAttachment:
    """One attachment: always listed; shown too when ``content`` is given and is a picture or a PDF, whatever
    type is declared. ``sha256`` in hex. ``unsigned``: it stood outside of the signed part of its mail.
    """

    filename: str
    content_type: str
    size: int
    sha256: str
    content: bytes | None = None
    unsigned: bool = False

    @property
    def is_image(self) -> bool:
        """Whether it is declared as an image."""
        return self.content_type.startswith("image/") or self.content_type == "application/dicom"

    @property
    def is_pdf(self) -> bool:
        """Whether it is declared as a PDF."""
        return self.content_type == "application/pdf"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportExchange:
    """One mail chosen for the report; ``number`` as the finalisation form listed it.

    ``late``: received after the closing. ``encrypted``: end to end, so that its words cannot be shown.
    ``text`` is the author's; ``unsigned`` is what stood outside of the signed part and is nobody's word.
    ``bad_signature``: signed, and the signature does not hold.
    """

    number: int
    at: datetime
    author: Author
    text: str
    attachments: tuple[ReportAttachment, ...] = ()
    late: bool = False
    encrypted: bool = False
    unsigned: str = ""
    bad_signature: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A report, or a provisional synthesis (no ``finaliser``). Outcome, act, urgency are labels.

    ``attachments`` came with the question. ``missing`` names mandatory elements nobody brought. ``incidents``
    are sentences about technical incidents (mails that could not be delivered).
    """

    reference: str
    version: int
    generated_at: datetime
    state: str
    requester: Party
    expert: Party
    patient: Patient
    asked_at: datetime
    asked_by: Author
    question: str
    urgency: str
    consent: bool
    organisation: str
    answered_at: datetime | None = None
    finalised_at: datetime | None = None
    finaliser: Author | None = None
    phone: str = ""
    answers: tuple[tuple[str, str], ...] = ()
    attachments: tuple[ReportAttachment, ...] = ()
    exchanges: tuple[ReportExchange, ...] = ()
    conclusion: str = ""
    outcome: str = ""
    act: str = ""
    missing: tuple[str, ...] = ()
    incidents: tuple[str, ...] = ()
    addressees: tuple[str, ...] = ()

    @property
    def provisional(self) -> bool:
        """A synthesis made before (or without) a finalisation."""
        return self.finaliser is None

    @property
    def all_attachments(self) -> Iterator[ReportAttachment]:
        """Those of the question, then those of the exchanges, in order."""
        yield from self.attachments
        for exchange in self.exchanges:
            yield from exchange.attachments

    def listing_only(self) -> Report:
        """The same, its attachments listed and not shown."""
        exchanges = tuple(replace(each, attachments=_bare(each.attachments)) for each in self.exchanges)
        return replace(self, attachments=_bare(self.attachments), exchanges=exchanges)


def _bare(attachments: tuple[ReportAttachment, ...]) -> tuple[ReportAttachment, ...]:
    return tuple(replace(each, content=None) for each in attachments)
