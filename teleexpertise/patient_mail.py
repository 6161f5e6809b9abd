"""Patients as correspondents (Mon espace santé): whose an address is, what ends an exchange, what answers
one.

Only a professional opens an exchange; the patient may then answer in it, until the professional ends it by
``X-MSS-MES: FIN`` or the subject ``[FIN]`` (Ref#2 §3.4.2.3, ECO.2.2.8; ENS §7). An answer is known by what it
cites, never by its subject.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from teleexpertise.addressing import without_detail
from teleexpertise.identifiers import nir_disagreements, read_ins
from teleexpertise.letters import Letter
from teleexpertise.patients import Patient

__all__ = [
    "MES_FIELD",
    "MES_FIN",
    "Ending",
    "Exchange",
    "cited_by",
    "ending_of",
    "in_patients_domain",
    "is_patients_mailbox",
    "mailbox_for",
    "masked",
    "matricule_of",
    "nearest",
    "patient_of",
]

MES_FIELD, MES_FIN = "X-MSS-MES", "FIN"
_FIN_SUBJECT = "[FIN]"
_MATRICULE = re.compile(r"[0-9]{5}(?:[0-9]{2}|2[ab])[0-9]{8}")
#: Broader than a matricule, at any domain: what may be one is not shown.
_SHOWN = re.compile(r"(?<![0-9A-Za-z])[0-9ABab]{15}(\+[^@\s]{0,64})?(?=@)")
#: Of what a mail cites the nearest are looked at; a header has room for thousands.
_MOST_CITED = 200


class Ending(StrEnum):
    """What a professional's mail ends: nothing, its own exchange, or all of the mailbox with the patient."""

    NONE = "none"
    THREAD = "thread"
    ALL = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """An exchange of one mailbox of ours with one patient.

    ``mailbox`` is where the patient may answer, ``patient`` the patient's address; ``opened_by`` and
    ``closed_by`` are accounts (or an operator at the command line). ``answers`` counts the patient's mails,
    ``last_at`` is when the last mail of either side came. ``conversation_id`` names the tele-expertise whose
    report was sent. ``failure`` is why the last mail did not reach the patient, '' where nothing is known.
    """

    id: UUID
    mailbox: str
    patient: str
    opened_by: str
    opened_at: datetime
    last_at: datetime
    answers: int = 0
    closed_at: datetime | None = None
    closed_by: str = ""
    failure: str = ""
    conversation_id: UUID | None = None

    @property
    def open(self) -> bool:
        """Whether the patient may answer."""
        return self.closed_at is None


def in_patients_domain(address: str, domain: str | None) -> bool:
    """Whether an address is of the operator of the patients (``domain``, ``None`` where none is known)."""
    return domain is not None and address.lower().rpartition("@")[2] == domain


def patient_of(address: str, domain: str | None) -> str:
    """The patient's address (lower case, without detail) where it is one of a patient, else ''.

    The operator's own addresses (``postmaster``, ``mailer-daemon``) are nobody's.
    """
    plain = without_detail(address.lower())
    if not in_patients_domain(plain, domain) or not _MATRICULE.fullmatch(plain.rpartition("@")[0]):
        return ""
    return plain


def is_patients_mailbox(address: str, domain: str | None) -> bool:
    """Whether mail may be addressed so: in the patients' domain to a matricule with its key, or to the
    postmaster (``RFC 5321 §4.5.1``); elsewhere to anybody. A mistyped INS would be somebody else's.
    """
    if not in_patients_domain(address, domain) or address.lower().startswith("postmaster@"):
        return True
    return bool(matricule_of(patient_of(address, domain)))


def matricule_of(patient: str) -> str:
    """The INS that a patient's address names (15 characters), '' where its key says that it is none."""
    return read_ins(patient.rpartition("@")[0]).value


def mailbox_for(patient: Patient, domain: str | None) -> str:
    """The patient's own mailbox; '' without a qualified INS (ECO.2.2.6), or where no domain is known.

    An INS that says another sex or birth than the traits is somebody else's, mostly a parent's: a child is
    written to at its own address (ENS §2).
    """
    if domain is None or patient.anonymous or not patient.qualified or not read_ins(patient.ins).valid:
        return ""
    if nir_disagreements(patient.ins, patient.sex, patient.birth_date):
        return ""
    return f"{patient.ins.lower()}@{domain}"


def ending_of(letter: Letter) -> Ending:
    """What a professional's mail ends: the subject is exactly ``[FIN]`` and then ends all (ENS §7)."""
    if letter.subject.strip() == _FIN_SUBJECT:
        return Ending.ALL
    return Ending.THREAD if letter.first(MES_FIELD).strip() == MES_FIN else Ending.NONE


def cited_by(letter: Letter) -> tuple[str, ...]:
    """The Message-IDs that a mail answers, the nearest first (``RFC 5322 §3.6.4``)."""
    cited = (*letter.in_reply_to, *reversed(letter.references))
    return tuple(dict.fromkeys(cited))[:_MOST_CITED]


def nearest(cited: Iterable[str], exchanges: Mapping[str, Exchange]) -> Exchange | None:
    """The exchange of the nearest mail cited; ``exchanges`` are those of the mails known, by Message-ID.

    What was said before an exchange was closed stays closed, whatever was opened since: an answer to it is an
    answer to a closed exchange.
    """
    return next((exchanges[name] for name in cited if name in exchanges), None)


def masked(text: str) -> str:
    """The text without the INS of patients' addresses: the domain alone is shown."""
    return _SHOWN.sub("*" * 15, text)
