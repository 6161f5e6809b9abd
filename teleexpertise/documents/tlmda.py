"""The request as CDA R2 N3, volet TLM-DA: what the form stated, as narrative that people and we read back."""

from __future__ import annotations

from lxml import etree

from teleexpertise.documents import header as parts
from teleexpertise.documents.checks import check_document
from teleexpertise.documents.completeness import missing_fields
from teleexpertise.documents.facts import MissingFields, RequestFacts
from teleexpertise.documents.header import Element, node
from teleexpertise.documents.oids import LOINC, document_oid

__all__ = ["ANAMNESIS", "LOINC_REQUEST", "ROW", "make_request"]

LOINC_REQUEST = "75496-0"
#: Templates of the sections "Anamnèse et facteurs de risques" and, within it, "Anamnèse".
_HISTORY, ANAMNESIS = "1.2.250.1.213.1.1.2.68", "1.2.250.1.213.1.1.2.69"
#: The beginning of the ``ID`` of each row that holds one answer of the form.
ROW = "tle-"
_TEMPLATES = (
    {"root": "2.16.840.1.113883.2.8.2.1"},
    {"root": "1.2.250.1.213.1.1.1.1"},
    {"root": "1.2.250.1.213.1.1.1.38", "extension": "2022.01"},
)


def make_request(facts: RequestFacts) -> bytes | MissingFields:
    """The document, or what is lacking or wrong, as :func:`teleexpertise.documents.tlmcr.make_cda`."""
    lacking = missing_fields(facts)
    if lacking:
        return MissingFields(lacking)
    octets: bytes = etree.tostring(_document(facts), encoding="UTF-8", xml_declaration=True)
    faults = check_document(octets, test_identifiers=facts.test_identifiers)
    if faults:
        return MissingFields(tuple(dict.fromkeys(fault.reason for fault in faults)))
    return octets


def _document(facts: RequestFacts) -> Element:
    at, author = facts.created_at, facts.author
    root = parts.document(_TEMPLATES, (LOINC_REQUEST, "Demande d'acte de télémédecine"), facts.title, at)
    own = root.find(f"{{{parts.HL7}}}id")
    assert own is not None, "the header has its place for it"
    own.set("root", document_oid(facts.conversation, "request"))
    sections = (_history(facts), _treatments(facts))
    body = node("structuredBody", None, *(node("component", None, section) for section in sections))
    root.extend(
        [
            node("setId", {"root": document_oid(facts.conversation, "request:set")}),
            node("versionNumber", {"value": "1"}),
            parts.record_target(facts.patient, facts.ins_oid),
            parts.author(author, at, facts.practice),
            parts.custodian(facts.custodian),
            parts.recipient(facts.recipient),
            parts.legal_authenticator(author, at, facts.practice),
            # As in the agency's examples, the performer of a request is the one who asks.
            parts.service_event(facts.act, at, None, author, facts.practice),
            parts.encounter(at, author.organisation, facts.facility),
            node("component", None, body),
        ]
    )
    return root


def _section(
    facts: RequestFacts, name: str, templates: tuple[str, ...], code: tuple[str, str], *content: Element
) -> Element:
    kind, label = code
    return node(
        "section",
        None,
        *(node("templateId", {"root": template}) for template in templates),
        node("id", {"root": document_oid(facts.conversation, f"request:{name}")}),
        node(
            "code",
            {"code": kind, "displayName": label, "codeSystem": LOINC, "codeSystemName": "LOINC"},
        ),
        *content,
    )


def _rows(facts: RequestFacts) -> list[tuple[str, str, str]]:
    """Each answer of the form: the end of its row's ``ID``, label and words."""
    rows = [
        ("question", "Question", facts.question),
        (f"urgency-{facts.urgency}", "Urgence", facts.urgency_label or facts.urgency)
        if facts.urgency
        else None,
        ("consent-oui", "Consentement du patient", "oui") if facts.consent else None,
        ("phone", "Téléphone du demandeur", facts.phone) if facts.phone else None,
        ("remark", "Mots d'accompagnement", facts.remark) if facts.remark else None,
        *((f"answer-{n}", label, value) for n, (label, value) in enumerate(facts.answers, start=1)),
    ]
    return [row for row in rows if row is not None]


def _lines(text: str) -> list[Element | str]:
    """A cell's content: its lines, a ``br`` between two."""
    first, *others = parts.writable(text.replace("\r\n", "\n").replace("\r", "\n")).split("\n")
    content: list[Element | str] = [first]
    for line in others:
        end = node("br")
        end.tail = line
        content.append(end)
    return content


def _narrative(facts: RequestFacts) -> Element:
    rows = [
        node("tr", {"ID": f"{ROW}{name}"}, node("th", None, label), node("td", None, *_lines(value)))
        for name, label, value in _rows(facts)
    ]
    return node("text", None, node("table", {"border": "0"}, node("tbody", None, *rows)))


def _history(facts: RequestFacts) -> Element:
    anamnesis = _section(
        facts,
        "anamnesis",
        (ANAMNESIS,),
        ("34117-2", "Historique et physique"),
        node("title", None, "Anamnèse"),
        _narrative(facts),
    )
    return _section(
        facts,
        "history",
        (_HISTORY,),
        ("46612-8", "Conclusions de synthèse"),
        node("title", None, "Anamnèse et facteurs de risques"),
        node("component", None, anamnesis),
    )


def _treatments(facts: RequestFacts) -> Element:
    """The section that the rules want; the form codes no treatment: its one entry says "no information"."""
    words = "Traitements : voir l'anamnèse, en texte libre."
    product = node(
        "manufacturedProduct",
        None,
        *(
            node("templateId", {"root": root})
            for root in (
                "2.16.840.1.113883.10.20.1.53",
                "1.3.6.1.4.1.19376.1.5.3.1.4.7.2",
                "1.2.250.1.213.1.1.3.43",
            )
        ),
        node(
            "manufacturedMaterial",
            None,
            node("code", {"nullFlavor": "NI"}),
            node("name", {"nullFlavor": "NA"}),
        ),
    )
    entry = node(
        "substanceAdministration",
        {"classCode": "SBADM", "moodCode": "EVN"},
        *(
            node("templateId", {"root": root})
            for root in (
                "2.16.840.1.113883.10.20.1.24",
                "1.3.6.1.4.1.19376.1.5.3.1.4.7",
                "1.2.250.1.213.1.1.3.42",
                "1.3.6.1.4.1.19376.1.5.3.1.4.7.1",
            )
        ),
        node("id", {"root": document_oid(facts.conversation, "request:treatment")}),
        node("text", None, node("reference", {"value": "#traitements"})),
        node("statusCode", {"code": "completed"}),
        node("consumable", None, product),
    )
    return _section(
        facts,
        "treatments",
        (
            "2.16.840.1.113883.10.20.1.8",
            "1.3.6.1.4.1.19376.1.5.3.1.3.19",
            "1.2.250.1.213.1.1.2.143",
        ),
        ("10160-0", "Traitements"),
        node("title", None, "Traitements"),
        node("text", None, node("content", {"ID": "traitements"}, words)),
        node("entry", {"typeCode": "DRIV"}, entry),
    )
