"""What national documents say, gathered from the record, the accounts of today and the settings."""

from __future__ import annotations

from datetime import datetime, tzinfo

from config import Settings
from gateway.store.transaction import Transaction
from teleexpertise.conversation import Conversation
from teleexpertise.documents.codes import code_tables
from teleexpertise.documents.facts import (
    DocumentFacts,
    Organisation,
    PersonName,
    Professional,
    RequestFacts,
    person_name,
)
from teleexpertise.documents.oids import INS_NIA, INS_NIR, INS_TEST
from teleexpertise.events import Author, Completed
from teleexpertise.identifiers import read_billing_number
from teleexpertise.patients import Patient
from teleexpertise.people import Account, AccountKind, Party
from teleexpertise.plaintext import folded

_WITH_ACT = ("G15_10", "G15_40", "G15_50")

__all__ = ["authorities", "ins_oid", "report_facts", "request_facts"]


def ins_oid(settings: Settings) -> str:
    """The authority of the INS of our patients: the test one where the service has test identities."""
    return INS_TEST if settings.service.test_identifiers else INS_NIR


def _authority(settings: Settings, patient: Patient) -> str:
    """Who gave a patient's INS. What is a NIA in real life is a test number where all identities are."""
    mine = ins_oid(settings)
    return mine if settings.service.test_identifiers else patient.ins_oid or mine


def authorities(settings: Settings) -> frozenset[str]:
    """All authorities whose INS are believed here: test numbers where the service has test identities, else
    NIR and NIA. The two kinds never meet.
    """
    return frozenset({INS_TEST} if settings.service.test_identifiers else {INS_NIR, INS_NIA})


async def report_facts(
    settings: Settings,
    tx: Transaction,
    conversation: Conversation,
    closing: Completed,
    finaliser: Author,
    at: datetime,
    version: int,
    earlier: tuple[int, ...] = (),
) -> DocumentFacts:
    """What the report of a finalisation says, ``closing`` being its event, ``at`` its instant.

    ``earlier`` are the versions before it that were made as CDA.
    """
    zone = settings.zone
    author = await _answerable(settings, tx, closing.expert, finaliser)
    return DocumentFacts(
        conversation=conversation.id,
        version=version,
        created_at=_second(at, zone),
        asked_at=_second(conversation.opened_at, zone),
        patient=conversation.patient,
        ins_oid=_authority(settings, conversation.patient),
        author=author,
        custodian=_custodian(settings),
        recipient=await _professional(settings, tx, closing.requester),
        practice=settings.documents.practice_setting or "",
        facility=settings.documents.facility_type or "",
        act=_act(author, closing.level),
        order_id=conversation.opening.order_id,
        earlier=earlier,
        test_identifiers=settings.service.test_identifiers,
    )


async def request_facts(
    settings: Settings, tx: Transaction, conversation: Conversation, urgency_label: str
) -> RequestFacts:
    """What the request of a conversation says."""
    opening = conversation.opening
    asked_by = conversation.exchanges[0].author
    expert = await _professional(settings, tx, opening.expert)
    return RequestFacts(
        conversation=conversation.id,
        created_at=_second(conversation.opened_at, settings.zone),
        patient=opening.patient,
        ins_oid=_authority(settings, opening.patient),
        author=await _answerable(settings, tx, opening.requester, asked_by),
        custodian=_custodian(settings),
        recipient=expert,
        act=_act(expert),
        practice=settings.documents.requester_practice_setting or "",
        facility=settings.documents.requester_facility_type or "",
        question=opening.question,
        urgency=opening.urgency,
        urgency_label=urgency_label,
        consent=opening.consent,
        phone=opening.phone,
        remark=opening.remark,
        answers=opening.answers,
        test_identifiers=settings.service.test_identifiers,
    )


def _act(expert: Professional, chosen: str = "") -> str:
    """The act of the expert's profession, '' for one that has none: doctors, dentists, midwives have.
    ``chosen`` is what the finalisation says of it.
    """
    entitled = expert.role is None or expert.role.code.partition("/")[0] in _WITH_ACT
    return (chosen or "TE2") if entitled else ""


def _second(at: datetime, zone: tzinfo) -> datetime:
    return at.astimezone(zone).replace(microsecond=0)


def _custodian(settings: Settings) -> Organisation:
    service = settings.service
    return Organisation(finess=service.finess or "", name=service.organisation_name, town=service.town)


async def _answerable(settings: Settings, tx: Transaction, party: Party, actor: Author) -> Professional:
    """The person who answers for an act of ``party``: itself, or for a service who acted for it."""
    house = await tx.accounts.get(party.address)
    if house is None or house.kind is AccountKind.PERSON or actor.address == party.address:
        return await _professional(settings, tx, party)
    person = await tx.accounts.get(actor.address)
    if person is None or person.kind is not AccountKind.PERSON:
        return await _professional(settings, tx, party)
    return Professional(
        name=person_name(person.name),
        rpps=person.rpps,
        role=code_tables().role(person.profession, person.specialty or house.specialty),
        mail=house.address,
        organisation=_organisation(settings, house),
    )


async def _professional(settings: Settings, tx: Transaction, party: Party) -> Professional:
    """A party with what its account says today; one of another operator with what the record holds."""
    account = await tx.accounts.get(party.address)
    if account is None:
        return Professional(
            name=person_name(party.name),
            rpps=party.rpps,
            role=code_tables().role(party.profession, ""),
            mail=party.address,
            organisation=Organisation(name=party.organisation),
        )
    a_person = account.kind is AccountKind.PERSON
    return Professional(
        name=person_name(account.name) if a_person else PersonName(""),
        rpps=account.rpps if a_person else "",
        role=code_tables().role(account.profession, account.specialty) if a_person else None,
        mail=account.address,
        organisation=_organisation(settings, account),
    )


def _organisation(settings: Settings, account: Account) -> Organisation:
    """The organisation of an account. A service without one is named by itself.

    The FINESS number is the account's, that of its billing number (``FINESS/specialty``), or ours where the
    account is of our own organisation.
    """
    name = account.organisation or (account.name if account.kind is not AccountKind.PERSON else "")
    finess = account.finess
    number, slash, _ = account.billing_number.partition("/")
    if not finess and slash and read_billing_number(account.billing_number).valid:
        finess = number
    ours = settings.service
    if not finess and name and folded(name) == folded(ours.organisation_name):
        finess = ours.finess or ""
    return Organisation(finess=finess, name=name, postcode=account.postcode, town=account.town)
