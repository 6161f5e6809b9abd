"""S/MIME messages (RFC 8551): signed by us, and verified on the original octets of what was received."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from email.utils import parsedate_to_datetime
from typing import Any

from asn1crypto import x509

from certs.cms import (
    DECODING_ERRORS,
    CheckedSigner,
    CmsFault,
    SignedData,
    check_signers,
    content_type,
    read_signed_data,
)
from certs.entities import Detached, Opaque, Unsigned, claims_signature, find_signature
from certs.fields import MAXIMUM_HEADER, Field, FieldFault, Mailbox, parse_mailbox, split_message
from certs.names import DistinguishedName, NameFault
from certs.pathcache import CertificateNames, PathCache
from certs.paths import TrustAnchors, Usage, validate
from certs.protection import MAXIMUM_LINE, ProtectedHeaders, differing, protect, read_protected, render_field
from certs.signing import Signer, SigningFault, sign_detached
from certs.verdicts import Note, Reason, SignatureReport, SignerReport, Verdict, worst

__all__ = [
    "certificate_addresses",
    "shows_other_address",
    "sign_complete",
    "sign_entity",
    "sign_message",
    "split_complete",
    "verify_message",
]

DATE_TOLERANCE = timedelta(hours=1)
"""How far Date may be from the signing time: the same client writes both; Thunderbird allows as much."""

_CLAIMS_PROTECTION = re.compile(rb"\bhp\s*[*=]", re.IGNORECASE)

# Only from the start of a word: a long one without "@" would be searched anew from each of its letters.
_ADDRESS_IN_NAME = re.compile(r"(?<![^\s<>\"'(),;])[^\s<>\"'(),;]+@[^\s<>\"'(),;]+")


def sign_message(headers: Sequence[tuple[str, str]], entity: bytes, signer: Signer, now: datetime) -> bytes:
    """Return the full message in CRLF form: multipart/signed with protected headers (RFC 8551 §3.5.3, RFC
    9788).

    `headers` are the message's own fields without Content-* and MIME-Version, values in ASCII (RFC 2047 where
    needed). `entity` is the finished MIME entity: Content-* fields, empty line, body, 7-bit, CRLF, no line
    over 998. Its boundary follows from the content, so that the same input gives the same octets up to the
    signature. Raises SigningFault, or FieldFault where the entity's header cannot be read.
    """
    if any(name.lower() == "mime-version" or name.lower().startswith("content-") for name, _ in headers):
        raise SigningFault("Content-* fields belong to the entity")
    outer = b"".join(render_field(name, value) for name, value in headers)
    return outer + b"MIME-Version: 1.0\r\n" + sign_entity(protect(headers, entity), signer, now)


def sign_entity(entity: bytes, signer: Signer, now: datetime) -> bytes:
    """Return the multipart/signed entity over `entity` as it is, beginning with its Content-Type (RFC 8551
    §3.5.3). Raises SigningFault.
    """
    _check_lines(entity)
    boundary = f"=_tle_{hashlib.sha256(entity).hexdigest()[:40]}"
    return b"".join(
        (
            b'Content-Type: multipart/signed; protocol="application/pkcs7-signature";\r\n',
            f' micalg="{signer.micalg}";\r\n boundary="{boundary}"\r\n\r\n'.encode(),
            f"--{boundary}\r\n".encode(),
            entity,
            f"\r\n--{boundary}\r\n".encode(),
            b'Content-Type: application/pkcs7-signature; name="smime.p7s"\r\n',
            b"Content-Transfer-Encoding: base64\r\n",
            b'Content-Disposition: attachment; filename="smime.p7s"\r\n\r\n',
            base64.encodebytes(sign_detached(entity, (signer,), now)).replace(b"\n", b"\r\n"),
            f"--{boundary}--\r\n".encode(),
        )
    )


def sign_complete(message: bytes, signer: Signer, now: datetime) -> bytes:
    """Sign a complete message (CRLF, such as `EmailMessage.as_bytes(policy=SMTP)` gives): see `sign_message`.

    Its Content-* fields become the signed entity's, all others stay the message's. Raises SigningFault,
    FieldFault.
    """
    headers, entity = split_complete(message)
    return sign_message(headers, entity, signer, now)


def split_complete(message: bytes) -> tuple[list[tuple[str, str]], bytes]:
    """Split a complete message (CRLF) into its own fields and the MIME entity that its Content-* fields
    describe; the body stays as it is. Raises SigningFault, FieldFault.
    """
    fields, body = split_message(message)
    inner = [field for field in fields if field.key.startswith("content-")]
    headers = [
        (field.name, field.text) for field in fields if field not in inner and field.key != "mime-version"
    ]
    lines = b"".join(render_field(field.name, field.text) for field in inner)
    return headers, lines + b"\r\n" + message[body:]


def _check_lines(entity: bytes) -> None:
    """Hold an entity to what survives transport unchanged (RFC 8551 §3.1.3). Raises SigningFault."""
    if not entity.isascii() or b"\x00" in entity:
        raise SigningFault("the entity is not 7-bit: encode it as base64 or quoted-printable")
    if not entity.count(b"\r\n") == entity.count(b"\r") == entity.count(b"\n"):
        raise SigningFault("the entity has line ends other than CRLF")
    start, longest = 0, MAXIMUM_LINE + 2
    while len(entity) - start > MAXIMUM_LINE:  # from the last line end of a line's length to the next such
        end = entity.rfind(b"\n", start, start + longest)
        if end < 0:
            raise SigningFault("the entity has a line longer than 998 octets")
        start = end + 1


def verify_message(
    raw: bytes,
    trust: TrustAnchors,
    now: datetime,
    cache: PathCache | None = None,
    in_clear: bool = False,
) -> SignatureReport:
    """Judge the S/MIME signature over the whole body of a message as it was received. Total: any octets give
    a report.

    Passed means: every signature and certificate path holds, and the one From address is the signer's. A
    message that is not signed as a whole has verdict none. Octets must be in CRLF form. `cache` remembers
    paths of signers from one message to the next. `in_clear` says that the message came unencrypted: what
    it was meant to hide is noted as lost then, and excuses no difference (RFC 9788 §4.3).
    """
    try:
        fields, body = split_message(raw)
    except FieldFault as fault:
        if claims_signature(raw[:MAXIMUM_HEADER]):
            return SignatureReport(Verdict.FAILED, Reason.MALFORMED, str(fault))
        return SignatureReport(Verdict.NONE, Reason.UNSIGNED, str(fault))
    try:
        found = find_signature(raw, fields, body)
        if isinstance(found, Unsigned):
            return SignatureReport(Verdict.NONE, found.reason)
        if isinstance(found, Opaque) and content_type(found.cms) in _ENCRYPTED:
            return SignatureReport(Verdict.NONE, Reason.ENCRYPTED)
        signed = read_signed_data(found.cms)
        entity = _signed_entity(found, signed)
    except FieldFault as fault:
        return SignatureReport(Verdict.FAILED, Reason.MALFORMED, str(fault))
    except CmsFault as fault:
        verdict = Verdict.NONE if fault.reason is Reason.CERTIFICATES_ONLY else Verdict.FAILED
        return SignatureReport(verdict, fault.reason, str(fault))
    signers = tuple(
        _judge_signer(checked, signed, trust, now, cache) for checked in check_signers(signed, entity)
    )
    decisive = worst(signers)
    if decisive.verdict is not Verdict.PASSED:
        return SignatureReport(decisive.verdict, decisive.reason, decisive.detail, signers, entity=entity)
    return _judge_author(fields, entity, signers, trust, now, in_clear)


_ENCRYPTED = frozenset({"enveloped_data", "authenticated_enveloped_data", "encrypted_data"})


def _signed_entity(found: Detached | Opaque, signed: SignedData) -> bytes:
    """Return what was signed: exactly one of detached and encapsulated content (CVE-2018-18509). Raises
    CmsFault.
    """
    if isinstance(found, Detached):
        if signed.content is not None:
            raise CmsFault(Reason.CONTENT_TWICE, "detached signature with content of its own")
        return found.entity
    if signed.content is None:
        raise CmsFault(Reason.CONTENT_MISSING, "opaque signature without content")
    return signed.content


def _judge_signer(
    checked: CheckedSigner, signed: SignedData, trust: TrustAnchors, now: datetime, cache: PathCache | None
) -> SignerReport:
    """Add the certificate path to what the signature is worth."""
    verdict, reason, detail = Verdict.FAILED, checked.reason, checked.detail
    if checked.certificate is None:
        return SignerReport(verdict, reason, detail, signing_time=checked.signing_time)
    if reason is Reason.GENUINE:
        path = validate(
            checked.certificate,
            signed.certificates,
            trust,
            Usage.EMAIL_SIGNATURE,
            now,
            checked.signing_time,
            cache,
        )
        verdict, reason, detail = path.verdict, path.reason, path.detail
    try:
        names = _names(checked.certificate) if cache is None else cache.names(checked.certificate, _names)
    except DECODING_ERRORS:
        return SignerReport(Verdict.FAILED, Reason.MALFORMED, "the signer's names cannot be decoded")
    return SignerReport(
        verdict,
        reason,
        detail,
        names.subject,
        names.issuer,
        names.serial,
        names.addresses,
        checked.signing_time,
        names.fingerprint,
        checked.capabilities if verdict is Verdict.PASSED else b"",
    )


def _names(der: bytes) -> CertificateNames:
    certificate = x509.Certificate.load(der)
    return CertificateNames(
        DistinguishedName.from_asn1(certificate.subject).text,
        DistinguishedName.from_asn1(certificate.issuer).text,
        certificate.serial_number,
        certificate_addresses(certificate),
        hashlib.sha256(der).hexdigest(),
    )


def certificate_addresses(certificate: Any) -> tuple[str, ...]:
    """Return the mail addresses of a certificate in lower case: alternative names and emailAddress (RFC 8550
    §3).
    """
    alternative = certificate.subject_alt_name_value
    found = [name.native for name in alternative or () if name.name == "rfc822_name"]
    for relative in certificate.subject.chosen:
        found += [part["value"].native for part in relative if part["type"].native == "email_address"]
    return tuple(dict.fromkeys(address.lower() for address in found if isinstance(address, str)))


def _judge_author(
    fields: Sequence[Field],
    entity: bytes,
    signers: tuple[SignerReport, ...],
    trust: TrustAnchors,
    now: datetime,
    in_clear: bool,
) -> SignatureReport:
    """Hold the author who is shown against the signers, and the outer header against the protected one."""

    def failed(reason: Reason, detail: str) -> SignatureReport:
        return SignatureReport(Verdict.FAILED, reason, detail, signers, entity=entity)

    try:
        author = _author(fields)
        protected = _protected(entity)
        inner = None if protected is None else _author(protected.fields)
    except FieldFault as fault:
        missing = not any(field.key == "from" for field in fields)
        return failed(Reason.FROM_MISSING if missing else Reason.FROM_AMBIGUOUS, str(fault))
    if inner is not None and inner.address.lower() != author.address.lower():
        return failed(Reason.FROM_DIFFERS, "the protected From is another")
    reason = _bind(author, signers, trust)
    if reason is not None:
        return failed(reason, "no signer may write for the From address")
    believed = fields if protected is None else protected.fields
    if not _dates_agree(believed, signers, now):
        return failed(Reason.DATE_DIFFERS, "Date is more than an hour from the signing time")
    exposed = protected is not None and protected.confidential and in_clear
    if protected is not None and exposed:  # it hid nothing, so nothing of it excuses a difference
        protected = replace(protected, outer=())
    differences = () if protected is None else differing(fields, protected)
    notes = [Note.HEADERS_DIFFER] if differences else []
    shown = [author] if inner is None else [author, inner]
    if any(shows_other_address(one.name, one.address) for one in shown):
        notes.append(Note.DISPLAY_NAME_ADDRESS)
    if _names_other_sender(believed, author) or _names_other_sender(fields, author):
        notes.append(Note.SENDER_DIFFERS)
    if exposed:
        notes.append(Note.MEANT_TO_BE_ENCRYPTED)
    headers = () if protected is None else tuple((field.name, field.text) for field in protected.fields)
    return SignatureReport(
        Verdict.PASSED, Reason.GENUINE, "", signers, headers, differences, tuple(notes), entity
    )


def _protected(entity: bytes) -> ProtectedHeaders | None:
    """Read protected headers; content that is no readable MIME entity has none, the signature over it still
    holds.
    """
    try:
        return read_protected(entity)
    except FieldFault:
        if _CLAIMS_PROTECTION.search(entity, 0, MAXIMUM_HEADER) is not None:
            raise
        return None


def _author(fields: Sequence[Field]) -> Mailbox:
    """Return the one address of the one From field (RFC 5322 §3.6.2, without its list form). Raises
    FieldFault.
    """
    values = [field.value for field in fields if field.key == "from"]
    if len(values) != 1:
        raise FieldFault(f"{len(values)} From fields")
    return parse_mailbox(values[0])


def _bind(author: Mailbox, signers: Sequence[SignerReport], trust: TrustAnchors) -> Reason | None:
    """Say why no signer is the author, None when one is (RFC 8550 §3).

    Local parts are compared without case: the trust space writes them in lower case, people do not.
    """
    reason = Reason.SENDER_UNBOUND
    for signer in signers:
        if author.address.lower() in signer.addresses:
            return None
        if signer.addresses:
            reason = Reason.FROM_DIFFERS
            continue
        try:
            issuer, subject = (
                DistinguishedName.from_text(signer.issuer),
                DistinguishedName.from_text(signer.subject),
            )
        except NameFault:
            continue
        if author.domain in trust.domains_bound_to(issuer, subject):
            return None
    return reason


def _dates_agree(fields: Sequence[Field], signers: Sequence[SignerReport], now: datetime) -> bool:
    """Hold Date against the signing times; where there is none, is none readable or are two, `now` stands for
    it: the reader is shown when the message came, and an old one sent again would look new.
    """
    dates = [field.text for field in fields if field.key == "date"]
    times = [signer.signing_time for signer in signers if signer.signing_time is not None]
    moment = now
    try:
        [text] = dates
        date = parsedate_to_datetime(text)
        moment = date.replace(tzinfo=UTC) if date.tzinfo is None else date
    except DECODING_ERRORS:
        pass
    return not times or any(abs(moment - time) <= DATE_TOLERANCE for time in times)


def _names_other_sender(fields: Sequence[Field], author: Mailbox) -> bool:
    """Tell whether a Sender field is there that is not the author's address (RFC 5322 §3.6.2)."""
    for field in fields:
        if field.key == "sender":
            try:
                if parse_mailbox(field.value).address.lower() != author.address.lower():
                    return True
            except FieldFault:
                return True
    return False


def shows_other_address(name: str, address: str) -> bool:
    """Tell whether a display name, encoded or decoded, holds an address that is not the sender's own."""
    try:
        shown = str(make_header(decode_header(name)))
    except (HeaderParseError, LookupError, *DECODING_ERRORS):  # LookupError: a charset that nobody knows
        shown = name
    return any(found.lower() != address.lower() for found in _ADDRESS_IN_NAME.findall(shown))
