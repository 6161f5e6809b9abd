"""The report as CDA R2 N1, volet TLM-CR: header and the PDF, the same octets as beside it in the mail."""

from __future__ import annotations

from base64 import b64encode

from lxml import etree

from teleexpertise.documents import header as parts
from teleexpertise.documents.checks import check_document
from teleexpertise.documents.completeness import missing_fields
from teleexpertise.documents.facts import DocumentFacts, MissingFields
from teleexpertise.documents.header import node
from teleexpertise.documents.oids import document_oid

__all__ = ["LOINC_REPORT", "make_cda"]

LOINC_REPORT = "85208-7"
_TEMPLATES = (
    {"root": "2.16.840.1.113883.2.8.2.1"},
    {"root": "1.2.250.1.213.1.1.1.1"},
    {"root": "1.3.6.1.4.1.19376.1.2.20"},
)


def make_cda(facts: DocumentFacts, pdf: bytes) -> bytes | MissingFields:
    """The document, or what is lacking or wrong; the same facts and PDF give the same octets.

    Nothing leaves that :func:`check_document` finds fault with: its reasons are then the missing fields.
    """
    lacking = missing_fields(facts)
    if lacking:
        return MissingFields(lacking)
    octets: bytes = etree.tostring(_document(facts, pdf), encoding="UTF-8", xml_declaration=True)
    faults = check_document(octets, test_identifiers=facts.test_identifiers)
    if faults:
        return MissingFields(tuple(dict.fromkeys(fault.reason for fault in faults)))
    return octets


def _document(facts: DocumentFacts, pdf: bytes) -> parts.Element:
    at, author = facts.created_at, facts.author
    root = parts.document(_TEMPLATES, (LOINC_REPORT, "Compte-rendu d'acte de télémédecine"), facts.title, at)
    own = root.find(f"{{{parts.HL7}}}id")
    assert own is not None, "the header has its place for it"
    own.set("root", document_oid(facts.conversation, f"report:{facts.version}"))
    order = facts.order_id or document_oid(facts.conversation, "request")
    root.extend(
        [
            node("setId", {"root": document_oid(facts.conversation, "report")}),
            node("versionNumber", {"value": str(len(facts.earlier) + 1)}),
            parts.record_target(facts.patient, facts.ins_oid),
            parts.author(author, at, facts.practice),
            parts.custodian(facts.custodian),
            parts.recipient(facts.recipient),
            parts.legal_authenticator(author, at, facts.practice),
            node("inFulfillmentOf", None, node("order", None, parts.identifier(order))),
            parts.service_event(facts.act, facts.asked_at, at, author, facts.practice),
        ]
    )
    if facts.earlier:
        before = document_oid(facts.conversation, f"report:{facts.earlier[-1]}")
        parent = node("parentDocument", None, node("id", {"root": before}))
        root.append(node("relatedDocument", {"typeCode": "RPLC"}, parent))
    root.append(parts.encounter(facts.asked_at, author.organisation, facts.facility))
    text = {"mediaType": "application/pdf", "representation": "B64"}
    body = node("nonXMLBody", None, node("text", text, b64encode(pdf).decode("ascii")))
    root.append(node("component", None, body))
    return root
