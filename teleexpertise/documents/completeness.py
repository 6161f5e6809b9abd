"""What a document wants and the record does not hold: named field by field, nothing guessed in its place."""

from __future__ import annotations

import re

from teleexpertise.documents.codes import code_tables
from teleexpertise.documents.facts import DocumentFacts, Professional, RequestFacts, birth_given_names, trait
from teleexpertise.identifiers import nir_disagreements
from teleexpertise.patients import Patient

__all__ = ["COG", "missing_fields"]

#: The official code of a commune or country: 5 digits, in Corsica 2A or 2B and 3; countries begin with 99.
COG = re.compile(r"(\d\d|2[AB])\d{3}")


def _patient(patient: Patient) -> list[tuple[str, bool]]:
    return [
        ("patient_ins", not patient.ins),
        ("patient_qualified", bool(patient.ins) and not patient.qualified),
        # A parent's number would put the document into the parent's record.
        ("patient_ins_traits", bool(nir_disagreements(patient.ins, patient.sex, patient.birth_date))),
        ("patient_birth_name", not trait(patient.birth_name)),
        ("patient_first_names", not birth_given_names(patient.first_names)[1]),
        ("patient_birth_date", patient.birth_date is None),
        ("patient_sex", patient.sex not in ("F", "M")),
        ("patient_birth_place", not COG.fullmatch(patient.birth_place)),
    ]


def _author(author: Professional, *, performs: bool) -> list[tuple[str, bool]]:
    """``performs``: the one who gives the opinion, whose establishment has to be known by its number."""
    return [
        ("author_name", not author.name.whole),
        ("author_rpps", not author.rpps),
        ("author_role", author.role is None),
        ("author_organisation", not author.organisation.name),
        ("author_finess", performs and not author.organisation.finess),
    ]


def missing_fields(facts: DocumentFacts | RequestFacts) -> tuple[str, ...]:
    """The names of the fields that are lacking, in the order in which a person would look for them."""
    if facts.patient.anonymous:
        return ("missing.patient_anonymous",)
    tables = code_tables()
    lacking = [
        *_patient(facts.patient),
        *_author(facts.author, performs=isinstance(facts, DocumentFacts)),
        ("recipient_name", not (facts.recipient.name.whole or facts.recipient.organisation.name)),
        ("custodian_finess", not facts.custodian.finess),
        ("custodian_name", not facts.custodian.name),
        ("practice_setting", facts.practice not in tables.practice_settings),
        ("facility_type", facts.facility not in tables.facility_types),
        ("act", facts.act not in tables.acts),
    ]
    return tuple(f"missing.{name}" for name, missing in lacking if missing)
