"""The sections of `gateway.toml` about trust: certificates, operators, encryption, signatures, tokens."""

from typing import Literal, Self

from pydantic import AwareDatetime, Field, ValidationInfo, field_validator, model_validator

from config.fieldtypes import (
    SECRET,
    Domain,
    Endpoint,
    FilePath,
    KeyPlace,
    KeySetUrl,
    KeyText,
    Line,
    Positive,
    Section,
    SecureWebAddress,
    WebAddress,
)


class Pki(Section):
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


class Trust(Section):
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


class DkimKey(Section):
    """One key with which we sign."""

    selector: str = Field(pattern=r"^[a-z0-9]+([.-][a-z0-9]+)*$", max_length=63)
    key: FilePath
    since: AwareDatetime | None = None


class Dkim(Section):
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


class Oauth(Section):
    """Logins with a token of an identity provider such as Pro Santé Connect (XOAUTH2, OAUTHBEARER)."""

    issuer: Line | None = Field(
        default=None,
        description="`iss` of the tokens, for example "
        "https://auth.esw.esante.gouv.fr/auth/realms/esante-wallet",
    )
    audiences: tuple[Line, ...] = Field(
        strict=False,
        description="client identifiers of the programs whose tokens are taken: one must be in `aud` or be "
        "`azp`",
    )
    assurance: tuple[Line, ...] = Field(
        strict=False, description="allowed values of `acr`, such as eidas1; empty: any"
    )
    identity_claim: Line = Field(min_length=1, description="claim that names the person")
    identity_prefix: Line = Field(
        description="what stands before the RPPS number in that claim (8 in an IDNPS)"
    )
    leeway_s: int = Field(
        ge=0, le=300, description="seconds by which the issuer's clock may differ from ours"
    )
    jwks_url: KeySetUrl | None = Field(
        default=None, description="where the issuer publishes its keys (https)"
    )
    jwks_anchors: FilePath | None = Field(
        default=None, description="PEM file of the authorities of that address; absent: those of the system"
    )
    jwks_file: FilePath | None = Field(
        default=None, description="file with the issuer's keys, read in place of `jwks_url`"
    )
    jwks_cache: FilePath = Field(
        description="where the keys fetched last are kept, so that logins work while the issuer is away"
    )
    refresh_s: Positive = Field(
        description="seconds after which the keys are fetched again; a token with an unknown key asks for it "
        "sooner, but never more than once in `retry_s`"
    )
    retry_s: Positive = Field(description="seconds between two attempts to fetch the keys, at least")
    keep_s: Positive = Field(
        description="seconds for which the keys fetched last are used while they cannot be fetched anew"
    )
    wait_s: Positive = Field(description="seconds that one login waits for keys at most")
    session_s: int = Field(
        ge=0,
        le=86_400,
        description="seconds by which a mail session may outlive the token that opened it; then it is ended",
    )
    # last, so that what it needs has been read
    enabled: bool = Field(description="XOAUTH2 and OAUTHBEARER are offered to users under TLS")

    @field_validator("enabled")
    @classmethod
    def _complete(cls, enabled: bool, info: ValidationInfo) -> bool:
        """Whoever turns it on must say whose tokens are believed."""
        given = info.data
        if enabled and not (given.get("issuer") and given.get("audiences")):
            raise ValueError("needs `issuer` and `audiences`")
        if enabled and (given.get("jwks_url") is None) == (given.get("jwks_file") is None):
            raise ValueError("needs one of `jwks_url` and `jwks_file`")
        return enabled


class DecryptionKey(Section):
    """One encryption certificate of the organisation (ORG CONF) with its key, PEM files."""

    certificate: FilePath = Field(description="the certificate that others encrypt to")
    key: FilePath = Field(description="private key of that certificate")
    authenticated_only: bool = Field(
        default=False,
        description="only AES-GCM is opened with it: for operators all of whose partners announce that",
    )


class Binding(Section):
    """Which domains certificates without mail address may write for (IGC-Santé's ORG SIGN have none)."""

    issuer: Line = Field(min_length=3, description="name of the issuing authority (RFC 4514)")
    subject: Line = Field(
        min_length=3, description="attributes that the subject must hold, O, OU or CN among them (RFC 4514)"
    )
    domains: tuple[Domain, ...] = Field(
        strict=False, min_length=1, description="domains of From that are allowed"
    )


class Smime(Section):
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
    )
