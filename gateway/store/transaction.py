"""One transaction: the repositories of all nouns on one connection."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.store.activities import Activities
from gateway.store.audit import Audit
from gateway.store.certificates import Certificates
from gateway.store.conversations import Conversations, Events
from gateway.store.deposits import Deposits
from gateway.store.directory import Contacts
from gateway.store.doctors import Doctors
from gateway.store.document_requests import DocumentRequests
from gateway.store.exchanges import Exchanges
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
from gateway.store.told_activities import ToldActivities

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
        "doctors",
        "document_requests",
        "events",
        "exchanges",
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
        "told",
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
        self.document_requests = DocumentRequests(connection)
        self.doctors = Doctors(connection)
        self.events = Events(connection)
        self.exchanges = Exchanges(connection)
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
        self.told = ToldActivities(connection)
