"""The forms of one case: declarations with the options and lines that this expert or thread calls for."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from teleexpertise.forms.declarations import Catalogue, Field, FieldKind, Form, FormKind, Option, Value
from teleexpertise.forms.marks import exchange_line
from teleexpertise.matching import Known
from teleexpertise.people import (
    Account,
    Expert,
    IdentityPolicy,
    ItemKind,
    NirPolicy,
    Party,
    PrerequisiteItem,
)
from teleexpertise.plaintext import one_space, squashed

__all__ = [
    "NEW_PATIENT",
    "NO_PATIENT",
    "ask_form",
    "cancel_form",
    "candidate_number",
    "candidate_value",
    "decline_form",
    "delegates_form",
    "element_answers",
    "filing_form",
    "finalise_form",
    "preferences_form",
    "request_form",
    "synthesis_form",
]

NEW_PATIENT = "new"
"""The answer that a patient is none of those in the register."""
NO_PATIENT = "none"
"""The answer that a document is to be filed for nobody."""

_LONGEST_LABEL = 60
#: The colon ends a label, parentheses enclose its hint, the others begin quotations, ticks and escaped lines.
_NOT_IN_LABELS = re.compile(r"[:：()\[\]<>|\\]")


def _people(people: Sequence[Account | Party]) -> tuple[Option, ...]:
    """People as options: stored by address, shown by name and address, listed by a name nobody shares."""
    once = {person.address: person for person in people}.values()
    shared = Counter(person.name for person in once)
    return tuple(
        Option(
            person.address,
            f"{person.name} ({person.address})" if person.name else person.address,
            (person.name,),
            person.name if shared[person.name] == 1 else "",
        )
        for person in once
    )


def request_form(
    catalogue: Catalogue, expert: Expert, acting: Sequence[Account], candidates: Sequence[Known] = ()
) -> Form:
    """The request form for one expert; ``acting`` are the accounts the person may act for, her own first.

    ``candidates`` are the patients of the register of whom one must be chosen, or none of them.
    """
    form = catalogue.form(FormKind.REQUEST)
    changes: dict[str, Field | None] = {
        "acting": replace(form.field("acting"), options=_people(acting)),
        "expert": replace(form.field("expert"), options=_people([expert.account])),
    }
    if expert.identity is not IdentityPolicy.ANONYMOUS_ALLOWED:
        changes["anonymous"] = None
    if expert.nir is NirPolicy.NOT_ASKED:
        changes["ins"] = changes["insured"] = changes["ins_kind"] = None
    else:
        # A newborn child has no number yet: the act is billed on that of the insured person.
        mandatory = expert.nir is NirPolicy.MANDATORY
        changes["ins"] = replace(form.field("ins"), required=mandatory, required_unless="insured")
    known = tuple(_candidate(form, number, each) for number, each in enumerate(candidates, start=1))
    new = Option(NEW_PATIENT, form.notes["candidate_new"], (str(len(known) + 1), "aucun", "autre"))
    changes["patient"] = replace(form.field("patient"), options=(*known, new)) if known else None
    form = form.changed(**changes)
    return replace(form, fields=(*form.fields, *_elements(form, expert.items)))


def _candidate(form: Form, number: int, known: Known) -> Option:
    """A patient of the register as a numbered answer: what tells people apart, and never the INS itself."""
    patient, notes = known.patient, form.notes
    place = notes["candidate_place"].format(place=patient.birth_place) if patient.birth_place else ""
    born = patient.birth_date.strftime("%d/%m/%Y") if patient.birth_date else "?"
    label = notes["candidate"].format(
        number=number,
        name=patient.label,
        sex=patient.sex,
        born=born,
        place=place,
        ins=notes["candidate_ins" if patient.ins else "candidate_no_ins"],
    )
    # The value is no bare number: the one that people type is the place in this list.
    return Option(candidate_value(known.id), label, (str(number),))


def candidate_value(patient_id: int) -> str:
    """The answer that stands for a patient of the register: ``p12``."""
    return f"p{patient_id}"


def candidate_number(value: str) -> int:
    """The patient that such an answer stands for."""
    return int(value.removeprefix("p"))


def _elements(form: Form, items: Sequence[PrerequisiteItem]) -> tuple[Field, ...]:
    """One line per prerequisite that is answered in writing, its label made safe and unlike all others."""
    taken = set(form.labels())
    fields: list[Field] = []
    for number, item in enumerate((item for item in items if item.kind is ItemKind.FIELD), start=1):
        name = " ".join(_NOT_IN_LABELS.sub(" ", one_space(item.name)).split())[:_LONGEST_LABEL].strip()
        label, suffix = name, number
        while squashed(label) in taken or not squashed(label):
            label = form.notes["element"].format(name=name, number=suffix).strip(" ,")
            suffix += 1
        taken.add(squashed(label))
        fields.append(
            Field(
                name=f"element_{number}", label=label, kind=FieldKind.TEXT, required=item.mandatory,
                longest=1000, element=item.name,
            )
        )  # fmt: skip
    return tuple(fields)


def element_answers(form: Form, values: Mapping[str, Value]) -> tuple[tuple[str, str], ...]:
    """(name of the prerequisite item, answer) for every such line that was answered."""
    found = []
    for candidate in form.fields:
        answer = values.get(candidate.name)
        if candidate.element and isinstance(answer, str) and answer:
            found.append((candidate.element, answer))
    return tuple(found)


def finalise_form(
    catalogue: Catalogue,
    *,
    requesters: Sequence[Account | Party],
    experts: Sequence[Account | Party],
    exchanges: Sequence[str],
    addressees: Sequence[str],
    billing: Sequence[tuple[str, str]] = (),
    requester_billing: Sequence[tuple[str, str]] = (),
    acts: Sequence[str] = (),
    proposal: str = "",
    situations: Sequence[str] = (),
    insured: bool = False,
) -> Form:
    """The finalisation form; ``exchanges`` and ``addressees``: one text per line, numbered from 1.

    ``billing`` are (number, whose) pairs offered for the expert's line, a service's and the delegate's;
    ``requester_billing`` the same for the requester's. ``acts`` are the codes that the expert may bill
    (without any the line is left out), ``proposal`` says what the rules propose. ``situations`` are the
    sources of acts that are for some patients alone: without any nobody is asked whether the patient is one.
    ``insured``: whether the number of the claim is asked for.
    """
    form = catalogue.form(FormKind.FINALISE)
    numbers = tuple(Option(number, f"{number} ({whose})") for number, whose in billing)
    theirs = tuple(Option(number, f"{number} ({whose})") for number, whose in requester_billing)
    listed = form.field("listed_patient")
    act = replace(form.field("act"), options=tuple(Option(code, code) for code in acts), help=proposal)
    return form.changed(
        act=act if acts else None,
        listed_patient=replace(listed, help=" ".join((listed.help, *situations))) if situations else None,
        insured=form.field("insured") if insured else None,
        requester_billing=replace(form.field("requester_billing"), options=theirs),
        requester=replace(form.field("requester"), options=_people(requesters)),
        expert=replace(form.field("expert"), options=_people(experts)),
        expert_billing=replace(form.field("expert_billing"), options=numbers),
        exchanges=_checklist(form.field("exchanges"), exchanges),
        addressees=_checklist(form.field("addressees"), addressees),
    )


def _checklist(declared: Field, lines: Sequence[str]) -> Field | None:
    """The checklist with its lines; none at all where there is nothing to tick."""
    if not lines:
        return None
    options = (Option(str(number), exchange_line(number, text)) for number, text in enumerate(lines, start=1))
    return replace(declared, options=tuple(options))


def decline_form(catalogue: Catalogue) -> Form:
    """The form by which the expert's side declines."""
    return catalogue.form(FormKind.DECLINE)


def cancel_form(catalogue: Catalogue) -> Form:
    """The form by which the requester's side cancels."""
    return catalogue.form(FormKind.CANCEL)


def ask_form(catalogue: Catalogue) -> Form:
    """The form by which the expert's side asks for elements."""
    return catalogue.form(FormKind.ASK)


def synthesis_form(catalogue: Catalogue, exchanges: Sequence[str]) -> Form:
    """The form that chooses the exchanges of a synthesis, one text per line, numbered from 1."""
    form = catalogue.form(FormKind.SYNTHESIS)
    return form.changed(exchanges=_checklist(form.field("exchanges"), exchanges))


def preferences_form(
    catalogue: Catalogue,
    account: Account,
    files: Sequence[str],
    usual: Mapping[str, Sequence[str]] | None = None,
) -> Form:
    """The preferences of one account; ``files`` are the documents it hands out, one text per line, from 1.

    ``usual`` are the lines of elements that experts of its specialties usually want: shown, never filled in.
    """
    form = catalogue.form(FormKind.PREFERENCES)
    items = form.field("items")
    told = [
        form.notes["usual_items"].format(name=name, items=", ".join(f"« {line} »" for line in lines))
        for name, lines in (usual or {}).items()
    ]
    return form.changed(
        items=replace(items, help=" ".join((items.help, *told))),
        account=replace(form.field("account"), options=_people([account])),
        documents=_checklist(form.field("documents"), files),
    )


def filing_form(
    catalogue: Catalogue, about: Sequence[str], candidates: Sequence[Known], *, new: bool
) -> Form:
    """The question whose a document is: ``about`` are the sentences above the answer; ``new``: whether the
    document says enough to enter its patient.
    """
    form = catalogue.form(FormKind.FILING)
    options = [_candidate(form, number, each) for number, each in enumerate(candidates, start=1)]
    if new:
        options.append(Option(NEW_PATIENT, form.notes["candidate_new"], ("nouveau patient", "autre")))
    options.append(Option(NO_PATIENT, form.notes["filing_none"], ("aucun d'eux", "ne pas classer")))
    help_ = "\n".join((*about, form.notes["filing_answer"]))
    return form.changed(patient=replace(form.field("patient"), options=tuple(options), help=help_))


def delegates_form(catalogue: Catalogue, account: Account, delegates: Sequence[Account]) -> Form:
    """The form by which an account names its delegates; the ``delegates`` of now are numbered from 1."""
    form = catalogue.form(FormKind.DELEGATES)
    lines = [f"{delegate.name} ({delegate.address})" for delegate in delegates]
    return form.changed(
        account=replace(form.field("account"), options=_people([account])),
        delegates=_checklist(form.field("delegates"), lines),
    )
