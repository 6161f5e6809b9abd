"""Object identifiers of the French health documents (CI-SIS, ``interop`` nomenclatures of the agency)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from uuid import UUID, uuid5

__all__ = [
    "ACTS",
    "CONFIDENTIALITY",
    "ENCOUNTER",
    "FACILITIES",
    "GENDER",
    "INS_DEMO",
    "INS_NIA",
    "INS_NIR",
    "INS_OIDS",
    "INS_TEST",
    "LOINC",
    "ORGANISATIONS",
    "PROFESSIONALS",
    "PROFESSIONS",
    "SETTINGS",
    "document_oid",
    "uuid_oid",
]

LOINC = "2.16.840.1.113883.6.1"
CONFIDENTIALITY = "2.16.840.1.113883.5.25"
GENDER = "2.16.840.1.113883.5.1"
#: ActCode of HL7: the kind of an encounter.
ENCOUNTER = "2.16.840.1.113883.5.4"
#: NGAP as the rules of 2026 name it; those of 2022 take it too.
ACTS = "1.2.250.1.215.300.3"
#: Professionals (``8`` and the RPPS) and organisations (``1`` and the FINESS, ``3`` and the SIRET ...).
PROFESSIONALS = "1.2.250.1.71.4.2.1"
ORGANISATIONS = "1.2.250.1.71.4.2.2"
PROFESSIONS = "1.2.250.1.213.1.1.4.5"
SETTINGS = "1.2.250.1.213.1.1.4.9"
FACILITIES = "1.2.250.1.71.4.2.4"

INS_NIR = "1.2.250.1.213.1.4.8"
INS_NIA = "1.2.250.1.213.1.4.9"
INS_TEST = "1.2.250.1.213.1.4.10"
INS_DEMO = "1.2.250.1.213.1.4.11"
INS_OIDS: Mapping[str, str] = MappingProxyType(
    {INS_NIR: "INS-NIR", INS_NIA: "INS-NIA", INS_TEST: "INS-NIR (test)", INS_DEMO: "INS-NIR (demo)"}
)


def uuid_oid(value: UUID) -> str:
    """The object identifier of a UUID (``ITU-T X.667``): ``2.25.`` and its decimal value, 44 characters."""
    return f"2.25.{value.int}"


def document_oid(conversation: UUID, name: str) -> str:
    """The identifier of one document of a conversation; ``name`` says which: ``report:1``, ``request``.

    Derived and not drawn: a document made again is the same document.
    """
    return uuid_oid(uuid5(conversation, name))
