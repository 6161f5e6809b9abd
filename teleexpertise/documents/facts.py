"""What a document says, gathered before it is built: the builders ask nothing of anybody."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from teleexpertise.documents.codes import Coded
from teleexpertise.patients import Patient
from teleexpertise.plaintext import one_space

__all__ = [
    "DocumentFacts",
    "MissingFields",
    "Organisation",
    "PersonName",
    "Professional",
    "RequestFacts",
    "birth_given_names",
    "person_name",
    "trait",
]

_TITLES = {
    "dr": ("", "DR"),
    "docteur": ("", "DR"),
    "pr": ("", "PR"),
    "professeur": ("", "PR"),
    "m": ("M", ""),
    "monsieur": ("M", ""),
    "mme": ("MME", ""),
    "madame": ("MME", ""),
}


@dataclass(frozen=True, slots=True)
class PersonName:
    """A professional's name: ``prefix`` M or MME, ``suffix`` DR or PR, '' where unknown."""

    family: str
    given: str = ""
    prefix: str = ""
    suffix: str = ""

    @property
    def whole(self) -> bool:
        """Whether there is a family name."""
        return bool(self.family)


@dataclass(frozen=True, slots=True, kw_only=True)
class Organisation:
    """A hospital, practice or house: FINESS of 9 characters ('' unknown), name, postcode and town."""

    finess: str = ""
    name: str = ""
    postcode: str = ""
    town: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Professional:
    """Somebody who takes part in the act. ``rpps`` 11 digits, ``mail`` the mailbox, '' where unknown.

    ``role`` is the profession and specialty of JDV_J01, ``None`` where the account does not say it.
    """

    name: PersonName
    rpps: str = ""
    role: Coded | None = None
    mail: str = ""
    phone: str = ""
    organisation: Organisation = Organisation()


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentFacts:
    """All that a TLM-CR says. Instants carry the zone that the document shows.

    ``version`` is that of the report; ``earlier`` are the versions before it that left as CDA: where there
    was none, this is the first document of its set, and what nobody has is not replaced.
    ``author`` is the expert who answers for the report, ``recipient`` the requester. ``practice`` and
    ``facility`` are codes of JDV_J04 and JDV_J02. ``ins_oid`` is the authority of the patient's INS;
    ``order_id`` identifies the request answered (``root`` or ``root^extension``), '' for one of our own form.
    ``test_identifiers``: the service's patients have test INS, or real ones; ``None``: either is right.
    """

    conversation: UUID
    version: int
    created_at: datetime
    asked_at: datetime
    patient: Patient
    ins_oid: str
    author: Professional
    custodian: Organisation
    recipient: Professional
    practice: str
    facility: str
    act: str = "TE2"
    order_id: str = ""
    earlier: tuple[int, ...] = ()
    title: str = "Compte rendu de téléexpertise"
    test_identifiers: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestFacts:
    """All that a TLM-DA says: a request as its form stated it. ``urgency`` is the form's value and label.
    ``test_identifiers`` as for a report.
    """

    conversation: UUID
    created_at: datetime
    patient: Patient
    ins_oid: str
    author: Professional
    custodian: Organisation
    recipient: Professional
    practice: str
    facility: str
    question: str
    urgency: str = ""
    urgency_label: str = ""
    consent: bool = True
    phone: str = ""
    remark: str = ""
    answers: tuple[tuple[str, str], ...] = ()
    act: str = "TE2"
    title: str = "Demande de téléexpertise"
    test_identifiers: bool | None = None


@dataclass(frozen=True, slots=True)
class MissingFields:
    """Why there is no document: names of :mod:`teleexpertise.documents.sentences`, never a guess instead."""

    fields: tuple[str, ...]


def person_name(shown: str) -> PersonName:
    """The name of a person as accounts show it (``Dr Nadège ARSAC``): capitals are the family name.

    Without capitals nothing says where the family name begins: the whole is the family name.
    """
    words = one_space(shown).split()
    prefix = suffix = ""
    while words and (title := _TITLES.get(words[0].rstrip(".").lower())):
        prefix, suffix = title[0] or prefix, title[1] or suffix
        words = words[1:]
    family = [word for word in words if word == word.upper() and len(word.rstrip(".")) > 1]
    given = [word for word in words if word not in family]
    if not family or not given:
        return PersonName(" ".join(words), "", prefix, suffix)
    return PersonName(" ".join(family), " ".join(given), prefix, suffix)


def trait(text: str) -> str:
    """A name as identity traits are written (RNIV): capitals without accents, plain apostrophe and hyphen."""
    opened = text.replace("œ", "oe").replace("Œ", "OE").replace("æ", "ae").replace("Æ", "AE")
    plain = "".join(c for c in unicodedata.normalize("NFKD", opened) if not unicodedata.combining(c))
    plain = re.sub("[‘’ʼ´`]", "'", re.sub("[‐-―−]", "-", plain))
    return " ".join(one_space(plain.upper()).split())


def birth_given_names(first_names: str) -> tuple[str, str]:
    """The list of birth given names and the first of them: separated by commas, else by spaces.

    A name of two words (``Anne Marie``) is one only where commas separate the names.
    """
    listed = trait(first_names)
    names = [name.strip() for name in listed.split(",")] if "," in listed else listed.split()
    names = [name for name in names if name]
    return " ".join(names), names[0] if names else ""
