"""One transaction: the repositories of all nouns on one connection."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.store.activities import Activities
from gateway.store.audit import Audit
from gateway.store.certificates import Certificates
from gateway.store.conversations import Conversations, Events
from gateway.store.directory import Contacts
from gateway.store.experts import Experts
from gateway.store.letters import Answers, Bounces, Forms, Held
from gateway.store.messages import Decisions, Messages
from gateway.store.mirrors import Mirrors, Peers
from gateway.store.outbox import Outbox
from gateway.store.patients import Patients
from gateway.store.people import AccountCertificates, Accounts, Delegations

__all__ = ["Transaction"]


class Transaction:
    """What can be read and written together. A reading one cannot write: the database refuses."""

    __slots__ = (
        "account_certificates",
        "accounts",
        "activities",
        "answers",
        "audit",
        "bounces",
        "certificates",
        "contacts",
        "conversations",
        "decisions",
        "delegations",
        "events",
        "experts",
        "forms",
        "held",
        "messages",
        "mirrors",
        "outbox",
        "patients",
        "peers",
    )

    def __init__(self, connection: AsyncConnection) -> None:
        self.account_certificates = AccountCertificates(connection)
        self.accounts = Accounts(connection)
        self.activities = Activities(connection)
        self.answers = Answers(connection)
        self.audit = Audit(connection)
        self.bounces = Bounces(connection)
        self.certificates = Certificates(connection)
        self.contacts = Contacts(connection)
        self.conversations = Conversations(connection)
        self.decisions = Decisions(connection)
        self.delegations = Delegations(connection)
        self.events = Events(connection)
        self.experts = Experts(connection)
        self.forms = Forms(connection)
        self.held = Held(connection)
        self.messages = Messages(connection)
        self.mirrors = Mirrors(connection)
        self.outbox = Outbox(connection)
        self.patients = Patients(connection)
        self.peers = Peers(connection)
