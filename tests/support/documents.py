"""Invented facts of documents, many and odd; the agency's validator where it lies beside the repository."""

from __future__ import annotations

import importlib.util
import io
from dataclasses import replace
from datetime import date, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from PIL import Image

from teleexpertise.documents.codes import code_tables
from teleexpertise.documents.facts import (
    DocumentFacts,
    Organisation,
    Professional,
    RequestFacts,
    person_name,
)
from teleexpertise.documents.oids import INS_NIA, INS_TEST
from teleexpertise.documents.tlmcr import make_cda
from teleexpertise.documents.tlmda import make_request
from teleexpertise.identifiers import nir_key
from teleexpertise.patients import Patient

VALIDATOR = Path(__file__).parents[3] / "shared" / "cda-validator"
EXAMPLES = VALIDATOR / "data" / "ExemplesCDA"
PARIS = ZoneInfo("Europe/Paris")

_FAMILIES = (
    "Fauxcompte", "d'Aoust-Lévêque", "Œdème", "DE LA TOUR DU PIN", "L’Hermitte", "Ñandú", "Łukaszewicz",
    "M'Bappé N'Diaye", "Le Goff", "Nguyễn", "Ó Súilleabháin", "van der Straßen", "X", "Ÿ",
    "Saint-Exupéry-Bis",
    "Weiß & Fils <test>", "A" * 95,
)  # fmt: skip
_GIVEN = (
    "Bertille Anne", "Jean-Baptiste", "Anne Marie, Lise", "Zoé", "José María", "Marie‑Ange", "Noël",
    "Cœur-de-Lys", "Søren Åse", "D’Artagnan", "Maël, Yanis, Théo", "I",
)  # fmt: skip
#: Metropole, Corsica, overseas departments and territories, foreign countries, Paris, Algeria before 1962.
_PLACES = (
    "43157", "2A004", "2B033", "97411", "97105", "97209", "97302", "97608", "98735", "98818", "99109",
    "99352",    "99404", "75115", "69381", "13201", "91352", "01004",
)  # fmt: skip
_PEOPLE = (
    "Dr Rémy PERRET", "Pr Léonie DE LA FARGETTE", "Mme Garance TIBAUD", "M. Aymeric VIALATTE", "Anne Brun",
    "Dr Tancrède MOULIN-NEUF", "DR ŒILLET", "Dr Ada D'ÉTÉ-LÉVY",
)  # fmt: skip
_ROLES = (
    ("Médecin", "Dermatologie"), ("Médecin généraliste", ""), ("Sage-femme", ""), ("Infirmière", ""),
    ("Médecin", "Inconnue"), ("Chirurgien-dentiste", ""), ("Docteur", "Cardiologie"), ("Orthoptiste", ""),
)  # fmt: skip
_FINESS = ("439900010", "2A0000014", "2B0000020", "970100013", "750000018", "079900015")


@lru_cache(maxsize=1)
def small_pdf() -> bytes:
    """A PDF of one small picture, the same every time."""
    output = io.BytesIO()
    Image.new("RGB", (8, 8), "white").save(output, "PDF", creationDate=None, modDate=None)
    return output.getvalue()


def ins(sex: str, born: date, place: str, order: int) -> str:
    """A matricule for these traits with its key; numbers of this place and order belong to nobody we know."""
    body = f"{1 if sex == 'M' else 2}{born:%y%m}{place}{order:03d}"
    return body + nir_key(body)


def _pick(values: tuple[Any, ...], n: int, step: int) -> Any:
    return values[(n * step + n // len(values)) % len(values)]


def _patient(n: int) -> Patient:
    # Twins: every seventh patient shares all but given name, rank and matricule with the one before.
    base = n - 1 if n % 7 == 3 else n
    sex = "FM"[base % 2]
    born = date(1905, 1, 1) + timedelta(days=(base * 977) % 44_000)
    place = _pick(_PLACES, base, 5)
    return Patient(
        birth_name=_pick(_FAMILIES, base, 3),
        first_names=_pick(_GIVEN, n, 7),
        birth_date=born,
        sex=sex,
        ins=ins(sex, born, place, 1 + n % 900),
        birth_place=place,
        qualified=True,
        birth_order={2: 1, 3: 2}.get(n % 7, 0),
    )


def _organisation(n: int) -> Organisation:
    full = Organisation(
        finess=_pick(_FINESS, n, 1), name="CH « L'Étang » & Cie", postcode="43000", town="Le Puy-en-Velay"
    )
    return (full, replace(full, postcode=""), replace(full, postcode="", town=""))[n % 3]


def _professional(n: int, *, whole: bool) -> Professional:
    """``whole``: with all that an author needs; others lack a number, a mailbox, an organisation in turn."""
    role = code_tables().role(*_pick(_ROLES, n, 1))
    made = Professional(
        name=person_name(_pick(_PEOPLE, n, 1)),
        rpps=f"{10_999_900_000 + n:011d}",
        role=role,
        mail=f"medecin{n}@demo.mssante.example" if n % 4 else "",
        phone="04 71 00 00 00" if n % 3 == 0 else "",
        organisation=_organisation(n),
    )
    if whole:
        return made
    bare = replace(made, role=None, organisation=Organisation())
    return (made, replace(bare, rpps=""), replace(made, mail="", organisation=Organisation(name="EHPAD")))[
        n % 3
    ]


def report_facts(n: int, **changes: Any) -> DocumentFacts:
    """The facts of the ``n``-th invented report; the same for the same ``n``."""
    summer = datetime(2026, 3, 20, 8, 30, 5, tzinfo=PARIS) + timedelta(days=n * 3, hours=n % 24)
    version = changes.get("version", 1 + (n % 5 == 4) + (n % 11 == 10))
    facts = DocumentFacts(
        conversation=UUID(int=(n + 1) * 7919 << 64 | n, version=4),
        version=version,
        earlier=tuple(range(1, version)),
        created_at=summer,
        asked_at=summer - timedelta(days=n % 40, minutes=3),
        patient=_patient(n),
        ins_oid=INS_NIA if n % 13 == 5 else INS_TEST,
        author=_professional(n, whole=True),
        custodian=replace(_organisation(n + 1), name="Groupement du Velay"),
        recipient=_professional(n + 1, whole=False),
        practice=_pick(tuple(code_tables().practice_settings), n, 1),
        facility=_pick(tuple(code_tables().facility_types), n, 1),
        order_id=("", "2.25.123", "1.2.250.1.213.1.1.1.38.2022.3^A-1")[n % 3],
    )
    return replace(facts, **changes)


def request_facts(n: int, **changes: Any) -> RequestFacts:
    """The facts of the ``n``-th invented request."""
    report = report_facts(n)
    author = (
        replace(report.author, organisation=replace(_organisation(n), finess="")) if n % 2 else report.author
    )
    urgency, label = _pick((("24h", "24 heures"), ("72h", "48-72 heures"), ("aucune", "sans délai")), n, 1)
    facts = RequestFacts(
        conversation=report.conversation,
        created_at=report.asked_at,
        patient=report.patient,
        ins_oid=report.ins_oid,
        author=author,
        custodian=report.custodian,
        recipient=report.recipient,
        practice=report.practice,
        facility=report.facility,
        question=_pick(("Une lésion ?\n\n Depuis <quatre> mois & plus.", "x", "é\n" * 200), n, 1),
        urgency=urgency,
        urgency_label=label,
        consent=n % 4 != 1,
        phone="04 71 00 00 00" if n % 2 else "",
        remark="Bonjour,\nmerci." if n % 3 else "",
        answers=(("Ancienneté", "quatre mois"), ("Ancienneté", "bis"))[: n % 3],
    )
    return replace(facts, **changes)


def report(n: int = 0, **changes: Any) -> bytes:
    """The ``n``-th report as CDA, which has to be complete."""
    made = make_cda(report_facts(n, **changes), small_pdf())
    assert isinstance(made, bytes), made
    return made


def request(n: int = 0, **changes: Any) -> bytes:
    """The ``n``-th request as CDA, which has to be complete."""
    made = make_request(request_facts(n, **changes))
    assert isinstance(made, bytes), made
    return made


@lru_cache(maxsize=1)
def _validator() -> Any:
    spec = importlib.util.spec_from_file_location("cda_validator", VALIDATOR / "validate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Validator()


def needs_validator() -> None:
    """Skip the test where the agency's validator or the processor that it needs is not at hand."""
    pytest.importorskip("saxonche", reason="saxonche runs the agency's rules")
    if not (VALIDATOR / "validate.py").exists():
        pytest.skip("the agency's rules are not beside the repository (../shared/cda-validator)")


def national_faults(octets: bytes, rules: str) -> list[str]:
    """What the agency's rules say against a document, warnings left out; ``rules`` as it names them."""
    found = _validator().cda(octets, rules)
    return _told(found)


def archive_faults(octets: bytes) -> list[str]:
    """What the agency's model of an IHE_XDM.zip, and its rules for the documents in it, say against one."""
    return _told(_validator().xdm(octets))


def _told(found: list[tuple[str, str, str]]) -> list[str]:
    return [f"{name} {place}: {words}" for name, place, words in found if "(warning)" not in name]


def _odd(name: str) -> bool:
    return not (name.isascii() and name.isalpha()) or not 1 < len(name) < 40


def classes_of(facts: DocumentFacts) -> set[str]:
    """What is out of the ordinary about an invented report and its request; nobody is without a class."""
    patient, author, recipient = facts.patient, facts.author, facts.recipient
    place = patient.birth_place
    found = {
        "odd family name": _odd(patient.birth_name),
        "odd given names": _odd(patient.first_names),
        "foreign birth": place.startswith("99"),
        "Corsican birth": place[:2] in ("2A", "2B"),
        "overseas birth": place[:2] in ("97", "98"),
        "metropolitan birth": place[:2] not in ("99", "2A", "2B", "97", "98"),
        "twin": bool(patient.birth_order),
        "INS-NIA": facts.ins_oid == INS_NIA,
        "second version": facts.version > 1,
        "of another software's request": bool(facts.order_id),
        "no mailbox of the author": not author.mail,
        "no telephone": not author.phone,
        "no postcode or town": not author.organisation.postcode,
        "requester without RPPS": not recipient.rpps,
        "requester without profession": recipient.role is None,
        "requester without FINESS": not recipient.organisation.finess,
        "born before 1920": patient.birth_date is not None and patient.birth_date.year < 1920,
    }
    return {name for name, holds in found.items() if holds}
