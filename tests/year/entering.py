"""From the plain people of a plan to those of the product, and into a store: accounts, experts, delegations,
patients.
"""

from __future__ import annotations

from datetime import datetime

from gateway.register import enter
from gateway.store.transaction import Transaction
from teleexpertise.patients import Patient
from teleexpertise.people import (
    Account,
    AccountKind,
    Expert,
    IdentityPolicy,
    ItemKind,
    NirPolicy,
    PrerequisiteItem,
)
from tests.year.plan import Adviser, Member, Person, Year

__all__ = ["account_of", "enter_members", "enter_patients", "expert_of", "patient_of_plan"]

_PICTURE = PrerequisiteItem(name="Photographie nette avec règle", kind=ItemKind.IMAGE, mandatory=True)


def account_of(member: Member) -> Account:
    """The account that the plan means."""
    return Account(
        address=member.address,
        name=member.name,
        kind=AccountKind.SERVICE if member.service else AccountKind.PERSON,
        profession=member.profession,
        specialty=member.specialty,
        rpps=member.rpps,
        finess=member.finess,
        billing_number=member.number,
        organisation=member.organisation,
        department=member.department,
        town=member.town,
    )


def expert_of(adviser: Adviser, account: Account) -> Expert:
    """The declaration that the plan means."""
    return Expert(
        account=account,
        description=f"Avis de {adviser.specialty.lower()} pour la région.",
        limits="Pas d'urgence vitale.",
        specialties=(adviser.specialty,),
        departments=adviser.departments,
        delay_days=adviser.delay_days,
        identity=IdentityPolicy.ANONYMOUS_ALLOWED if adviser.anonymous else IdentityPolicy.REQUIRED,
        nir=NirPolicy.OPTIONAL,
        items=(_PICTURE,) if adviser.wants_picture else (),
        tool_url=adviser.tool_url,
    )


def patient_of_plan(person: Person | None) -> Patient:
    """The patient as a request states the identity; ``None`` stays anonymous."""
    if person is None:
        return Patient(anonymous=True)
    return Patient(
        birth_name=person.birth_name,
        first_names=person.first_names,
        birth_date=person.birth_date,
        sex=person.sex,
        ins=person.ins,
    )


async def enter_members(tx: Transaction, year: Year, now: datetime) -> None:
    """Accounts (nobody can log in), experts, delegations."""
    accounts = {member.address: account_of(member) for member in year.members}
    for account in accounts.values():
        await tx.accounts.add(account, "", now)
    for adviser in year.advisers:
        await tx.experts.put(expert_of(adviser, accounts[adviser.address]))
    for principal, delegate in year.delegations:
        await tx.delegations.grant(principal, delegate, now)


async def enter_patients(tx: Transaction, people: tuple[Person, ...], now: datetime) -> None:
    """The register, each recognised or entered as a request's patient is. Raises ``ValueError`` for an
    identity that leaves a question.
    """
    for person in people:
        if await enter(tx, patient_of_plan(person), now) is None:
            raise ValueError("two patients of the plan could be one")
