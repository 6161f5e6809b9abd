"""A small region for tests of the whole gateway: accounts and experts of our own, quick to make."""

from __future__ import annotations

from teleexpertise.people import (
    Account,
    AccountKind,
    Document,
    Expert,
    IdentityPolicy,
    ItemKind,
    NirPolicy,
    PrerequisiteItem,
)

DOMAIN = "gateway.mssante.example"
PASSWORD = "un mot de passe d'essai"


def _address(name: str) -> str:
    return f"{name}@{DOMAIN}"


GP = Account(
    address=_address("claire.martin"),
    name="Dr Claire MARTIN",
    profession="Médecin généraliste",
    rpps="10100000017",
    billing_number="431000018",
    department="43",
    town="Brioude",
)
NURSE = Account(address=_address("lucie.faure"), name="Mme Lucie FAURE", profession="Infirmière")
SECRETARY = Account(address=_address("nadia.roux"), name="Mme Nadia ROUX", profession="Secrétaire")
DERMATOLOGIST = Account(
    address=_address("remy.perret"),
    name="Dr Rémy PERRET",
    profession="Médecin",
    specialty="Dermatologie",
    rpps="10100000025",
    billing_number="431000026",
    department="43",
    postcode="43000",
    town="Le Puy-en-Velay",
)
SERVICE = Account(
    address=_address("avis.cardiologie"),
    name="Avis Cardiologie CH LE PUY",
    kind=AccountKind.SERVICE,
    specialty="Cardiologie",
    finess="430000018",
    billing_number="430000018/03",
    department="43",
    postcode="43000",
    town="Le Puy-en-Velay",
)
CARDIOLOGIST = Account(address=_address("anne.brun"), name="Dr Anne BRUN", specialty="Cardiologie")
STRANGER = Account(address=_address("paul.petit"), name="Dr Paul PETIT", profession="Médecin généraliste")

ACCOUNTS = (GP, NURSE, SECRETARY, DERMATOLOGIST, SERVICE, CARDIOLOGIST, STRANGER)

#: principal -> delegate
DELEGATIONS = ((SERVICE.address, CARDIOLOGIST.address), (GP.address, SECRETARY.address))

DERMATOLOGY = Expert(
    account=DERMATOLOGIST,
    description="Lésions suspectes et dermatoses inflammatoires, en Haute-Loire.",
    limits="Pas d'avis esthétique.",
    specialties=("Dermatologie",),
    departments=("43",),
    delay_days=2,
    identity=IdentityPolicy.ANONYMOUS_ALLOWED,
    nir=NirPolicy.OPTIONAL,
    prerequisites="Photographies nettes, ancienneté, traitements essayés.",
    items=(PrerequisiteItem(name="Vue rapprochée avec règle", kind=ItemKind.IMAGE, mandatory=True),),
    documents=(
        Document(
            filename="fiche-dermatologie.txt", content_type="text/plain", content=b"Fiche a remplir\r\n"
        ),
    ),
)
CARDIOLOGY = Expert(
    account=SERVICE,
    description="Lecture d'ECG, hypertension résistante.",
    specialties=("Cardiologie",),
    departments=("43",),
    delay_days=1,
    prerequisites="ECG 12 dérivations, traitement en cours.",
)
EXPERTS = (DERMATOLOGY, CARDIOLOGY)
