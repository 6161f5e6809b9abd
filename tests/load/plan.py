"""What is played: who takes part, which tele-expertises, and the mark by which a message is known again."""

from __future__ import annotations

import random
import re
from collections.abc import Iterable
from dataclasses import dataclass

from teleexpertise.people import Account, Expert

DOMAIN = "charge.mssante.example"
MAX_CONVERSATIONS = 676  # as many patients as names of two letters

_MARK = re.compile(r"JETON-(\d{3})-(\d{3})-FIN")
_DEPARTMENT = "43"
_ENCLOSES_EVERY = 3


def mark(case: int, number: int) -> str:
    """The mark in the body of message ``number`` (1 is the question) of a tele-expertise."""
    return f"JETON-{case:03d}-{number:03d}-FIN"


def marks_in(text: str) -> Iterable[tuple[int, int]]:
    """The (tele-expertise, message) pairs whose marks stand in a text."""
    return ((int(found[1]), int(found[2])) for found in _MARK.finditer(text))


@dataclass(frozen=True, slots=True)
class Case:
    """One tele-expertise of the plan, by its number from 0."""

    number: int
    requester: Account
    expert: Account
    messages: int

    @property
    def patient(self) -> str:
        """The patient's birth name, of this tele-expertise only."""
        high, low = divmod(self.number, 26)
        return f"ESSAI{chr(65 + high)}{chr(65 + low)}"

    @property
    def replies(self) -> range:
        """The numbers of the replies: all but the question and the finalisation."""
        return range(2, self.messages)

    def replies_of(self, address: str) -> list[int]:
        """The replies that one side writes: the expert the even ones."""
        odd = address == self.requester.address
        return [number for number in self.replies if number % 2 == odd]

    def enclosed(self, number: int) -> bytes:
        """The attachment of a message, ``b""`` where it has none: always the same octets."""
        if number % _ENCLOSES_EVERY != 1:
            return b""
        seeded = random.Random(mark(self.number, number))
        return seeded.randbytes(seeded.randint(4_000, 40_000))


@dataclass(frozen=True, slots=True)
class Plan:
    """The whole load."""

    accounts: tuple[Account, ...]
    experts: tuple[Expert, ...]
    cases: tuple[Case, ...]

    def of(self, address: str) -> tuple[Case, ...]:
        """The tele-expertises of one account."""
        return tuple(case for case in self.cases if address in (case.requester.address, case.expert.address))


def make_plan(conversations: int, messages: int, clients: int) -> Plan:
    """``clients`` accounts, half of them experts, share ``conversations`` of ``messages`` each."""
    half = clients // 2
    requesters = tuple(_account("demandeur", number) for number in range(half))
    experts = tuple(_account("expert", number) for number in range(clients - half))
    cases = tuple(
        Case(number, requesters[number % half], experts[(number + number // half) % len(experts)], messages)
        for number in range(conversations)
    )
    declared = tuple(
        Expert(
            account=account,
            description="Avis d'essai.",
            specialties=("Dermatologie",),
            departments=(_DEPARTMENT,),
        )
        for account in experts
    )
    return Plan((*requesters, *experts), declared, cases)


def _account(role: str, number: int) -> Account:
    name = f"Dr {role.capitalize()} NUMERO{chr(65 + number // 26)}{chr(65 + number % 26)}"
    return Account(
        address=f"{role}.{number}@{DOMAIN}",
        name=name,
        profession="Médecin",
        billing_number=f"43{number:07d}",
        department=_DEPARTMENT,
    )
