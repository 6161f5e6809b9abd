"""S/MIME messages: made by us, read by us, and refused for the right reason when something is wrong."""

import base64
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest
from asn1crypto import cms, x509

from certs.authority import IssuedCertificate, Revocation, issue_crl
from certs.names import DistinguishedName
from certs.paths import RevocationMode, TrustAnchors, Usage, load_anchors, read_certificates, validate
from certs.profiles import ORG_AUTH_CLI, SERV_SSL, Profile
from certs.signing import SigningFault, load_signer, sign_detached
from certs.smime import sign_complete, sign_message, verify_message
from certs.verdicts import Note, Reason, Verdict
from tests.support.certificates import ADDRESS, ENTITY, NOW, certificate, headers, signer, space, trust


def signed(**properties: Any) -> bytes:
    return sign_message(headers(), ENTITY, signer(**properties), NOW)


def outcome(raw: bytes, believed: TrustAnchors | None = None, now: datetime = NOW) -> tuple[Verdict, Reason]:
    report = verify_message(raw, believed or trust(), now)
    return report.verdict, report.reason


@pytest.mark.parametrize(
    ("key", "pss"),
    [
        ("rsa", False),
        ("rsa", True),
        ("rsa-3072", False),
        ("p256", False),
        ("p384", False),
        ("ed25519", False),
    ],
)
def test_a_message_signed_by_us_is_passed_and_names_its_signer(key: str, pss: bool) -> None:
    report = verify_message(signed(key=key, pss=pss), trust(), NOW)
    assert (report.verdict, report.reason) == (Verdict.PASSED, Reason.GENUINE)
    [who] = report.signers
    assert who.addresses == (ADDRESS,)
    assert who.subject.startswith("CN=signature.demo.mssante.example,OU=300000000000017,O=CLINIQUE DE TEST")
    assert who.issuer.startswith("CN=EL-TEST ORGANISATIONS")
    assert who.signing_time == NOW
    assert len(who.fingerprint) == 64


def test_the_header_is_protected_and_the_body_is_the_entity_as_given() -> None:
    report = verify_message(signed(), trust(), NOW)
    assert dict(report.protected_headers)["Subject"] == "[TLE-2026-000123 - en cours]"
    assert dict(report.protected_headers)["X-TLE-Id"] == "5b0c8d0e-0000-4000-8000-000000000001"
    assert report.differing_headers == ()
    assert report.notes == ()
    assert report.entity is not None
    assert report.entity.endswith(ENTITY.partition(b"\r\n\r\n")[2])
    assert b'hp="clear"' in report.entity


def test_the_same_input_gives_the_same_octets() -> None:
    assert signed() == signed()


def test_the_message_is_multipart_signed_in_crlf_with_short_lines() -> None:
    raw = signed()
    assert b'protocol="application/pkcs7-signature"' in raw
    assert b'micalg="sha-256"' in raw
    assert b'name="smime.p7s"' in raw
    assert raw.count(b"\n") == raw.count(b"\r\n") == raw.count(b"\r")
    assert max(map(len, raw.split(b"\r\n"))) <= 998


def test_a_complete_message_keeps_its_header_and_signs_its_content() -> None:
    complete = (
        b"".join(f"{name}: {value}\r\n".encode() for name, value in headers())
        + b"MIME-Version: 1.0\r\n"
        + ENTITY
    )
    assert sign_complete(complete, signer(), NOW) == signed()


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (b"Bonjour", b"Bonsoir", Reason.DIGEST_WRONG),
        (b"b=C3=A9nigne. \r\n", b"b=C3=A9nigne.\r\n", Reason.DIGEST_WRONG),
        (b"Content-Type: image/jpeg", b"content-type: image/jpeg", Reason.DIGEST_WRONG),
    ],
)
def test_any_change_of_the_signed_part_fails(old: bytes, new: bytes, reason: Reason) -> None:
    assert outcome(signed().replace(old, new)) == (Verdict.FAILED, reason)


def test_a_changed_signature_fails() -> None:
    raw = signed()
    start = raw.index(b"\r\n\r\n", raw.index(b"smime.p7s")) + 4
    end = raw.rindex(b"\r\n--")
    last = raw[:end].rstrip(b"=").rindex(b"\r\n") + 2
    assert start < last
    broken = raw[:last] + (b"B" if raw[last : last + 1] == b"A" else b"A") + raw[last + 1 :]
    assert outcome(broken) == (Verdict.FAILED, Reason.SIGNATURE_WRONG)


def test_a_changed_outer_subject_is_noted_and_the_protected_one_is_reported() -> None:
    raw = signed().replace(b"Subject: [TLE-2026-000123 - en cours]", b"Subject: [SPAM]", 1)
    report = verify_message(raw, trust(), NOW)
    assert report.verdict is Verdict.PASSED
    assert report.differing_headers == ("subject",)
    assert report.notes == (Note.HEADERS_DIFFER,)
    assert dict(report.protected_headers)["Subject"].startswith("[TLE-")


def test_a_reply_to_added_outside_is_noted() -> None:
    report = verify_message(b"Reply-To: mallory@autre.example\r\n" + signed(), trust(), NOW)
    assert report.differing_headers == ("reply-to",)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda raw: raw.replace(ADDRESS.encode(), b"mallory@demo.mssante.example", 1), Reason.FROM_DIFFERS),
        (lambda raw: b"From: mallory@autre.example\r\n" + raw, Reason.FROM_AMBIGUOUS),
        (lambda raw: raw.replace(b"From:", b"X-From:", 1), Reason.FROM_MISSING),
        (
            lambda raw: raw.replace(
                b"<" + ADDRESS.encode() + b">", b"<a@b.example>, <" + ADDRESS.encode() + b">", 1
            ),
            Reason.FROM_AMBIGUOUS,
        ),
    ],
)
def test_exactly_one_from_that_is_the_signers(change: Callable[[bytes], bytes], reason: Reason) -> None:
    assert outcome(change(signed())) == (Verdict.FAILED, reason)


@pytest.mark.parametrize(
    "value",
    [
        "alice@example.org)mallory@autre.example",
        "<alice@example.org> mallory@autre.example",
        "Groupe: alice@example.org;",
        "<@relais.example:alice@example.org>",
        "alice@example.org, ",
        "",
    ],
)
def test_from_values_on_which_parsers_disagree_are_refused(value: str) -> None:
    raw = re.sub(rb"\AFrom:[^\r]*(?:\r\n[ \t][^\r]*)*", b"From: " + value.encode(), signed())
    assert outcome(raw) == (Verdict.FAILED, Reason.FROM_AMBIGUOUS)


def test_a_display_name_with_another_address_is_noted() -> None:
    named = [("From", f'"dr.martin@hopital.example" <{ADDRESS}>'), *headers()[1:]]
    report = verify_message(sign_message(named, ENTITY, signer(), NOW), trust(), NOW)
    assert report.verdict is Verdict.PASSED
    assert Note.DISPLAY_NAME_ADDRESS in report.notes


@pytest.mark.parametrize(
    "name", ["=?utg-8?q?Dr?= Martin", "=?x-inconnu?b?w6k=?=", '"Dr ' + "%00" * 60_000 + '"']
)
def test_a_display_name_that_nobody_can_read_or_that_never_ends_changes_nothing(name: str) -> None:
    body = signed().partition(b"\r\n")[2].partition(b"\r\nTo:")[2]
    report = verify_message(f"From: {name} <{ADDRESS}>\r\nTo:".encode() + body, trust(), NOW)
    assert report.verdict is Verdict.PASSED
    assert Note.DISPLAY_NAME_ADDRESS not in report.notes


def test_the_address_is_compared_without_case() -> None:
    assert (
        outcome(sign_message(headers("TeleExpertise@DEMO.mssante.example"), ENTITY, signer(), NOW))[0]
        is Verdict.PASSED
    )


def test_a_certificate_without_address_needs_a_binding() -> None:
    raw = signed(address=None)
    assert outcome(raw) == (Verdict.FAILED, Reason.SENDER_UNBOUND)
    issuer = DistinguishedName.from_asn1(_leaf(certificate()).issuer)
    part = DistinguishedName.from_text("OU=300000000000017,O=Clinique de TEST")
    bound = trust(bindings={(issuer, part): frozenset({"demo.mssante.example"})})
    assert outcome(raw, bound) == (Verdict.PASSED, Reason.GENUINE)
    elsewhere = trust(bindings={(issuer, part): frozenset({"autre.mssante.example"})})
    assert outcome(raw, elsewhere) == (Verdict.FAILED, Reason.SENDER_UNBOUND)


def _leaf(issued: IssuedCertificate) -> Any:
    return x509.Certificate.load(read_certificates(issued.certificate_pem)[0])


# -- what is signed must be what is shown


def test_a_message_that_is_not_signed_has_verdict_none() -> None:
    plain = b"From: a@b.example\r\nContent-Type: text/plain; name=un nom sans guillemets\r\n\r\nBonjour\r\n"
    assert outcome(plain) == (Verdict.NONE, Reason.UNSIGNED)
    pgp = signed().replace(b"application/pkcs7-signature", b"application/pgp-signature")
    assert outcome(pgp) == (Verdict.NONE, Reason.UNSIGNED)


def test_text_outside_of_the_signed_part_makes_the_message_not_signed() -> None:
    raw = signed()
    top, _, rest = raw.partition(b"MIME-Version: 1.0\r\n")
    footer = b"--liste\r\n\r\n_____\r\nListe de diffusion\r\n--liste--\r\n"
    listed = (
        top + b"Content-Type: multipart/mixed; boundary=liste\r\n\r\n--liste\r\n" + rest + b"\r\n" + footer
    )
    assert outcome(listed) == (Verdict.NONE, Reason.PARTLY_SIGNED)


def test_a_third_part_makes_the_message_not_signed() -> None:
    raw = signed()
    [boundary] = re.findall(rb'boundary="(=_tle_[^"]+)"', raw)
    added = raw.replace(
        b"--" + boundary + b"--", b"--" + boundary + b"\r\n\r\nAjout\r\n--" + boundary + b"--"
    )
    assert outcome(added) == (Verdict.NONE, Reason.PARTLY_SIGNED)


def test_two_content_types_are_refused() -> None:
    raw = b"Content-Type: text/plain\r\n" + signed()
    assert outcome(raw) == (Verdict.FAILED, Reason.MALFORMED)


def test_base64_with_foreign_characters_is_refused() -> None:
    raw = signed()
    at = raw.index(b"\r\n\r\n", raw.index(b'filename="smime.p7s"')) + 8
    assert outcome(raw[:at] + b"!" + raw[at:]) == (Verdict.FAILED, Reason.MALFORMED)


def test_a_detached_signature_with_content_of_its_own_is_refused() -> None:
    raw = signed()
    entity = verify_message(raw, trust(), NOW).entity or b""
    info = cms.ContentInfo.load(sign_detached(entity, [signer()], NOW))
    info["content"]["encap_content_info"]["content"] = b"autre chose"
    forged = _resigned(raw, info.dump(force=True))
    assert outcome(forged) == (Verdict.FAILED, Reason.CONTENT_TWICE)


# -- certificates and time


def test_an_unknown_root_is_not_believed() -> None:
    assert outcome(signed(which="AUTRE")) == (Verdict.FAILED, Reason.UNTRUSTED)


def test_an_expired_certificate_fails_now_and_at_the_signing_time() -> None:
    old = NOW - timedelta(days=3 * 365 - 1)  # ends tomorrow
    raw = signed(issued=old)
    assert outcome(raw) == (Verdict.PASSED, Reason.GENUINE)
    later = NOW + timedelta(days=2)
    fresh = trust(issued=later)
    assert outcome(raw, fresh, later) == (Verdict.FAILED, Reason.EXPIRED)


def test_a_signing_time_before_the_certificate_fails() -> None:
    raw = sign_message(headers(), ENTITY, signer(), NOW - timedelta(hours=6))
    assert outcome(raw) == (Verdict.FAILED, Reason.NOT_YET_VALID)


def test_a_signing_time_in_the_future_fails() -> None:
    raw = sign_message(headers(), ENTITY, signer(), NOW + timedelta(hours=3))
    assert outcome(raw) == (Verdict.FAILED, Reason.SIGNED_IN_FUTURE)


def test_a_date_far_from_the_signing_time_fails() -> None:
    dated = [
        (name, "Mon, 02 Feb 2026 10:00:00 +0100" if name == "Date" else value) for name, value in headers()
    ]
    assert outcome(sign_message(dated, ENTITY, signer(), NOW)) == (Verdict.FAILED, Reason.DATE_DIFFERS)


@pytest.mark.parametrize("mode", RevocationMode)
@pytest.mark.parametrize("crls", [("root", "organisations"), ("organisations",)])
def test_a_revoked_certificate_fails_whatever_else_is_unknown(
    mode: RevocationMode, crls: tuple[str, ...]
) -> None:
    serial = _leaf(certificate()).serial_number
    believed = trust(revoked=(serial,), crls=crls, revocation=mode)
    assert outcome(signed(), believed) == (Verdict.FAILED, Reason.REVOKED)


def test_a_revoked_intermediate_fails() -> None:
    here = space()
    lines = [Revocation(here.organisations.certificate.serial_number, NOW - timedelta(hours=2))]
    crls = [issue_crl(here.root, NOW, lines), issue_crl(here.organisations, NOW)]
    believed = load_anchors(here.root.certificate_pem, b"", crls)
    assert outcome(signed(), believed) == (Verdict.FAILED, Reason.REVOKED)


def test_without_a_current_crl_the_verdict_is_indeterminate_or_as_configured() -> None:
    assert outcome(signed(), trust(crls=("root",))) == (Verdict.INDETERMINATE, Reason.REVOCATION_UNKNOWN)
    tolerant = trust(crls=(), revocation=RevocationMode.WHEN_KNOWN)
    assert outcome(signed(), tolerant) == (Verdict.PASSED, Reason.GENUINE)


def test_a_crl_is_used_until_its_grace_ends() -> None:
    issued = NOW - timedelta(days=3)
    ended: dict[str, Any] = {"issued": issued, "lifetime": timedelta(days=2)}
    assert outcome(signed(), trust(grace=timedelta(days=2), **ended))[0] is Verdict.PASSED
    stale = trust(grace=timedelta(hours=1), **ended)
    assert outcome(signed(), stale) == (Verdict.INDETERMINATE, Reason.REVOCATION_UNKNOWN)


@pytest.mark.parametrize("profile", [SERV_SSL, ORG_AUTH_CLI])
def test_a_certificate_for_tls_may_not_sign_mail(profile: Profile) -> None:
    assert outcome(signed(profile=profile)) == (Verdict.FAILED, Reason.USAGE)


def test_a_certificate_for_mail_may_not_open_a_connection() -> None:
    der = read_certificates(certificate().certificate_pem)[0]
    chain = read_certificates(certificate().chain_pem)
    assert validate(der, chain, trust(), Usage.TLS_CLIENT, NOW).reason is Reason.USAGE
    server = read_certificates(certificate(profile=SERV_SSL).certificate_pem)[0]
    assert validate(server, chain, trust(), Usage.TLS_CLIENT, NOW).verdict is Verdict.PASSED
    assert validate(server, chain, trust(), Usage.TLS_SERVER, NOW).verdict is Verdict.PASSED


def test_every_signer_must_hold() -> None:
    raw = signed()
    entity = verify_message(raw, trust(), NOW).entity or b""
    both = _resigned(raw, sign_detached(entity, [signer(), signer("p256")], NOW))
    report = verify_message(both, trust(), NOW)
    assert report.verdict is Verdict.PASSED
    assert len(report.signers) == 2
    stranger = _resigned(raw, sign_detached(entity, [signer(), signer(which="AUTRE")], NOW))
    assert outcome(stranger) == (Verdict.FAILED, Reason.UNTRUSTED)


def _resigned(raw: bytes, cms: bytes) -> bytes:
    start = raw.index(b"\r\n\r\n", raw.index(b'filename="smime.p7s"')) + 4
    end = raw.rindex(b"\r\n--")
    return raw[:start] + base64.encodebytes(cms).replace(b"\n", b"\r\n").rstrip() + raw[end:]


def test_many_threads_share_the_anchors() -> None:
    believed, raw = trust(), signed()
    with ThreadPoolExecutor(8) as pool:
        reports = list(pool.map(lambda _: verify_message(raw, believed, NOW), range(200)))
    assert {report.verdict for report in reports} == {Verdict.PASSED}


# -- what cannot be signed


@pytest.mark.parametrize(
    "entity",
    [
        "Content-Type: text/plain\r\n\r\né\r\n".encode(),
        b"Content-Type: text/plain\r\n\r\na\nb\r\n",
        b"Content-Type: text/plain\r\n\r\n" + b"a" * 999 + b"\r\n",
        b'Content-Type: text/plain; hp="clear"\r\n\r\na\r\n',
        b"Subject: deux fois\r\n\r\na\r\n",
    ],
)
def test_what_transport_would_alter_is_not_signed(entity: bytes) -> None:
    with pytest.raises(SigningFault):
        sign_message(headers(), entity, signer(), NOW)


@pytest.mark.parametrize("value", ["a\r\nBcc: x@y.example", "é", "a\x00b", "x" * 1200])
def test_header_values_cannot_break_out(value: str) -> None:
    with pytest.raises(SigningFault):
        sign_message([*headers(), ("X-TLE-Ref", value)], ENTITY, signer(), NOW)


def test_bcc_and_delivery_fields_are_not_copied_into_the_signed_part() -> None:
    raw = sign_message(
        [*headers(), ("Bcc", "secret@autre.example"), ("X-TLE-Delivery", "clef")], ENTITY, signer(), NOW
    )
    report = verify_message(raw, trust(), NOW)
    assert report.verdict is Verdict.PASSED
    assert not {"Bcc", "X-TLE-Delivery"} & set(dict(report.protected_headers))


def test_a_key_of_another_certificate_is_refused() -> None:
    one, other = certificate(), certificate("rsa-3072")
    with pytest.raises(SigningFault):
        load_signer(one.certificate_pem, other.key_pem)
    with pytest.raises(SigningFault):
        load_signer(b"rien", one.key_pem)
