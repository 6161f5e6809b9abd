"""Sample forms: an expert with prerequisites, a request form for her, a finalisation form, and a form id.

And forms as people answer them from a mail client: :func:`typed_into`, :func:`quoted`, :func:`form_of`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from uuid import UUID

from teleexpertise.forms import Form, Value, finalise_form, form_token, load_catalogue, request_form
from teleexpertise.people import (
    Account,
    AccountKind,
    Expert,
    IdentityPolicy,
    ItemKind,
    NirPolicy,
    PrerequisiteItem,
)

TODAY = date(2026, 11, 22)
FORM_ID = form_token(b"a key for tests", UUID(int=1))

REQUESTER = Account(address="zoe.martin@cabinet.example", name="Dr Zoé MARTIN")
PRACTICE = Account(address="msp.velay@cabinet.example", name="MSP du Velay", kind=AccountKind.SERVICE)
SERVICE = Account(
    address="avis.dermato@ch.example", name="Avis Dermatologie CH LE PUY", kind=AccountKind.SERVICE
)
EXPERT = Expert(
    account=SERVICE,
    description="Lésions suspectes, dermatoses inflammatoires.",
    identity=IdentityPolicy.ANONYMOUS_ALLOWED,
    nir=NirPolicy.OPTIONAL,
    items=(
        PrerequisiteItem(name="Vue d'ensemble", kind=ItemKind.IMAGE, mandatory=True),
        PrerequisiteItem(name="Ancienneté de la lésion", kind=ItemKind.FIELD, mandatory=True),
        PrerequisiteItem(name="Traitements essayés", kind=ItemKind.FIELD),
    ),
)

CATALOGUE = load_catalogue()


def sample_request(expert: Expert = EXPERT) -> Form:
    """The request form of the sample expert for a doctor who may also act for her practice."""
    return request_form(CATALOGUE, expert, [REQUESTER, PRACTICE])


def sample_finalisation(exchanges: tuple[str, ...] = ("Question du 22/11", "Photo", "Réponse")) -> Form:
    """A finalisation form with three exchanges and two addressees."""
    return finalise_form(
        CATALOGUE,
        requesters=[REQUESTER, PRACTICE],
        experts=[SERVICE],
        exchanges=exchanges,
        addressees=("Dr Zoé MARTIN", "Dr Paul ROUX"),
        billing=[("430000018/05", "Avis Dermatologie CH LE PUY"), ("431234567", "Dr Rémy PERRET")],
    )


#: What the sample request holds when it is filled in.
FILLED: dict[str, Value] = {
    "acting": REQUESTER.address,
    "expert": SERVICE.address,
    "birth_name": "DUPONT-ÉVRARD",
    "first_names": "Jeanne Marie",
    "birth_date": "1957-02-03",
    "sex": "F",
    "billing_number": "431234567",
    "consent": True,
    "urgency": "72h",
    "phone": "04 71 00 00 00",
    "question": "Lésion pigmentée du mollet, 9 mm.\nFaut-il une exérèse ?",
    "element_1": "4 mois",
}


def form_of(text: str) -> str:
    """The form in a mail's text, its marks included."""
    match = re.search(
        r"^--- DÉBUT DU FORMULAIRE .*^--- FIN DU FORMULAIRE ---", text, re.DOTALL | re.MULTILINE
    )
    assert match is not None, "no form in this mail"
    return match[0]


def typed_into(text: str, values: Mapping[str, str]) -> str:
    """A text with ``values`` typed over what stands behind the labels of its form that begin so, with all its
    lines; each must be there.
    """
    form = form_of(text)
    left = dict(values)
    lines = []
    typed = False
    for line in form.splitlines():
        label = next((label for label in left if line.startswith(label) and ":" in line), None)
        if label:
            lines.append(f"{line.partition(':')[0]}: {left.pop(label)}")
        elif not (typed and line):
            lines.append(line)
        typed = bool(label) or (typed and bool(line))
    assert not left, f"no such lines in the form: {', '.join(left)}"
    return text.replace(form, "\n".join(lines))


def quoted(text: str, sign: str = "> ") -> str:
    """Every line behind a quote sign, as a Reply shows it."""
    return "\n".join(f"{sign}{line}".rstrip() for line in text.splitlines())
