"""What decides about trust, as targets that are counted: a million inputs among them in one run.

Seeds are made with our own test authority, and taken from the published vectors where those are beside the
project.
"""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from certs.authority import issue_crl
from certs.cms import CmsFault, check_signers, read_signed_data
from certs.entities import find_signature
from certs.fields import FieldFault, parse_mailbox, split_message
from certs.legacydisplay import without_legacy_html, without_legacy_text
from certs.names import DistinguishedName, NameFault
from certs.operators import TrustEntry, TrustListFault, read_trust_list, render_trust_list
from certs.pathcache import PathCache
from certs.paths import TrustFault, Usage, load_anchors, read_certificates, validate
from certs.protection import differing, read_protected
from certs.results import remove_forged
from certs.signing import sign_detached
from certs.smime import sign_message, verify_message
from gateway.intake.faults import IntakeFault
from gateway.intake.letter import read_letter
from gateway.intake.limits import IntakeLimits
from tests.fuzz.mutation import mutated_lines, mutated_octets, mutated_values
from tests.fuzz.targets import Target
from tests.support import certificates

__all__ = ["trust_targets"]

MOST_SEEDS = 120
LARGEST_SEED = 40_000
_SHARED = Path(os.environ.get("TLE_SHARED") or Path(__file__).resolve().parents[3] / "shared") / "vectors"


def _vectors(*patterns: str) -> Iterator[bytes]:
    """Published files, the same ones in each run; none where they are not beside the project."""
    found = sorted(path for pattern in patterns for path in _SHARED.glob(pattern) if path.is_file())
    for path in found[:: max(1, len(found) // MOST_SEEDS)]:
        octets = path.read_bytes()
        if len(octets) <= LARGEST_SEED:
            yield octets


def _mails() -> tuple[bytes, ...]:
    headers, entity, now = certificates.headers(), certificates.ENTITY, certificates.NOW
    signers = [certificates.signer(kind) for kind in ("rsa", "p256", "ed25519")]
    signed = [sign_message(headers, entity, signer, now) for signer in signers]
    structure = _opaque(sign_detached(entity, signers[:1], now), entity)
    top = b"".join(f"{name}: {value}\r\n".encode() for name, value in headers)
    opaque = (
        top
        + b"Content-Type: application/pkcs7-mime; smime-type=signed-data\r\n"
        + b"Content-Transfer-Encoding: base64\r\n"
        + b"\r\n" + base64.encodebytes(structure).replace(b"\n", b"\r\n")
    )  # fmt: skip
    mixed = (
        top + b"Content-Type: multipart/mixed; boundary=out\r\n\r\n--out\r\n" + signed[0] + b"\r\n--out--\r\n"
    )
    others = (re.sub(rb"(?<!\r)\n", b"\r\n", mail) for mail in _vectors("thunderbird/**/*.eml", "rfc*/*.eml"))
    return (*signed, opaque, mixed, *others)


def _opaque(structure: bytes, content: bytes) -> bytes:
    """The same signature with its content inside, so that the mail needs no second part."""
    from asn1crypto import cms

    info = cms.ContentInfo.load(structure)
    info["content"]["encap_content_info"]["content"] = content
    encoded: bytes = info.dump(force=True)
    return encoded


def _protected() -> tuple[bytes, ...]:
    page = (
        b'<html><body>\r\n<div class="header-protection-legacy-display"><pre>Subject: x</pre></div>a</body>'
    )
    fields = b"From: a@b.example\r\nSubject: x\r\nHP-Outer: Subject: [...]\r\nHP-Outer: From: a@b.example\r\n"
    clear = (
        b'Content-Type: text/plain; charset=utf-8; hp="clear"\r\n'
        + fields
        + b"\r\nSubject: x\r\n\r\nBonjour\r\n"
    )
    cipher = b'Content-Type: text/html; hp="cipher"; hp-legacy-display="1"\r\n' + fields + b"\r\n" + page
    signed = sign_message(
        certificates.headers(), certificates.ENTITY, certificates.signer(), certificates.NOW
    )
    return clear, cipher, signed[signed.index(b"--=_tle_") :].partition(b"\r\n")[2]


def _read_protected(octets: bytes) -> object:
    fields, body = split_message(octets)
    protected = read_protected(octets)
    text = octets[body:].decode("utf-8", "replace")
    without_legacy_text(text)
    without_legacy_html(text)
    return protected and differing(fields, protected)


def _read_fields(octets: bytes) -> object:
    fields, body = split_message(octets)
    found = find_signature(octets, fields, body)
    remove_forged(octets, "mx.demo.test")
    for field in fields:
        if field.key in ("from", "sender", "to"):
            parse_mailbox(field.value)
    return found


def _list() -> tuple[bytes, ...]:
    texts = (
        "CN=mx.a.example,OU=318310021300028,O=GIP A,ST=Haute-Garonne (31),C=FR",
        "CN=mx.b.example\\, et fils,OU=3+L=Lyon,O=« Centre » #b,ST=Côte-d'Or (21),C=FR",
    )
    names = [DistinguishedName.from_text(text) for text in texts]
    entries = [
        TrustEntry(f"{host}.mssante.example", name, "Centre & co")
        for host in ("a", "hôpital")
        for name in names
    ]
    return (render_trust_list(entries, certificates.NOW), *(text.encode() for text in texts))


def _read_list(octets: bytes) -> object:
    if octets[:3] != b"CN=":
        return read_trust_list(octets)
    return DistinguishedName.from_text(octets.decode("utf-8", "replace"))


def trust_targets() -> list[Target]:
    """The targets, with the share of the inputs that each gets."""
    trust, now, cache = certificates.trust(), certificates.NOW, PathCache()
    issued = certificates.certificate()
    own, chain = read_certificates(issued.certificate_pem)[0], read_certificates(issued.chain_pem)
    root_pem = certificates.space().root.certificate_pem
    [root] = read_certificates(root_pem)
    lists = [
        issue_crl(authority, now)
        for authority in (certificates.space().root, certificates.space().organisations)
    ]
    structures = tuple(
        sign_detached(certificates.ENTITY, [certificates.signer(*kinds) for kinds in group], now)
        for group in ((("rsa",),), (("rsa", True),), (("p256",), ("ed25519",)))
    )

    def signed_data(octets: bytes) -> object:
        signed = read_signed_data(octets)
        return check_signers(signed, certificates.ENTITY if signed.content is None else signed.content)

    def certificate(octets: bytes) -> object:
        leaf = validate(octets, [*chain, root], trust, Usage.EMAIL_SIGNATURE, now, now)
        return leaf, validate(own, [octets, *chain], trust, Usage.EMAIL_SIGNATURE, now)

    def revocations(octets: bytes) -> object:
        anchors = load_anchors(root_pem, b"", (lists[0], octets))
        return validate(own, chain, anchors, Usage.EMAIL_SIGNATURE, datetime.now(UTC))

    mails = _mails()
    bare = [*_vectors("rfc4134/*.bin", "cms-examples-ireland/binary-files/*.p7m")]
    ders = [*_vectors("pkits/certs/*.crt"), *_vectors("rfc4134/*.cer")]
    crls = [*_vectors("pkits/crls/*.crl")]
    return [
        Target("verify_message, counted", mails, lambda octets: verify_message(octets, trust, now, cache),
               (), mutated_lines, 0.25),
        Target("signed-data, counted", (*structures * 8, *bare), signed_data, (CmsFault,),
               mutated_values, 0.25),
        Target("certificates, counted", (own, *chain, root, *ders), certificate, (), mutated_values, 0.04),
        Target("revocation lists, counted", (*lists, *crls), revocations, (TrustFault,),
               mutated_values, 0.03),
        Target("trust list, counted", _list(), _read_list, (TrustListFault, NameFault), mutated_octets, 0.12),
        Target("header protection, counted", _protected(), _read_protected, (FieldFault,),
               mutated_lines, 0.15),
        Target("header fields and parts, counted", mails, _read_fields, (FieldFault,), mutated_lines, 0.11),
        Target("letters, counted", mails, lambda octets: read_letter(octets, IntakeLimits()), (IntakeFault,),
               mutated_lines, 0.05),
    ]  # fmt: skip
