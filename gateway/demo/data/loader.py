"""Reads ``demo.toml`` into the types of the domain."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from gateway.demo.data.papers import paper
from gateway.demo.data.pictures import View, draw
from teleexpertise.events import Side
from teleexpertise.patients import Patient
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

__all__ = ["DemoConversation", "DemoData", "DemoMessage", "load_demo"]

_Table = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoMessage:
    """One mail of the demonstration after the request: who writes, what, and what is attached."""

    side: Side
    text: str
    attachments: tuple[Document, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoConversation:
    """One tele-expertise to be played. Addresses are those of accounts; ``urgency`` is an option of the form.

    ``answering`` is the member of the service who writes for the expert. ``answers`` are the lines that the
    expert's prerequisites add to the request form. ``photos`` go with the request.
    """

    search: str
    requester: str
    expert: str
    answering: str
    patient: Patient
    urgency: str
    phone: str
    question: str
    answers: tuple[tuple[str, str], ...]
    photos: tuple[Document, ...]
    messages: tuple[DemoMessage, ...]
    outcome: str
    conclusion: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoData:
    """Everything that the demonstration puts into a fresh deployment. ``delegations`` are (principal,
    delegate).
    """

    accounts: tuple[Account, ...]
    experts: tuple[Expert, ...]
    delegations: tuple[tuple[str, str], ...]
    conversation: DemoConversation


def load_demo(domain: str = "") -> DemoData:
    """The demonstration, in its own domain or in ``domain``."""
    tables = tomllib.loads(files("gateway.demo.data").joinpath("demo.toml").read_text("utf-8"))
    return _Reader(tables, domain or tables["domain"]).demo()


class _Reader:
    """The tables while they are read: addresses and documents are looked up by their short names."""

    def __init__(self, tables: _Table, domain: str) -> None:
        self._tables = tables
        self._domain = domain
        self._people = {row["local"]: self._person(row) for row in tables["people"]}
        self._services = {row["local"]: self._service(row) for row in tables["services"]}

    def demo(self) -> DemoData:
        accounts = {**self._people, **self._services}
        return DemoData(
            accounts=tuple(accounts.values()),
            experts=tuple(
                self._expert(row, accounts[row["local"]])
                for row in (*self._tables["services"], *self._tables["experts"])
            ),
            delegations=tuple(
                (self._address(principal), self._address(delegate))
                for principal, delegates in self._tables["delegations"].items()
                for delegate in delegates
            ),
            conversation=self._conversation(self._tables["conversation"]),
        )

    def _address(self, local: str) -> str:
        return f"{local}@{self._domain}"

    def _person(self, row: _Table) -> Account:
        known = {name: value for name, value in row.items() if name != "local"}
        return Account(address=self._address(row["local"]), **known)

    def _service(self, row: _Table) -> Account:
        hospital = self._tables["hospitals"][row["hospital"]]
        return Account(
            address=self._address(row["local"]),
            name=f"Avis {row['specialty']} {hospital['name']}",
            kind=AccountKind.SERVICE,
            specialty=row["specialty"],
            finess=hospital["finess"],
            billing_number=f"{hospital['finess']}/{row['code']}",
            organisation=hospital["name"],
            department=hospital["department"],
            postcode=hospital["postcode"],
            town=hospital["town"],
        )

    def _expert(self, row: _Table, account: Account) -> Expert:
        return Expert(
            account=account,
            description=row["description"],
            limits=row.get("limits", ""),
            specialties=tuple(row.get("specialties", (account.specialty,))),
            departments=tuple(row["departments"]),
            delay_days=row.get("delay_days", 7),
            identity=IdentityPolicy.ANONYMOUS_ALLOWED if row.get("anonymous") else IdentityPolicy.REQUIRED,
            nir=NirPolicy(row.get("nir", "optional")),
            prerequisites=row.get("prerequisites", "").strip(),
            items=tuple(
                PrerequisiteItem(**{**item, "kind": ItemKind(item["kind"])}) for item in row.get("items", ())
            ),
            documents=tuple(
                paper(self._tables["documents"][name], account.organisation)
                for name in row.get("documents", ())
            ),
            tool_url=row.get("tool_url", ""),
        )

    def _conversation(self, row: _Table) -> DemoConversation:
        attachments = {**{view.value: _photo(view, row) for view in View}, "filled": self._filled(row)}
        return DemoConversation(
            search=row["search"],
            requester=self._address(row["requester"]),
            expert=self._address(row["expert"]),
            answering=self._address(row["answering"]),
            patient=Patient(**row["patient"]),
            urgency=row["urgency"],
            phone=row["phone"],
            question=row["question"].strip(),
            answers=tuple(row["answers"].items()),
            photos=tuple(attachments[name] for name in row["attachments"]),
            messages=tuple(
                DemoMessage(
                    side=Side(message["side"]),
                    text=message["text"].strip(),
                    attachments=tuple(attachments[name] for name in message.get("attachments", ())),
                )
                for message in row["messages"]
            ),
            outcome=row["outcome"],
            conclusion=row["conclusion"].strip(),
        )

    def _filled(self, row: _Table) -> Document:
        filled = row["filled"]
        table = self._tables["documents"][filled["document"]]
        organisation = self._services[row["expert"]].organisation
        return paper(table, organisation, filled["values"], filled["filename"])


def _photo(view: View, row: _Table) -> Document:
    return Document(
        filename=f"mollet-{view}.jpg", content_type="image/jpeg", content=draw(view, row["caption"])
    )
