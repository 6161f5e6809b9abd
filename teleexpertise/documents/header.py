"""The header that report and request share (``CI-SIS``, volet Structuration minimale)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import cast

from lxml import etree

from teleexpertise.documents import oids
from teleexpertise.documents.codes import code_tables
from teleexpertise.documents.facts import (
    Organisation,
    Professional,
    birth_given_names,
    trait,
)
from teleexpertise.patients import Patient

__all__ = [
    "HL7",
    "Element",
    "assigned_entity",
    "author",
    "custodian",
    "document",
    "encounter",
    "identifier",
    "legal_authenticator",
    "node",
    "recipient",
    "record_target",
    "service_event",
    "stamp",
    "writable",
]

Element = etree._Element
HL7 = "urn:hl7-org:v3"
XSI = "http://www.w3.org/2001/XMLSchema-instance"
# The stubs of lxml know no default namespace, which lxml itself takes under the name None.
_NAMESPACES = cast("Mapping[str, str]", {None: HL7, "xsi": XSI})
_GENDERS = {"F": "Féminin", "M": "Masculin"}
# XML 1.0 §2.2 knows no other control characters, and no halves of a surrogate pair.
_UNWRITABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufffe\uffff]")


def writable(text: str) -> str:
    """The text without what XML cannot hold."""
    return _UNWRITABLE.sub("", text)


def node(tag: str, attributes: Mapping[str, str] | None = None, *content: Element | str | None) -> Element:
    """An element of HL7 v3; ``None`` among its content is left out."""
    made = etree.Element(f"{{{HL7}}}{tag}", {k: writable(v) for k, v in (attributes or {}).items()})
    for each in content:
        if isinstance(each, str):
            made.text = writable(each)
        elif each is not None:
            made.append(each)
    return made


def stamp(moment: datetime) -> str:
    """An instant with seconds and zone (``TS``): ``20261122104100+0100``."""
    return moment.strftime("%Y%m%d%H%M%S%z")


def identifier(value: str) -> Element:
    """An ``id`` from ``root`` or ``root^extension``."""
    root, _, extension = value.partition("^")
    return node("id", {"root": root, **({"extension": extension} if extension else {})})


def document(
    templates: Iterable[Mapping[str, str]], code: tuple[str, str], title: str, created_at: datetime
) -> Element:
    """The root with what stands before ``setId``; ``code`` is a LOINC code with its label."""
    root = etree.Element(f"{{{HL7}}}ClinicalDocument", nsmap=_NAMESPACES)
    kind, label = code
    root.extend(
        [
            node("realmCode", {"code": "FR"}),
            node("typeId", {"root": "2.16.840.1.113883.1.3", "extension": "POCD_HD000040"}),
            *(node("templateId", template) for template in templates),
            node("id"),
            node(
                "code",
                {
                    "code": kind,
                    "displayName": label,
                    "codeSystem": oids.LOINC,
                    "codeSystemName": "LOINC",
                },
            ),
            node("title", None, title),
            node("effectiveTime", {"value": stamp(created_at)}),
            node(
                "confidentialityCode",
                {"code": "N", "codeSystem": oids.CONFIDENTIALITY, "displayName": "Normal"},
            ),
            node("languageCode", {"code": "fr-FR"}),
        ]
    )
    return root


def record_target(patient: Patient, ins_oid: str) -> Element:
    """The patient with the traits of the INS (``referentiel INS``); no address, no telephone is known."""
    given, first = birth_given_names(patient.first_names)
    first = trait(patient.first_first_name) or first
    used_name, used_first_names = trait(patient.used_name), trait(patient.used_first_names)
    born = patient.birth_date.strftime("%Y%m%d") if patient.birth_date else ""
    return node(
        "recordTarget",
        None,
        node(
            "patientRole",
            None,
            node("id", {"root": ins_oid, "extension": patient.ins}),
            node("addr", {"nullFlavor": "NASK"}),
            node("telecom", {"nullFlavor": "NASK"}),
            node(
                "patient",
                {"classCode": "PSN"},
                node(
                    "name",
                    None,
                    node("family", {"qualifier": "BR"}, trait(patient.birth_name)),
                    node("given", None, given),
                    node("given", {"qualifier": "BR"}, first),
                    node("family", {"qualifier": "CL"}, used_name) if used_name else None,
                    node("given", {"qualifier": "CL"}, used_first_names) if used_first_names else None,
                ),
                node(
                    "administrativeGenderCode",
                    {
                        "code": patient.sex,
                        "displayName": _GENDERS.get(patient.sex, ""),
                        "codeSystem": oids.GENDER,
                    },
                ),
                node("birthTime", {"value": born.zfill(8)}),
                node(
                    "birthplace",
                    None,
                    node("place", None, node("addr", None, node("county", None, patient.birth_place))),
                ),
            ),
        ),
    )


def _address(organisation: Organisation) -> Element:
    """An address of postcode and town, all that accounts hold; the schema wants one everywhere."""
    if not organisation.town:
        return node("addr", {"nullFlavor": "NAV"})
    return node(
        "addr",
        None,
        node("postalCode", None, organisation.postcode) if organisation.postcode else None,
        node("city", None, organisation.town),
    )


def _telecoms(person: Professional) -> list[Element]:
    digits = "".join(c for c in person.phone if c.isdigit() or c == "+")
    found = [node("telecom", {"value": f"tel:{digits}", "use": "WP"})] if digits else []
    if person.mail:
        found.append(node("telecom", {"value": f"mailto:{person.mail}", "use": "WP"}))
    return found or [node("telecom", {"nullFlavor": "NAV"})]


def _name(person: Professional) -> Element:
    name = person.name
    return node(
        "name",
        None,
        node("prefix", None, name.prefix) if name.prefix else None,
        node("given", None, name.given) if name.given else None,
        node("family", None, name.family),
        node("suffix", None, name.suffix) if name.suffix else None,
    )


def _person_id(person: Professional) -> Element:
    if not person.rpps:
        return node("id", {"nullFlavor": "UNK"})
    return node("id", {"root": oids.PROFESSIONALS, "extension": f"8{person.rpps}"})


def _organisation_id(organisation: Organisation) -> Element:
    if not organisation.finess:
        return node("id", {"nullFlavor": "UNK"})
    return node("id", {"root": oids.ORGANISATIONS, "extension": f"1{organisation.finess}"})


def _role(person: Professional) -> Element | None:
    if person.role is None:
        return None
    return node(
        "code",
        {
            "code": person.role.code,
            "displayName": person.role.label,
            "codeSystem": oids.PROFESSIONS,
        },
    )


def _organisation(organisation: Organisation, practice: str) -> Element:
    return node(
        "representedOrganization",
        None,
        _organisation_id(organisation) if organisation.finess else None,
        node("name", None, organisation.name),
        _address(organisation),
        node(
            "standardIndustryClassCode",
            {
                "code": practice,
                "displayName": code_tables().practice_settings.get(practice, ""),
                "codeSystem": oids.SETTINGS,
                "codeSystemName": "practiceSettingCode",
            },
        ),
    )


def assigned_entity(person: Professional, practice: str, tag: str = "assignedEntity") -> Element:
    """A professional with identifier, role, mailbox, name and organisation."""
    return node(
        tag,
        None,
        _person_id(person),
        _role(person),
        _address(person.organisation),
        *_telecoms(person),
        node("assignedPerson", None, _name(person)),
        _organisation(person.organisation, practice),
    )


def author(person: Professional, at: datetime, practice: str) -> Element:
    """Who wrote the document."""
    return node(
        "author",
        None,
        node("time", {"value": stamp(at)}),
        assigned_entity(person, practice, "assignedAuthor"),
    )


def custodian(organisation: Organisation) -> Element:
    """Who keeps the document: the organisation that runs the service."""
    return node(
        "custodian",
        None,
        node(
            "assignedCustodian",
            None,
            node(
                "representedCustodianOrganization",
                None,
                _organisation_id(organisation),
                node("name", None, organisation.name),
                node("telecom", {"nullFlavor": "NAV"}),
                _address(organisation),
            ),
        ),
    )


def recipient(person: Professional) -> Element:
    """To whom the document is addressed."""
    organisation = person.organisation
    return node(
        "informationRecipient",
        None,
        node(
            "intendedRecipient",
            None,
            _person_id(person) if person.rpps else None,
            _address(organisation),
            *_telecoms(person),
            node("informationRecipient", None, _name(person)) if person.name.whole else None,
            node(
                "receivedOrganization",
                None,
                node("name", None, organisation.name),
                node("telecom", {"nullFlavor": "NAV"}),
                _address(organisation),
            )
            if organisation.name
            else None,
        ),
    )


def legal_authenticator(person: Professional, at: datetime, practice: str) -> Element:
    """Who answers for the document."""
    return node(
        "legalAuthenticator",
        None,
        node("time", {"value": stamp(at)}),
        node("signatureCode", {"code": "S"}),
        assigned_entity(person, practice),
    )


def service_event(
    act: str, started: datetime, ended: datetime | None, person: Professional, practice: str
) -> Element:
    """The act documented, by its code of the NGAP."""
    return node(
        "documentationOf",
        None,
        node(
            "serviceEvent",
            {"classCode": "ACT"},
            node(
                "code",
                {
                    "code": act,
                    "displayName": code_tables().acts.get(act, ""),
                    "codeSystem": oids.ACTS,
                    "codeSystemName": "NGAP",
                },
            ),
            node(
                "effectiveTime",
                None,
                node("low", {"value": stamp(started)}),
                node("high", {"value": stamp(ended)}) if ended else None,
            ),
            node("performer", {"typeCode": "PRF"}, assigned_entity(person, practice)),
        ),
    )


def encounter(started: datetime, place: Organisation, facility: str) -> Element:
    """Where care was given: at a distance, from the expert's facility."""
    return node(
        "componentOf",
        None,
        node(
            "encompassingEncounter",
            None,
            node("code", {"code": "VR", "displayName": "Virtuelle", "codeSystem": oids.ENCOUNTER}),
            node("effectiveTime", None, node("low", {"value": stamp(started)})),
            node(
                "location",
                None,
                node(
                    "healthCareFacility",
                    None,
                    _organisation_id(place) if place.finess else None,
                    node(
                        "code",
                        {
                            "code": facility,
                            "displayName": code_tables().facility_types.get(facility, ""),
                            "codeSystem": oids.FACILITIES,
                            "codeSystemName": "healthCareFacilityTypeCode",
                        },
                    ),
                    node("location", None, node("name", None, place.name), _address(place)),
                ),
            ),
        ),
    )
