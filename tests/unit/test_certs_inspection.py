"""What a certificate may do here: a sentence for each reason why not."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from certs.authority import Revocation, SubjectNames, create_intermediate, issue, issue_crl, key_pem, subject
from certs.inspection import (
    Ability,
    Inspection,
    InspectionFault,
    Role,
    Surroundings,
    inspect_certificate,
    inspect_list,
)
from certs.names import DistinguishedName
from certs.operators import TrustEntry, read_trust_list, render_trust_list
from certs.paths import RevocationMode, TrustAnchors, read_certificates, validate
from certs.profiles import ORG_AUTH_CLI, ORG_CONF, ORG_SIGN, PERSON_SIGN, SERV_SSL, Profile
from certs.verdicts import Verdict
from tests.support.certificates import ADDRESS, NOW, certificate, space, trust

HOST = "mx.a.mssante.example"


def der(
    profile: Profile = ORG_SIGN,
    key: str = "p256",
    address: str | None = ADDRESS,
    which: str = "EL-TEST",
    hosts: tuple[str, ...] = (),
    common_name: str = "signature.demo.mssante.example",
) -> bytes:
    made = certificate(key, address, profile, which=which, hosts=hosts, common_name=common_name)
    return read_certificates(made.certificate_pem)[0]


def operator() -> bytes:
    return der(SERV_SSL, "rsa", None, hosts=(HOST,), common_name=HOST)


OPERATOR_NAME = DistinguishedName.from_text(
    f"CN={HOST},OU=300000000000017,O=CLINIQUE DE TEST,ST=Haute-Loire (43),C=FR"
)
OTHER_NAME = DistinguishedName.from_text("CN=mx.b.example,OU=1430000017,O=CH B,C=FR")


def around(believed: TrustAnchors | None = None, **changes: object) -> Surroundings:
    """The first space is believed, its intermediate known, and the list names the operator for its domain."""
    listed = [TrustEntry("a.mssante.example", OPERATOR_NAME), TrustEntry("b.example", OTHER_NAME)]
    known = replace(believed or trust(), intermediates=(intermediate(),))
    made = Surroundings(NOW, known, read_trust_list(render_trust_list(listed, NOW)))
    return replace(made, **changes)  # type: ignore[arg-type]


def intermediate() -> bytes:
    return read_certificates(space().organisations.certificate_pem)[0]


def root() -> bytes:
    return read_certificates(space().root.certificate_pem)[0]


def ability(found: Inspection, role: Role) -> Ability:
    return next(one for one in found.abilities if one.role is role)


def may(found: Inspection) -> set[Role]:
    return {one.role for one in found.abilities if one.verdict is Verdict.PASSED}


@pytest.mark.parametrize(
    ("encoded", "roles"),
    [
        (operator, {Role.OPERATOR_SERVER, Role.OPERATOR_CLIENT, Role.MACHINE_LOGIN}),
        (partial(der, ORG_AUTH_CLI, address=None), {Role.MACHINE_LOGIN}),
        (partial(der, ORG_SIGN), {Role.ORGANISATION_SIGNATURE, Role.PERSON_SIGNATURE}),
        (partial(der, ORG_CONF), {Role.ORGANISATION_ENCRYPTION}),
        (partial(der, ORG_CONF, "rsa"), {Role.ORGANISATION_ENCRYPTION}),
        (intermediate, {Role.AUTHORITY}),
        (root, {Role.AUTHORITY}),
    ],
    ids=["serv-ssl", "org-auth-cli", "org-sign", "org-conf-ec", "org-conf-rsa", "intermediate", "root"],
)
def test_each_profile_may_what_it_is_for_and_nothing_else(
    encoded: Callable[[], bytes], roles: set[Role]
) -> None:
    assert may(inspect_certificate(encoded(), around())) == roles


def test_the_facts_are_those_of_the_certificate() -> None:
    facts = inspect_certificate(operator(), around()).facts
    peer = x509.load_der_x509_certificate(operator())
    assert facts.serial == f"{peer.serial_number:x}"
    assert facts.fingerprint == peer.fingerprint(hashes.SHA256()).hex()
    assert (facts.key, facts.signature, facts.hosts) == ("RSA 2048", "sha256_rsa", (HOST,))
    assert facts.extended_key_usage == ("serverAuth", "clientAuth")
    assert facts.key_usage == ("digitalSignature", "keyEncipherment")
    assert DistinguishedName.from_text(facts.subject) == OPERATOR_NAME


@pytest.mark.parametrize(
    ("encoded", "role", "why"),
    [
        (partial(der, ORG_SIGN), Role.OPERATOR_CLIENT, "extended key usage lacks clientAuth"),
        (partial(der, ORG_SIGN), Role.OPERATOR_SERVER, "extended key usage lacks serverAuth"),
        (partial(der, ORG_SIGN), Role.ORGANISATION_ENCRYPTION, "key usage lacks keyAgreement"),
        (partial(der, ORG_SIGN, "rsa"), Role.ORGANISATION_ENCRYPTION, "key usage lacks keyEncipherment"),
        (
            partial(der, ORG_SIGN, "ed25519"),
            Role.ORGANISATION_ENCRYPTION,
            "a key of kind ed25519 cannot encrypt",
        ),
        (
            partial(der, ORG_CONF),
            Role.ORGANISATION_SIGNATURE,
            "key usage lacks digitalSignature or nonRepudiation",
        ),
        (operator, Role.ORGANISATION_SIGNATURE, "extended key usage lacks emailProtection"),
        (operator, Role.AUTHORITY, "basic constraints do not make it an authority"),
        (intermediate, Role.OPERATOR_SERVER, "it is the certificate of an authority"),
        (
            partial(der, ORG_SIGN, address=None),
            Role.ORGANISATION_SIGNATURE,
            "it has no mail address, and no binding of the settings names it",
        ),
        (
            partial(der, ORG_SIGN, address=None),
            Role.PERSON_SIGNATURE,
            "it has no mail address, so that no From can be its holder's",
        ),
        (
            partial(der, SERV_SSL, "rsa", None, hosts=("mx.b.example",), common_name="other"),
            Role.OPERATOR_CLIENT,
            "no domain of the trust list lists this DN",
        ),
        (
            partial(der, SERV_SSL, "rsa", None, hosts=("mx.b.example",), common_name="other"),
            Role.OPERATOR_CLIENT,
            "domain b.example lists another DN",
        ),
        (partial(der, which="OTHER"), Role.ORGANISATION_SIGNATURE, "no path to the configured anchors"),
        (partial(der, key="rsa-1024"), Role.ORGANISATION_SIGNATURE, "key RSA 1024: too weak"),
    ],
)
def test_why_not_is_a_sentence(encoded: Callable[[], bytes], role: Role, why: str) -> None:
    found = ability(inspect_certificate(encoded(), around()), role)
    assert found.verdict is Verdict.FAILED
    assert why in found.reasons


def test_a_domain_that_is_asked_for_is_answered() -> None:
    answers = {
        domain: ability(inspect_certificate(operator(), around(domain=domain)), Role.OPERATOR_CLIENT)
        for domain in ("A.mssante.example", "b.example", "c.example", "..")
    }
    assert answers["A.mssante.example"].verdict is Verdict.PASSED
    assert answers["b.example"].reasons == ("domain b.example lists another DN",)
    assert answers["c.example"].reasons == ("domain c.example is not in the trust list",)
    assert answers[".."].reasons == ("the domain asked for is none",)


def test_a_revoked_certificate_may_nothing_and_its_date_is_told() -> None:
    serial = x509.load_der_x509_certificate(operator()).serial_number
    found = inspect_certificate(operator(), around(trust(revoked=(serial,))))
    assert not found.useful
    told = f"revoked on {NOW - timedelta(hours=2):%Y-%m-%d %H:%M:%SZ}"
    assert all(any(reason.startswith(told) for reason in one.reasons) for one in found.abilities)


def test_without_a_current_crl_nothing_is_known_unless_it_is_not_required() -> None:
    found = ability(inspect_certificate(operator(), around(trust(crls=()))), Role.OPERATOR_CLIENT)
    assert found.verdict is Verdict.INDETERMINATE
    assert found.reasons == ("no current CRL tells whether it, or an authority above it, is revoked",)
    lenient = around(trust(crls=(), revocation=RevocationMode.WHEN_KNOWN))
    assert Role.OPERATOR_CLIENT in may(inspect_certificate(operator(), lenient))


@pytest.mark.parametrize(
    ("moment", "why"),
    [(timedelta(days=1200), "expired on "), (timedelta(days=-300), "valid from ")],
)
@pytest.mark.parametrize("anchored", [True, False])
def test_time_is_told_once_with_and_without_anchors(moment: timedelta, why: str, anchored: bool) -> None:
    changed = around(trust(lifetime=timedelta(days=3000)), now=NOW + moment)
    found = inspect_certificate(operator(), changed if anchored else replace(changed, trust=None))
    reasons = ability(found, Role.OPERATOR_CLIENT).reasons
    assert sum(reason.startswith(why) for reason in reasons) == 1
    assert not any("authority above" in reason for reason in reasons)


def test_renewal_is_told_from_60_days_on() -> None:
    end = x509.load_der_x509_certificate(operator()).not_valid_after_utc
    near = inspect_certificate(operator(), around(now=end - timedelta(days=12, hours=1)))
    assert near.warnings == ("expires in 12 days: renew it",)
    assert inspect_certificate(operator(), around(now=end - timedelta(days=61))).warnings == ()


def test_what_is_not_at_hand_is_not_guessed() -> None:
    found = ability(inspect_certificate(operator(), Surroundings(NOW)), Role.OPERATOR_CLIENT)
    assert found.verdict is Verdict.INDETERMINATE
    assert len(found.reasons) == 2


def test_a_binding_lets_a_certificate_without_address_sign_for_its_domains() -> None:
    encoded = der(ORG_SIGN, address=None)
    facts = inspect_certificate(encoded, around()).facts
    key = (DistinguishedName.from_text(facts.issuer), DistinguishedName.from_text("OU=300000000000017"))
    believed = trust(bindings={key: frozenset({"a.mssante.example"})})
    found = ability(inspect_certificate(encoded, around(believed)), Role.ORGANISATION_SIGNATURE)
    assert found.verdict is Verdict.PASSED
    assert found.notes == ("bound by the settings to a.mssante.example",)


def test_a_person_without_structure_signs_for_herself_only() -> None:
    made = issue(
        space().organisations,
        PERSON_SIGN,
        subject("899700000001", "", "", ""),
        NOW,
        SubjectNames(addresses=("j.martin@a.mssante.example",)),
        "p256",
    )
    found = inspect_certificate(read_certificates(made.certificate_pem)[0], around())
    assert may(found) == {Role.PERSON_SIGNATURE}
    told = ability(found, Role.ORGANISATION_SIGNATURE).reasons
    assert told == ("no structure identifier in OU (3 and a SIRET, or 1 and a FINESS)",)


def test_sha1_is_too_weak() -> None:
    key = space().organisations.key
    assert isinstance(key, rsa.RSAPrivateKey)
    changed = asn1_x509.Certificate.load(operator())
    changed["tbs_certificate"]["signature"] = changed["signature_algorithm"] = {"algorithm": "sha1_rsa"}
    body = changed["tbs_certificate"].dump(force=True)
    changed["signature_value"] = key.sign(body, padding.PKCS1v15(), hashes.SHA1())
    found = inspect_certificate(changed.dump(force=True), around())
    assert "signed with SHA-1: too weak" in ability(found, Role.OPERATOR_CLIENT).reasons
    assert not found.useful


def test_a_self_signed_one_and_a_false_root_are_told_as_such() -> None:
    false = read_certificates(space("OTHER").root.certificate_pem)[0]
    told = ability(inspect_certificate(false, around()), Role.AUTHORITY).reasons
    assert told == ("self-signed, and not one of the configured anchors",)


def test_what_is_no_certificate_is_refused() -> None:
    for octets in (b"", b"\x30\x80", operator()[:-1], operator() + b"\0", b"\x30\x03\x02\x01\x00"):
        with pytest.raises(InspectionFault):
            inspect_certificate(octets, around())
        with pytest.raises(InspectionFault):
            inspect_list(octets, around())


def test_a_crl_is_believed_from_a_known_authority_in_its_time_only() -> None:
    here, other = space(), space("OTHER")
    good = issue_crl(here.organisations, NOW, [Revocation(5, NOW, "keyCompromise")], 4)
    found = inspect_list(good, around())
    assert (found.verdict, found.number, found.revoked) == (Verdict.PASSED, 4, 1)
    false = inspect_list(issue_crl(other.organisations, NOW), around())
    assert false.reasons == ("no authority that is known here signed it",)
    later = inspect_list(good, around(now=NOW + timedelta(days=91)))
    assert later.verdict is Verdict.FAILED
    assert later.reasons[0].startswith("its time ended on ")
    assert inspect_list(good, Surroundings(NOW)).verdict is Verdict.INDETERMINATE
    # In the name of our authority, by another key.
    forged = issue_crl(replace(here.organisations, key=other.organisations.key), NOW)
    assert inspect_list(forged, around()).verdict is Verdict.FAILED


def test_the_sentences_show_no_key() -> None:
    text = repr(inspect_certificate(operator(), around()))
    assert key_pem(space().root.key).decode().splitlines()[1] not in text


@pytest.mark.parametrize("owner", ["EL-TEST", "OTHER"])
def test_an_authority_that_has_another_kind_of_key_too_breaks_no_path(owner: str) -> None:
    """pyhanko-certvalidator asserts on it: an authority renewed its key on a curve, or one is forged."""
    other = create_intermediate(space(owner).root, NOW, "EL-TEST ORGANISATIONS", key="p256")
    encoded = read_certificates(other.certificate_pem)[0]
    for trusted in (around().trust, replace(trust(), intermediates=(encoded, intermediate()))):
        assert trusted is not None
        found = validate(operator(), (encoded,), trusted, None, NOW)
        assert found.verdict is Verdict.PASSED
    alone = validate(operator(), (encoded,), trust(), None, NOW)  # the true one is not known here
    assert alone.verdict is Verdict.FAILED
