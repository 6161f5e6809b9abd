"""One transaction: the repositories of all nouns on one connection."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.store.activities import Activities
from gateway.store.audit import Audit
from gateway.store.certificates import Certificates
from gateway.store.conversations import Conversations, Events
from gateway.store.deposits import Deposits
from gateway.store.directory import Contacts
from gateway.store.experts import Experts
from gateway.store.exported import Digests, Exported
from gateway.store.letters import Answers, Bounces, Forms, Held
from gateway.store.messages import Decisions, Messages
from gateway.store.mirrors import Mirrors, Peers
from gateway.store.outbox import Outbox
from gateway.store.patient_folders import PatientFolders
from gateway.store.patient_pairs import PatientPairs
from gateway.store.patients import Patients
from gateway.store.people import AccountCertificates, Accounts, Administrators, Delegations

__all__ = ["Transaction"]


class Transaction:
    """What can be read and written together. A reading one cannot write: the database refuses."""

    __slots__ = (
        "account_certificates",
        "accounts",
        "activities",
        "administrators",
        "answers",
        "audit",
        "bounces",
        "certificates",
        "contacts",
        "conversations",
        "decisions",
        "delegations",
        "deposits",
        "digests",
        "events",
        "experts",
        "exported",
        "forms",
        "held",
        "messages",
        "mirrors",
        "outbox",
        "patient_folders",
        "patient_pairs",
        "patients",
        "peers",
    )

    def __init__(self, connection: AsyncConnection) -> None:
        self.account_certificates = AccountCertificates(connection)
        self.accounts = Accounts(connection)
        self.activities = Activities(connection)
        self.administrators = Administrators(connection)
        self.answers = Answers(connection)
        self.audit = Audit(connection)
        self.bounces = Bounces(connection)
        self.certificates = Certificates(connection)
        self.contacts = Contacts(connection)
        self.conversations = Conversations(connection)
        self.decisions = Decisions(connection)
        self.delegations = Delegations(connection)
        self.deposits = Deposits(connection)
        self.digests = Digests(connection)
        self.events = Events(connection)
        self.experts = Experts(connection)
        self.exported = Exported(connection)
        self.forms = Forms(connection)
        self.held = Held(connection)
        self.messages = Messages(connection)
        self.mirrors = Mirrors(connection)
        self.outbox = Outbox(connection)
        self.patient_folders = PatientFolders(connection)
        self.patient_pairs = PatientPairs(connection)
        self.patients = Patients(connection)
        self.peers = Peers(connection)
