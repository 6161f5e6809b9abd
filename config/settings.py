"""The schema of `gateway.toml`. Each field's description is its entry in the manual.

The values stand in defaults.toml; only a field that may be absent has its default (None) here. Units are part
of the name (`_bytes`, `_s`, `_days`). Paths and SQLite addresses come out absolute: relative ones count from
the folder given as validation context.
"""

from typing import Literal
from zoneinfo import ZoneInfo

from pydantic import Field

from config.fieldtypes import (
    SECRET,
    Address,
    Domain,
    Endpoint,
    FilePath,
    Line,
    Port,
    Positive,
    SecretUrl,
    Section,
    TimeZone,
)
from config.trustsettings import Dkim, Oauth, Pki, Smime, Trust

__all__ = ["Settings"]


class Service(Section):
    """Who we are: the names by which people and other operators know the service."""

    domain: Domain = Field(description="mail domain of the service and of its users")
    domains: tuple[Domain, ...] = Field(
        strict=False, description="further mail domains whose users have their mailbox here"
    )
    # The reply address is <local_part>+<token of 42 characters>, 64 octets at most (RFC 5321 §4.5.3.1.1).
    local_part: str = Field(
        pattern=r"^[a-z0-9]+([.-][a-z0-9]+)*$",
        max_length=20,
        description="left side of the service address, to which requests and commands are written",
    )
    hostname: Domain | None = Field(
        default=None, description="name of this server in greetings and Message-ID; absent: `domain`"
    )
    display_name: Line = Field(min_length=1, description="name shown beside the service address")
    organisation_name: Line = Field(
        min_length=1, description="name of the organisation, in reports and signatures"
    )
    finess: str | None = Field(
        default=None, pattern=r"^[0-9][0-9AB][0-9]{7}$", description="FINESS number of the organisation"
    )
    postmaster: Address | None = Field(
        default=None,
        description="account that gets mail to `postmaster` of our domains (RFC 5321 §4.5.1); absent: an "
        "account of that name, else the oldest one",
    )
    town: Line = Field(description="town of the organisation, in reports")
    time_zone: TimeZone = Field(description="where the readers live: mails, reports and rules show its time")
    test_identifiers: bool = Field(
        description="patients carry test identities (INS with the test OID); false on a real service"
    )


class Smtp(Section):
    """Listeners for mail, and the bounds of what they take."""

    bind: str = Field(min_length=1, description="address to listen on")
    mx_port: Port = Field(description="port for mail of other operators (0: any free port, as everywhere)")
    submission_port: Port = Field(description="port for mail of our users, with STARTTLS")
    submissions_port: Port = Field(description="port for mail of our users, TLS from the first byte")
    max_message_bytes: int = Field(
        ge=65536, description="size above which a message is refused with 552 5.3.4"
    )
    max_inflight_bytes: int = Field(
        ge=65536,
        description="octets of all messages that are being received at once, of one sender a quarter; above "
        "it 452 4.3.1. Memory: this, and some 400 MB for what is read and decided on",
    )
    max_recipients: Positive = Field(
        description="recipients of one message (RFC 5321 §4.5.3.1.8 asks for 100)"
    )
    max_parts: Positive = Field(description="MIME parts of one message, containers counted")
    max_depth: Positive = Field(description="nesting of MIME parts")
    max_header_bytes: int = Field(ge=4096, description="size of a message's header, in bytes")
    max_received: Positive = Field(description="Received fields above which a mail loops: 554 5.4.6")
    max_connections: Positive = Field(description="connections open at once, per process")
    idle_timeout_s: Positive = Field(
        description="seconds without a command after which a connection is closed"
    )
    machines_port: Port | None = Field(
        default=None,
        description="port for mail of applications that log in by TLS client certificate (SASL EXTERNAL), "
        "TLS from the first byte; absent: not offered",
    )


class Imap(Section):
    """Where mail clients read."""

    bind: str = Field(min_length=1, description="address to listen on")
    starttls_port: Port = Field(description="IMAP port with STARTTLS")
    tls_port: Port = Field(description="IMAP port, TLS from the first byte")
    managesieve_port: Port | None = Field(
        default=None, description="port on which users edit their filters (ManageSieve); absent: not offered"
    )
    machines_port: Port | None = Field(
        default=None,
        description="IMAP port for applications that log in by TLS client certificate (SASL EXTERNAL), TLS "
        "from the first byte; absent: not offered",
    )
    machines_recheck_s: Positive = Field(
        description="seconds between two looks at the certificate of an application's open session: one that "
        "is revoked or taken away ends it"
    )


class Mailboxes(Section):
    """The mailbox server behind the gateway."""

    embedded: bool = Field(description="the gateway configures, starts and stops a Dovecot of its own")
    home: FilePath = Field(description="folder of the mails: <home>/<domain>/<user>")
    user: str = Field(
        pattern=r"^[a-z_][a-z0-9_-]*$",
        description="system account to which the embedded server drops when the gateway was started as root",
    )
    lmtp_connections: Positive = Field(description="connections kept open for local delivery")
    timeout_s: Positive = Field(description="seconds after which a command to the mailbox server has failed")


class Database(Section):
    """Where messages, events and the queue are kept."""

    url: SecretUrl = Field(
        description="SQLAlchemy address; a relative SQLite path counts from the folder of this file",
        json_schema_extra=SECRET,
    )


class Relay(Section):
    """Delivery to other operators."""

    routes: dict[Domain, Endpoint] = Field(
        description='table of domain = "host:port" for domains that are not looked up in the DNS'
    )
    retry_minutes: tuple[Positive, ...] = Field(
        strict=False,
        min_length=1,
        description="minutes to wait after each failed attempt; after the last: a bounce",
    )
    timeout_s: Positive = Field(description="seconds after which a command to another operator has failed")


class Conversation(Section):
    """How conversations behave."""

    answers_per_hour: Positive = Field(
        description="automatic answers that one sender gets in an hour at most"
    )
    form_days: Positive = Field(description="days for which a form that was sent can be answered")
    page_size: Positive = Field(description="results in one directory answer; more are a link away")
    held_days: Positive = Field(
        description="days for which a doubtful mail is held for its author to confirm; then it is dropped "
        "and the author told"
    )


class Rules(Section):
    """The rules that decide what happens on which event."""

    file: FilePath | None = Field(
        default=None,
        description="the operator's own rules, read after those shipped; absent: the shipped ones alone",
    )


class Billing(Section):
    """How acts are rated in exports."""

    year: Literal["calendar", "rolling"] = Field(
        description="what a year is for yearly limits: the calendar's, or the twelve months before each act"
    )
    tariffs_file: FilePath | None = Field(
        default=None, description="a table of tariffs in place of the shipped one; absent: the shipped one"
    )


class Reminders(Section):
    """When requests without answer are reminded of, and when daily digests go out."""

    before_promise_hours: Positive = Field(
        description="hours before the end of the delay that the expert announces (half of it at most) at "
        "which the expert is reminded"
    )
    before_convention_hours: int = Field(
        ge=1,
        le=144,
        description="hours before the end of the convention's 7 days at which the expert is reminded",
    )
    other_experts: Positive = Field(
        description="experts of the specialty that a requester without answer is offered, at most"
    )
    digest_hour: int = Field(
        ge=0, le=23, description="hour of the day, where the readers live, from which daily digests go out"
    )


class Retention(Section):
    """How long things are kept."""

    messages_days: Positive = Field(
        description="days for which messages are kept byte for byte; those of a conversation from its last "
        "message after it was closed. What stays is a line with the hash, and the audit trail as a whole"
    )


class Workers(Section):
    """Processes and tasks that do the work of the queue."""

    count: Positive = Field(description="queue rows worked on at once")
    pdf_processes: Positive = Field(description="processes that make reports")


class Logging(Section):
    """What the gateway tells about its running: identifiers only, never content."""

    level: Literal["debug", "info", "warning", "error"] = Field(description="least severity that is logged")
    format: Literal["console", "json"] = Field(description="`console` for people, `json` for collectors")


class Files(Section):
    """Other files of the deployment."""

    mac_key_file: FilePath = Field(
        description="key that seals reply addresses and form identifiers (32 random bytes)",
        json_schema_extra=SECRET,
    )
    demo_accounts: FilePath = Field(
        description="where the accounts of a demonstration are written, with passwords"
    )


class Documents(Section):
    """What national documents (CDA) say of places; without it reports leave as PDF alone, and say why."""

    practice_setting: str | None = Field(
        default=None,
        pattern=r"^[A-Z_]{2,30}$",
        description="code of JDV_J04 for where the experts practise: ETABLISSEMENT, AMBULATOIRE ...; "
        "absent: no CDA report",
    )
    facility_type: str | None = Field(
        default=None,
        pattern=r"^SA\d\d$",
        description="code of JDV_J02 for the experts' facilities: SA01 public hospital, SA05 health "
        "centre ...; absent: no CDA report",
    )
    requester_practice_setting: str | None = Field(
        default=None,
        pattern=r"^[A-Z_]{2,30}$",
        description="code of JDV_J04 for where the requesters practise; absent: no CDA request",
    )
    requester_facility_type: str | None = Field(
        default=None,
        pattern=r"^SA\d\d$",
        description="code of JDV_J02 for the requesters' facilities; absent: no CDA request",
    )
    patient_domain: Domain | None = Field(
        default=None,
        description="domain of the patients' mailboxes (<INS>@<domain>): who finalises may then tick the "
        "patient as well; absent: no mail to patients",
    )
    nil: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9]{1,20}$",
        description="number of this product in the national convergence platform (X-MSS-NIL of every "
        "mail that the gateway writes); absent: no such field",
    )


class Settings(Section):
    """All settings of one deployment."""

    service: Service = Field(description="who we are")
    smtp: Smtp = Field(description="listeners for mail")
    imap: Imap = Field(description="where mail clients read")
    mailboxes: Mailboxes = Field(description="the mailbox server")
    database: Database = Field(description="messages, events, queue")
    pki: Pki = Field(description="certificates and keys")
    trust: Trust = Field(description="operators of the trust space")
    relay: Relay = Field(description="delivery to other operators")
    conversation: Conversation = Field(description="how conversations behave")
    rules: Rules = Field(description="the rules that decide")
    billing: Billing = Field(description="how acts are rated in exports")
    reminders: Reminders = Field(description="when somebody is reminded, and of what is told once a day")
    retention: Retention = Field(description="how long things are kept")
    workers: Workers = Field(description="who does the work of the queue")
    logging: Logging = Field(description="what is logged, and how")
    files: Files = Field(description="other files")
    smime: Smime = Field(description="encryption between organisations")
    dkim: Dkim = Field(description="DKIM signatures")
    oauth: Oauth = Field(description="logins with a token of an identity provider")
    documents: Documents = Field(description="what national documents say of places")

    @property
    def service_address(self) -> str:
        """Address to which requests and commands are written."""
        return f"{self.service.local_part}@{self.service.domain}"

    @property
    def zone(self) -> ZoneInfo:
        """The time zone of the readers."""
        return ZoneInfo(self.service.time_zone)

    @property
    def hostname(self) -> str:
        """Name of this server in greetings and Message-ID."""
        return self.service.hostname or self.service.domain

    @property
    def local_domains(self) -> frozenset[str]:
        """Domains whose mailboxes are here, in lower case."""
        return frozenset((self.service.domain, *self.service.domains))
