"""What a certificate may do at this gateway and why not: facts, and a verdict with reasons for each role."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, cast

from asn1crypto import crl, x509
from cryptography import x509 as crypto_x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

from certs.algorithms import AlgorithmRefused, check_digest, load_public_key
from certs.cms import DECODING_ERRORS
from certs.names import DistinguishedName, NameFault
from certs.operators import TrustList, normal_domain
from certs.paths import PathResult, TrustAnchors, validate
from certs.verdicts import Reason, Verdict

__all__ = [
    "Ability",
    "CertificateFacts",
    "Inspection",
    "InspectionFault",
    "ListFacts",
    "Role",
    "Surroundings",
    "inspect_certificate",
    "inspect_list",
]

RENEWAL_NOTICE = timedelta(days=60)
"""How long before its end a certificate is told to need renewal, as IGC-Santé does."""
_STRUCTURE = re.compile(r"3\d{14}|1[0-9][0-9AB]\d{7}")
_MOST_DOMAINS = 10


class InspectionFault(ValueError):
    """A certificate or CRL whose parts cannot be decoded."""


class Role(StrEnum):
    """What this gateway uses certificates for."""

    OPERATOR_SERVER = "operator server"
    OPERATOR_CLIENT = "operator client"
    ORGANISATION_SIGNATURE = "organisation signature"
    ORGANISATION_ENCRYPTION = "organisation encryption"
    PERSON_SIGNATURE = "person's signature"
    MACHINE_LOGIN = "machine login (EXTERNAL)"
    AUTHORITY = "certification authority"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a certificate is judged by: None where it is not at hand. `domain` is asked about when given."""

    now: datetime
    trust: TrustAnchors | None = None
    operators: TrustList | None = None
    enclosed: tuple[bytes, ...] = ()
    domain: str = ""


@dataclass(frozen=True, slots=True)
class CertificateFacts:
    """What a certificate says of itself. Names are RFC 4514 text, `serial` and `fingerprint` (SHA-256) hex.

    `key` and `signature` are short descriptions (`RSA 2048`, `sha256_rsa`); usages have their RFC 5280 names
    (`digitalSignature`), policies are dotted.
    """

    subject: str
    issuer: str
    serial: str
    not_before: datetime
    not_after: datetime
    key: str
    signature: str
    key_usage: tuple[str, ...]
    extended_key_usage: tuple[str, ...]
    policies: tuple[str, ...]
    addresses: tuple[str, ...]
    hosts: tuple[str, ...]
    crl_addresses: tuple[str, ...]
    authority: bool
    self_issued: bool
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Ability:
    """Whether a certificate may be used in a role: passed, failed or indeterminate; a sentence for each
    reason, and notes that do not decide.
    """

    role: Role
    verdict: Verdict
    reasons: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Inspection:
    """All that was found about one certificate; `warnings` hold for every role."""

    facts: CertificateFacts
    abilities: tuple[Ability, ...]
    warnings: tuple[str, ...] = ()

    @property
    def useful(self) -> bool:
        """Whether it may do at least one thing now."""
        return any(ability.verdict is Verdict.PASSED for ability in self.abilities)


@dataclass(frozen=True, slots=True)
class ListFacts:
    """What a CRL says, whether one of the configured authorities signed it, and what speaks against it."""

    issuer: str
    number: int | None
    issued: datetime
    ends: datetime | None
    revoked: int
    verdict: Verdict
    reasons: tuple[str, ...] = ()


def inspect_certificate(der: bytes, around: Surroundings) -> Inspection:
    """Judge one certificate for every role. Raises InspectionFault where it cannot be decoded."""
    try:
        certificate = x509.Certificate.load(der, strict=True)
        facts = _facts(certificate)
        subject = DistinguishedName.from_asn1(certificate.subject)
        issuer = DistinguishedName.from_asn1(certificate.issuer)
    except (NameFault, *DECODING_ERRORS) as error:
        raise InspectionFault("the certificate cannot be decoded") from error
    seen = _Seen(certificate, facts, subject, issuer, around, tuple(_weaknesses(certificate)))
    path = _path(der, seen)
    abilities = tuple(_ability(role, seen, path) for role in Role)
    return Inspection(facts, abilities, tuple(_warnings(facts, around)))


@dataclass(frozen=True, slots=True)
class _Seen:
    """One certificate with what every role asks."""

    certificate: Any
    facts: CertificateFacts
    subject: DistinguishedName
    issuer: DistinguishedName
    around: Surroundings
    weaknesses: tuple[str, ...]


class _Found:
    """Sentences of one role while it is judged."""

    def __init__(self) -> None:
        self.against: list[str] = []
        self.unknown: list[str] = []
        self.notes: list[str] = []

    def ability(self, role: Role) -> Ability:
        if self.against:  # notes say for whom it may, which is nothing to say then
            return Ability(role, Verdict.FAILED, (*self.against, *self.unknown))
        verdict = Verdict.INDETERMINATE if self.unknown else Verdict.PASSED
        return Ability(role, verdict, tuple(self.unknown), tuple(self.notes))


def _facts(certificate: Any) -> CertificateFacts:
    names = certificate.subject_alt_name_value or ()
    points = certificate.crl_distribution_points_value or ()
    usage = certificate.key_usage_value
    extended = certificate.extended_key_usage_value
    policies = certificate.certificate_policies_value
    return CertificateFacts(
        subject=DistinguishedName.from_asn1(certificate.subject).text,
        issuer=DistinguishedName.from_asn1(certificate.issuer).text,
        serial=f"{certificate.serial_number:x}",
        not_before=certificate.not_valid_before,
        not_after=certificate.not_valid_after,
        key=_key_text(certificate),
        signature=str(certificate["signature_algorithm"]["algorithm"].native),
        key_usage=tuple(sorted(_camel(name) for name in usage.native)) if usage is not None else (),
        extended_key_usage=tuple(_camel(name) for name in extended.native) if extended is not None else (),
        policies=tuple(policy["policy_identifier"].dotted for policy in policies or ()),
        addresses=tuple(str(name.native).lower() for name in names if name.name == "rfc822_name"),
        hosts=tuple(str(name.native) for name in names if name.name in ("dns_name", "ip_address")),
        crl_addresses=tuple(address for point in points for address in _addresses(point)),
        authority=bool(certificate.ca),
        self_issued=certificate.self_issued,
        fingerprint=certificate.sha256.hex(),
    )


def _addresses(point: Any) -> list[str]:
    name = point["distribution_point"]
    if name.native is None or name.name != "full_name":
        return []
    return [str(one.native) for one in name.chosen if one.name == "uniform_resource_identifier"]


def _key_text(certificate: Any) -> str:
    public = certificate.public_key
    if public.algorithm == "rsa":
        return f"RSA {public.bit_size}"
    if public.algorithm == "ec":
        return f"EC {public.curve[1]}"
    return str(public.algorithm)


def _weaknesses(certificate: Any) -> Iterator[str]:
    """Say what is too weak or not supported: the key and the issuer's signature."""
    try:
        load_public_key(certificate.public_key.dump())
    except AlgorithmRefused as refused:
        weak = refused.reason is Reason.KEY_WEAK
        text = _key_text(certificate) if weak else str(refused)
        yield f"key {text}: {'too weak' if weak else 'not supported'}"
    if certificate.self_issued:
        return  # an anchor is believed for what it is, not for its own signature
    algorithm = certificate["signature_algorithm"]
    try:
        check_digest(str(algorithm.hash_algo))
    except AlgorithmRefused as refused:
        weak = refused.reason is Reason.ALGORITHM_WEAK
        yield f"signed with {_digest_name(algorithm.hash_algo)}: {'too weak' if weak else 'not supported'}"
    except ValueError:  # Ed25519 hashes by itself
        if algorithm["algorithm"].native not in ("ed25519", "ed448"):
            yield "signed with an algorithm that is not supported"


def _digest_name(name: str) -> str:
    return name.upper().replace("SHA", "SHA-", 1) if name.startswith("sha") else name.upper()


def _path(der: bytes, seen: _Seen) -> PathResult | None:
    """Judge the path whatever the usage; None where there are no anchors to judge by."""
    trust = seen.around.trust
    if trust is None:
        return None
    if der in trust.roots:
        now = seen.around.now
        if seen.facts.not_before <= now <= seen.facts.not_after:
            return PathResult(Verdict.PASSED, Reason.GENUINE, "one of the configured anchors")
    return validate(der, seen.around.enclosed, trust, None, seen.around.now)


_PATH_SENTENCES = {
    Reason.UNTRUSTED: "no path to the configured anchors",
    Reason.REVOCATION_UNKNOWN: "no current CRL tells whether it, or an authority above it, is revoked",
    Reason.ALGORITHM_WEAK: "an algorithm or key of its path is too weak",
}


def _ability(role: Role, seen: _Seen, path: PathResult | None) -> Ability:
    found = _Found()
    found.against += seen.weaknesses
    _judge_path(seen, path, found)
    if seen.facts.authority and role is not Role.AUTHORITY:
        found.against.append("it is the certificate of an authority")
    else:
        _JUDGES[role](seen, found)
    return found.ability(role)


def _judge_path(seen: _Seen, path: PathResult | None, found: _Found) -> None:
    """Tell its own time, whatever its path, and then the path."""
    now, facts = seen.around.now, seen.facts
    if now > facts.not_after:
        found.against.append(f"expired on {facts.not_after:%Y-%m-%d %H:%M:%SZ}")
    elif now < facts.not_before:
        found.against.append(f"valid from {facts.not_before:%Y-%m-%d %H:%M:%SZ} only")
    if path is None:
        found.unknown.append("no anchors at hand to judge its path by (--trust names some)")
    elif path.verdict is Verdict.INDETERMINATE:
        found.unknown.append(_PATH_SENTENCES.get(path.reason, path.detail))
    elif path.verdict is Verdict.FAILED:
        sentence = _PATH_SENTENCES.get(path.reason, path.detail)
        if path.reason is Reason.UNTRUSTED and facts.self_issued:
            sentence = "self-signed, and not one of the configured anchors"
        elif path.reason in (Reason.EXPIRED, Reason.NOT_YET_VALID):
            if found.against and found.against[-1].startswith(sentence):
                return
            sentence = f"an authority above it: {sentence}"
        found.against.append(sentence)


def _require_usage(seen: _Seen, found: _Found, wanted: Sequence[str], extended: str) -> None:
    """Ask for one of the key usages `wanted` and an extended key usage, where the extensions are there."""
    usage = seen.facts.key_usage
    if seen.certificate.key_usage_value is not None and not set(wanted) & set(usage):
        found.against.append(f"key usage lacks {' or '.join(wanted)}")
    allowed = seen.facts.extended_key_usage
    if (
        seen.certificate.extended_key_usage_value is not None
        and extended not in allowed
        and "anyExtendedKeyUsage" not in allowed
    ):
        found.against.append(f"extended key usage lacks {extended}")


def _camel(name: str) -> str:
    """`digital_signature` of asn1crypto as RFC 5280 spells it; what is dotted stays as it is."""
    first, *others = name.split("_")
    return {"crl": "cRL"}.get(first, first) + "".join(word.capitalize() for word in others)


def _operator(seen: _Seen, found: _Found, extended: str) -> None:
    _require_usage(seen, found, ("digitalSignature",), extended)
    _listed(seen, found)


def _operator_server(seen: _Seen, found: _Found) -> None:
    _operator(seen, found, "serverAuth")
    if not seen.facts.key.startswith("RSA"):
        found.notes.append("peers that speak TLS 1.2 need an RSA key: this one serves under TLS 1.3 only")


def _operator_client(seen: _Seen, found: _Found) -> None:
    _operator(seen, found, "clientAuth")
    if not seen.facts.key.startswith("RSA"):
        found.notes.append("MSSanté's suites name RSA: another operator may refuse this key")


def _listed(seen: _Seen, found: _Found) -> None:
    """Look the subject up in the trust list; the domain asked for, or what the certificate's hosts say."""
    listed = seen.around.operators
    if listed is None:
        found.unknown.append("no trust list at hand: which domains name this DN is not known")
        return
    serves = sorted(domain for domain, names in listed.domains.items() if seen.subject in names)
    if seen.around.domain:
        _asked(seen.around.domain, serves, listed, found)
    elif serves:
        more = f" and {len(serves) - _MOST_DOMAINS} more" if len(serves) > _MOST_DOMAINS else ""
        found.notes.append(f"for {', '.join(serves[:_MOST_DOMAINS])}{more}")
    else:
        found.against.append("no domain of the trust list lists this DN")
        found.against += [f"domain {domain} lists another DN" for domain in _near_domains(seen, listed)]


def _asked(text: str, serves: Sequence[str], listed: TrustList, found: _Found) -> None:
    try:
        domain = normal_domain(text)
    except ValueError:
        found.against.append("the domain asked for is none")
        return
    if domain in serves:
        found.notes.append(f"for {domain}")
    elif domain in listed.domains:
        found.against.append(f"domain {domain} lists another DN")
    else:
        found.against.append(f"domain {domain} is not in the trust list")


def _near_domains(seen: _Seen, listed: TrustList) -> list[str]:
    """Domains of the list that a host name or the common name of the certificate lies in."""
    near: dict[str, None] = {}
    for host in (*seen.facts.hosts, *seen.subject.values("CN"))[:50]:
        labels = host.lower().rstrip(".").split(".")[-10:]
        for start in range(len(labels) - 1):
            domain = ".".join(labels[start:])
            if domain in listed.domains:
                near[domain] = None
    return list(near)[:_MOST_DOMAINS]


def _organisation(seen: _Seen, found: _Found) -> None:
    if not any(_STRUCTURE.fullmatch(unit) for unit in seen.subject.values("OU")):
        found.against.append("no structure identifier in OU (3 and a SIRET, or 1 and a FINESS)")


def _organisation_signature(seen: _Seen, found: _Found) -> None:
    _organisation(seen, found)
    _require_usage(seen, found, ("digitalSignature", "nonRepudiation"), "emailProtection")
    if seen.facts.addresses:
        found.notes.append(f"for mail from {', '.join(seen.facts.addresses[:_MOST_DOMAINS])}")
        return
    trust = seen.around.trust
    if trust is None:
        found.unknown.append("it has no mail address: which domains it is bound to is not known")
        return
    bound = sorted(trust.domains_bound_to(seen.issuer, seen.subject))
    if bound:
        found.notes.append(f"bound by the settings to {', '.join(bound[:_MOST_DOMAINS])}")
    else:
        found.against.append("it has no mail address, and no binding of the settings names it")


def _organisation_encryption(seen: _Seen, found: _Found) -> None:
    _organisation(seen, found)
    agrees = seen.facts.key.startswith("EC") or seen.facts.key == "x25519"
    if not agrees and not seen.facts.key.startswith("RSA"):
        found.against.append(f"a key of kind {seen.facts.key} cannot encrypt")
    wanted = "keyAgreement" if agrees else "keyEncipherment"
    _require_usage(seen, found, (wanted,), "emailProtection")


def _person_signature(seen: _Seen, found: _Found) -> None:
    _require_usage(seen, found, ("digitalSignature", "nonRepudiation"), "emailProtection")
    if not seen.facts.addresses:
        found.against.append("it has no mail address, so that no From can be its holder's")
    else:
        found.notes.append(f"for mail from {', '.join(seen.facts.addresses[:_MOST_DOMAINS])}")
    if not seen.subject.values("SN"):
        found.notes.append("its subject has no surname: it may name a service and not a person")


def _machine_login(seen: _Seen, found: _Found) -> None:
    _require_usage(seen, found, ("digitalSignature",), "clientAuth")
    found.notes.append("which account it opens, if any, stands with the accounts and not in the certificate")


def _authority(seen: _Seen, found: _Found) -> None:
    if not seen.facts.authority:
        found.against.append("basic constraints do not make it an authority")
    if seen.certificate.key_usage_value is not None and "keyCertSign" not in seen.facts.key_usage:
        found.against.append("key usage lacks keyCertSign")


_JUDGES = {
    Role.OPERATOR_SERVER: _operator_server,
    Role.OPERATOR_CLIENT: _operator_client,
    Role.ORGANISATION_SIGNATURE: _organisation_signature,
    Role.ORGANISATION_ENCRYPTION: _organisation_encryption,
    Role.PERSON_SIGNATURE: _person_signature,
    Role.MACHINE_LOGIN: _machine_login,
    Role.AUTHORITY: _authority,
}


def _warnings(facts: CertificateFacts, around: Surroundings) -> Iterator[str]:
    left = facts.not_after - around.now
    if timedelta(0) <= left < RENEWAL_NOTICE:
        yield f"expires in {left.days} day{'' if left.days == 1 else 's'}: renew it"


def inspect_list(der: bytes, around: Surroundings) -> ListFacts:
    """Judge a CRL (DER): its times, and that a known authority signed it. Raises InspectionFault."""
    try:
        loaded = crl.CertificateList.load(der, strict=True)
        body = loaded["tbs_cert_list"]
        issuer = DistinguishedName.from_asn1(body["issuer"])
        issued, ends = body["this_update"].native, body["next_update"].native
        number = loaded.crl_number_value
        revoked = len(body["revoked_certificates"])
        signer = _signer(der, loaded.issuer.hashable, around)
    except (NameFault, *DECODING_ERRORS) as error:
        raise InspectionFault("the CRL cannot be decoded") from error
    found = _Found()
    if signer is None:
        found.unknown.append("no anchors at hand to judge its issuer by (--trust names some)")
    elif not signer:
        found.against.append("no authority that is known here signed it")
    if issued > around.now:
        found.against.append(f"issued in the future: {issued:%Y-%m-%d %H:%M:%SZ}")
    if ends is None:
        found.against.append("it does not say until when it is current (nextUpdate)")
    elif ends < around.now:
        found.against.append(f"its time ended on {ends:%Y-%m-%d %H:%M:%SZ}")
    ability = found.ability(Role.AUTHORITY)
    number_read = None if number is None else int(number.native)
    return ListFacts(issuer.text, number_read, issued, ends, revoked, ability.verdict, ability.reasons)


def _signer(der: bytes, issuer: str, around: Surroundings) -> bool | None:
    """Whether an anchor, or an authority with a path to one, signed the CRL; None without anchors."""
    trust = around.trust
    if trust is None:
        return None
    candidates = (*trust.roots, *trust.intermediates, *around.enclosed)
    for candidate in dict.fromkeys(candidates):
        if x509.Certificate.load(candidate).subject.hashable != issuer or not _signed_by(der, candidate):
            continue
        path = (
            None
            if candidate in trust.roots
            else validate(candidate, around.enclosed, trust, None, around.now)
        )
        if path is None or path.verdict is not Verdict.FAILED:
            return True
    return False


def _signed_by(der: bytes, candidate: bytes) -> bool:
    try:
        key = crypto_x509.load_der_x509_certificate(candidate).public_key()
        # A key that cannot sign is a TypeError there, which is caught.
        return crypto_x509.load_der_x509_crl(der).is_signature_valid(cast(Any, key))
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
