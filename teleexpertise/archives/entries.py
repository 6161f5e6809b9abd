"""What an archive says of a document, a patient, a sender (IHE XDS metadata, French mapping)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum

__all__ = [
    "INS_OIDS",
    "ArchiveDocument",
    "ArchivePatient",
    "Coded",
    "DocumentAuthor",
    "DocumentEntry",
    "Sender",
    "Transfer",
]

#: The authorities that assign an INS: NIR, NIA, and the test and demonstration ones.
INS_OIDS = frozenset(
    {"1.2.250.1.213.1.4.8", "1.2.250.1.213.1.4.9", "1.2.250.1.213.1.4.10", "1.2.250.1.213.1.4.11"}
)


class Transfer(StrEnum):
    """What is to become of a document at its receiver: kept as new, in place of its parent, or withdrawn.

    The value is that of the slot ``urn:action:extraMetadataSlot``, '' where there is no slot.
    """

    NEW = ""
    REPLACE = "C"
    DELETE = "D"


@dataclass(frozen=True, slots=True)
class Coded:
    """A code of a nomenclature: its value, the nomenclature (an OID), the label shown."""

    code: str
    scheme: str
    label: str = ""


@dataclass(frozen=True, slots=True)
class DocumentAuthor:
    """An author as HL7 v2 data types: ``person`` XCN, ``specialty`` code^label^OID, ``institution`` XON."""

    person: str
    specialty: str = ""
    institution: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchivePatient:
    """The patient as a document states: ``ins`` '' without an INS; ``sex`` F, M, U or ''.

    ``first_names`` are all of them as on the birth certificate, ``first_name`` the first; ``birth_order``
    is the rank in a multiple birth, 0 where none is said.
    """

    ins: str = ""
    oid: str = ""
    birth_name: str = ""
    first_name: str = ""
    first_names: str = ""
    birth_date: date | None = None
    sex: str = ""
    birthplace: str = ""
    birth_order: int = 0

    @property
    def qualified(self) -> bool:
        """INS, its authority and the four traits that make an INS usable (ECO.2.4.2)."""
        given = self.first_name or self.first_names
        known = self.ins and self.oid in INS_OIDS
        return bool(known and self.birth_name and given and self.birth_date and self.sex in ("F", "M"))


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentEntry:
    """An XDS DocumentEntry. Instants are HL7 DTM in UTC (``20200327143500``), ``size`` bytes.

    ``hash`` is a SHA-1; ``replaces`` the parent document's identifier, told by the header only.
    """

    uri: str
    unique_id: str
    patient_id: str
    title: str
    hash: str = ""
    size: int | None = None
    mime_type: str = "text/xml"
    creation_time: str = ""
    language: str = ""
    legal_authenticator: str = ""
    service_start: str = ""
    service_stop: str = ""
    source_patient_id: str = ""
    source_patient_info: tuple[str, ...] = ()
    authors: tuple[DocumentAuthor, ...] = ()
    event_codes: tuple[Coded, ...] = ()
    class_code: Coded | None = None
    confidentiality: tuple[Coded, ...] = ()
    format_code: Coded | None = None
    facility: Coded | None = None
    practice: Coded | None = None
    type_code: Coded | None = None
    transfer: Transfer = Transfer.NEW
    replaces: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class ArchiveDocument:
    """A document to be put into an archive: the octets of a CDA, and what is to become of it."""

    content: bytes
    transfer: Transfer = Transfer.NEW


@dataclass(frozen=True, slots=True)
class Sender:
    """Who makes an archive: the organisation, its identifier (``1`` + FINESS ...), the software."""

    organisation: str
    identifier: str
    software: str
    version: str
