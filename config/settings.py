"""The schema of `gateway.toml`. Each field's description is its entry in the manual.

The values stand in defaults.toml; only a field that may be absent has its default (None) here. Units are part
of the name (`_bytes`, `_s`, `_days`). Paths and SQLite addresses come out absolute: relative ones count from
the folder given as validation context.
"""

import re
from pathlib import Path
from typing import Annotated, Final, Literal, Self
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, available_timezones

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationInfo,
    model_validator,
)
from pydantic.config import JsonDict

SECRET: Final[JsonDict] = {"secret": True}
"""Marks a field that the environment may override as TLE_<SECTION>_<KEY> and whose value is never shown."""

_DOMAIN = re.compile(
    r"(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)+"
)
_SQLITE = re.compile(r"(sqlite(?:\+\w+)?:///)([^/:?][^?]*)(\?.*)?")


def _absolute(value: object, info: ValidationInfo) -> object:
    if not isinstance(value, str):
        return value
    if not value or "\0" in value:
        raise ValueError("should be the path of a file or folder")
    base: Path = (info.context or {}).get("folder", Path())
    return base / value


def _absolute_sqlite(url: SecretStr, info: ValidationInfo) -> SecretStr:
    match = _SQLITE.fullmatch(url.get_secret_value())
    if match is None:
        return url
    base: Path = (info.context or {}).get("folder", Path())
    return SecretStr(f"{match[1]}{base / match[2]}{match[3] or ''}")


def _domain(value: str) -> str:
    lower = value.lower()
    if not _DOMAIN.fullmatch(lower):
        raise ValueError(
            "should be a domain name such as demo.mssante.example (its A-label form if it has accents)"
        )
    return lower


def _endpoint(value: str) -> str:
    host, _, port = value.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise ValueError('should be "host:port", an IPv6 address in brackets')
    return value


def _web_address(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or not value.isascii():
        raise ValueError("should be an http or https address without user name")
    return value


def _secure_web_address(value: str) -> str:
    if not _web_address(value).startswith("https:"):
        raise ValueError("should be an https address")
    return value


def _time_zone(value: str) -> str:
    if value not in available_timezones():
        raise ValueError("should be the name of a time zone such as Europe/Paris or Indian/Reunion")
    return value


TimeZone = Annotated[str, AfterValidator(_time_zone)]
Address = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*@[a-z0-9.-]+$", max_length=254)]
FilePath = Annotated[Path, BeforeValidator(_absolute)]
Domain = Annotated[str, AfterValidator(_domain)]
Endpoint = Annotated[str, AfterValidator(_endpoint)]
Port = Annotated[int, Field(ge=0, le=65535)]
WebAddress = Annotated[str, AfterValidator(_web_address)]
SecureWebAddress = Annotated[str, AfterValidator(_secure_web_address)]
Positive = Annotated[int, Field(ge=1)]
Line = Annotated[str, Field(max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")]
KeyPlace = Annotated[str, Field(pattern=r"^[a-z0-9_.-]+\._domainkey\.[a-z0-9.-]+$", max_length=253)]
KeyText = Annotated[str, Field(pattern=r"^[ -~]*$", max_length=4096)]
SecretUrl = Annotated[SecretStr, AfterValidator(_absolute_sqlite)]


class _Section(BaseModel):
    """What all sections share: frozen, no unknown key, no silent conversion."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)


class Service(_Section):
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


class Smtp(_Section):
    """Listeners for mail, and the bounds of what they take."""

    bind: str = Field(min_length=1, description="address to listen on")
    mx_port: Port = Field(description="port for mail of other operators (0: any free port, as everywhere)")
    submission_port: Port = Field(description="port for mail of our users, with STARTTLS")
    submissions_port: Port = Field(description="port for mail of our users, TLS from the first byte")
    max_message_bytes: int = Field(
        ge=65536, description="size above which a message is refused with 552 5.3.4"
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


class Imap(_Section):
    """Where mail clients read."""

    bind: str = Field(min_length=1, description="address to listen on")
    starttls_port: Port = Field(description="IMAP port with STARTTLS")
    tls_port: Port = Field(description="IMAP port, TLS from the first byte")
    managesieve_port: Port | None = Field(
        default=None, description="port on which users edit their filters (ManageSieve); absent: not offered"
    )


class Mailboxes(_Section):
    """The mailbox server behind the gateway."""

    embedded: bool = Field(description="the gateway configures, starts and stops a Dovecot of its own")
    home: FilePath = Field(description="folder of the mails: <home>/<domain>/<user>")
    user: str = Field(
        pattern=r"^[a-z_][a-z0-9_-]*$",
        description="system account to which the embedded server drops when the gateway was started as root",
    )
    lmtp_connections: Positive = Field(description="connections kept open for local delivery")
    timeout_s: Positive = Field(description="seconds after which a command to the mailbox server has failed")


class Database(_Section):
    """Where messages, events and the queue are kept."""

    url: SecretUrl = Field(
        description="SQLAlchemy address; a relative SQLite path counts from the folder of this file",
        json_schema_extra=SECRET,
    )


class Pki(_Section):
    """Certificates and keys, PEM files."""

    tls_certificate: FilePath = Field(description="certificate of this server, its chain after it")
    tls_key: FilePath = Field(description="private key of that certificate", json_schema_extra=SECRET)
    anchors: FilePath = Field(description="authorities that we trust, for operators and for signatures")
    crls: FilePath = Field(description="folder of revocation lists (.crl)")
    revocation: Literal["require", "when_known"] = Field(
        description="`require`: without a valid revocation list nothing is trusted; `when_known`: lists "
        "are used if present"
    )
    smime_certificate: FilePath = Field(
        description="certificate of the organisation, which signs what we write"
    )
    smime_key: FilePath = Field(description="private key of that certificate", json_schema_extra=SECRET)
    smime_chain: FilePath = Field(description="intermediate authorities sent with our signatures")
    crl_urls: tuple[WebAddress, ...] = Field(
        strict=False,
        description="where revocation lists are fetched; the addresses in certificates are never used. What "
        "is fetched and verified is kept in the folder `crls`",
    )
    crl_refresh_minutes: Positive = Field(description="minutes between two fetches of a revocation list")
    crl_grace_hours: Positive = Field(
        description="hours for which a revocation list is still used after its nextUpdate; then nothing is "
        'known any more: 454 4.7.0 with `revocation = "require"`'
    )
    intermediates: FilePath | None = Field(
        default=None,
        description="further intermediate authorities (PEM): they help to build paths and may sign "
        "revocation lists",
    )


class Trust(_Section):
    """The trust space: which operators exchange with us."""

    list_file: FilePath = Field(description="list of domains and operator certificates (national XML format)")
    url: SecureWebAddress | None = Field(
        default=None,
        description="where the list is fetched (https); absent: `list_file` is read again when it changes",
    )
    url_anchors: FilePath | None = Field(
        default=None,
        description="authorities (PEM) of the server at `url`, and no others; absent: `pki.anchors`",
    )
    refresh_minutes: Positive = Field(description="minutes between two fetches of the list")
    max_age_hours: Positive = Field(
        description="hours after its DateDeGeneration for which a list is believed; then operators are "
        "answered 451 4.7.1 and mail to them waits"
    )
    max_removed_percent: int = Field(
        ge=0,
        le=100,
        description="a new list that lacks more of the domains than this (and more than one) is not believed "
        "until an operator forces it (`gateway trust load --force`)",
    )
    signer_anchors: FilePath | None = Field(
        default=None,
        description="authorities (PEM) under which the list must be signed (XML signature, enveloped); "
        "absent: signatures are not looked at",
    )
    signer: Line | None = Field(
        default=None,
        description="name of the certificate that must sign the list, written as the list writes names "
        "(`CN=...,OU=...`); absent: any certificate under `signer_anchors`",
    )

    @model_validator(mode="after")
    def _signer_has_anchors(self) -> Self:
        if self.signer is not None and self.signer_anchors is None:
            raise ValueError("`signer` needs `signer_anchors`")
        return self


class Relay(_Section):
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


class Conversation(_Section):
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


class Rules(_Section):
    """The rules that decide what happens on which event."""

    file: FilePath | None = Field(
        default=None,
        description="the operator's own rules, read after those shipped; absent: the shipped ones alone",
    )


class Billing(_Section):
    """How acts are rated in exports."""

    year: Literal["calendar", "rolling"] = Field(
        description="what a year is for yearly limits: the calendar's, or the twelve months before each act"
    )
    tariffs_file: FilePath | None = Field(
        default=None, description="a table of tariffs in place of the shipped one; absent: the shipped one"
    )


class Retention(_Section):
    """How long things are kept."""

    messages_days: Positive = Field(
        description="days for which messages are kept byte for byte; those of a conversation from its last "
        "message after it was closed. What stays is a line with the hash, and the audit trail as a whole"
    )


class Workers(_Section):
    """Processes and tasks that do the work of the queue."""

    count: Positive = Field(description="queue rows worked on at once")
    pdf_processes: Positive = Field(description="processes that make reports")


class Logging(_Section):
    """What the gateway tells about its running: identifiers only, never content."""

    level: Literal["debug", "info", "warning", "error"] = Field(description="least severity that is logged")
    format: Literal["console", "json"] = Field(description="`console` for people, `json` for collectors")


class DkimKey(_Section):
    """One key with which we sign."""

    selector: str = Field(pattern=r"^[a-z0-9]+([.-][a-z0-9]+)*$", max_length=63)
    key: FilePath
    since: AwareDatetime | None = None


class Dkim(_Section):
    """DKIM: the signature on mail to other operators, and the keys of theirs."""

    enabled: bool = Field(description="mail to other operators is signed")
    signing: tuple[DkimKey, ...] = Field(
        strict=False,
        description="our keys, each with its `selector`, the PEM file of its private `key` (RSA of 2048 bits "
        "or more, or Ed25519) and, if it is to be used only later, `since` when; of those due the "
        "latest signs, of equal ones the last",
    )
    keys: dict[KeyPlace, KeyText] = Field(
        description='table of "selector._domainkey.domain" = "v=DKIM1; k=...; p=..." for keys that are not '
        "looked up in the DNS"
    )
    dns: bool = Field(description="keys that are not in the table are looked up in the DNS")
    nameservers: tuple[Endpoint, ...] = Field(
        strict=False, description='name servers to ask, "address:port"; none: those of the system'
    )
    lookup_s: int = Field(
        ge=1, le=10, description="seconds after which a key counts as not to be had; the mail waits no longer"
    )


class Files(_Section):
    """Other files of the deployment."""

    mac_key_file: FilePath = Field(
        description="key that seals reply addresses and form identifiers (32 random bytes)",
        json_schema_extra=SECRET,
    )
    demo_accounts: FilePath = Field(
        description="where the accounts of a demonstration are written, with passwords"
    )


class DecryptionKey(_Section):
    """One encryption certificate of the organisation (ORG CONF) with its key, PEM files."""

    certificate: FilePath = Field(description="the certificate that others encrypt to")
    key: FilePath = Field(description="private key of that certificate")
    authenticated_only: bool = Field(
        default=False,
        description="only AES-GCM is opened with it: for operators all of whose partners announce that",
    )


class Binding(_Section):
    """Which domains certificates without mail address may write for (IGC-Santé's ORG SIGN have none)."""

    issuer: Line = Field(min_length=3, description="name of the issuing authority (RFC 4514)")
    subject: Line = Field(
        min_length=3, description="attributes that the subject must hold, O, OU or CN among them (RFC 4514)"
    )
    domains: tuple[Domain, ...] = Field(
        strict=False, min_length=1, description="domains of From that are allowed"
    )


class Smime(_Section):
    """Encryption between organisations, and certificates that carry no mail address."""

    decryption: tuple[DecryptionKey, ...] = Field(
        strict=False,
        description="list of { certificate, key }: mail encrypted to one of them is decrypted at the door; "
        "several while one replaces another; none: nothing is ever decrypted",
    )
    unsigned_content: Literal["refuse", "gcm"] = Field(
        description="decrypted content without a valid signature of its sender: `refuse`, since whoever "
        "holds a copy of a ciphertext could have it opened by sending it on as his own; `gcm` takes it where "
        "the "
        "cipher at least shows that nothing was changed. With AES-CBC it is always refused (EFAIL)"
    )
    certificates: FilePath | None = Field(
        default=None,
        description="folder of certificates (<address>.pem) to encrypt to, before those that signatures "
        "brought",
    )
    foreign_plain: Literal["refuse", "tls"] = Field(
        description="what came encrypted and goes to a person of another operator of whom no certificate is "
        "known: `refuse` tells its sender, `tls` sends it readable over mutually authenticated TLS"
    )
    bindings: tuple[Binding, ...] = Field(
        strict=False,
        description="list of { issuer, subject, domains }: which From domains a certificate without mail "
        "address may sign for",
    )
    rsa_transport: Literal["by-capability", "pkcs1", "oaep"] = Field(
        description="how RSA gives the key of a content to its recipient: `by-capability` is OAEP beside "
        "AES-GCM and PKCS#1 v1.5 beside AES-CBC, which is what others read"


class Documents(_Section):
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


class Settings(_Section):
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
    retention: Retention = Field(description="how long things are kept")
    workers: Workers = Field(description="who does the work of the queue")
    logging: Logging = Field(description="what is logged, and how")
    files: Files = Field(description="other files")
    smime: Smime = Field(description="encryption between organisations")
    dkim: Dkim = Field(description="DKIM signatures")
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
