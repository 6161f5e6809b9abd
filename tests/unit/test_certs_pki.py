"""The demonstration PKI on disk."""

import stat
from datetime import timedelta
from pathlib import Path

import pytest
from asn1crypto import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509 import (
    CertificateRevocationList,
    CRLNumber,
    KeyUsage,
    RFC822Name,
    SubjectAlternativeName,
    load_der_x509_crl,
    load_pem_x509_certificate,
)

from certs.authority import Revocation, SubjectNames, issue, issue_crl, subject
from certs.names import DistinguishedName
from certs.paths import TrustAnchors, Usage, load_anchors, read_certificates, validate
from certs.pki import (
    DemoPki,
    PkiFault,
    create_demo_pki,
    load_authority,
    load_ledger,
    persons_authority,
    renew_crls,
    save_ledger,
)
from certs.profiles import PERSON, Issuer
from certs.signing import load_signer
from certs.smime import sign_message, verify_message
from certs.verdicts import Verdict
from tests.support.certificates import ENTITY, NOW, headers

DOMAIN, SERVICE = "demo.mssante.example", "teleexpertise@demo.mssante.example"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> DemoPki:
    return create_demo_pki(
        tmp_path_factory.mktemp("run") / "pki", DOMAIN, SERVICE, ["localhost", "127.0.0.1"], NOW
    )


def believed(pki: DemoPki) -> TrustAnchors:
    return load_anchors(
        pki.anchors.read_bytes(), pki.intermediates.read_bytes(), [crl.read_bytes() for crl in pki.crls]
    )


def test_the_operator_certificate_serves_both_sides_and_has_the_national_shape(made: DemoPki) -> None:
    leaf, intermediate = read_certificates(made.tls_certificate.read_bytes())
    for usage in (Usage.TLS_SERVER, Usage.TLS_CLIENT):
        assert validate(leaf, (intermediate,), believed(made), usage, NOW).verdict is Verdict.PASSED
    name = DistinguishedName.from_asn1(x509.Certificate.load(leaf).subject)
    assert name.text.startswith("CN=teleexpertise.demo.mssante.example,OU=3")
    assert name.text.endswith(",ST=Haute-Loire (43),C=FR")
    assert len(name.values("OU")[0]) == 15


def test_the_organisation_certificate_signs_for_the_service_address(made: DemoPki) -> None:
    signer = load_signer(
        made.smime_certificate.read_bytes(), made.smime_key.read_bytes(), made.smime_chain.read_bytes()
    )
    raw = sign_message(headers(SERVICE), ENTITY, signer, NOW)
    assert verify_message(raw, believed(made), NOW).verdict is Verdict.PASSED


def test_keys_are_their_owners_only(made: DemoPki) -> None:
    for key in (made.tls_key, made.smime_key, *made.authority_keys):
        assert stat.S_IMODE(key.stat().st_mode) == 0o600


def test_a_second_call_loads_what_is_there(made: DemoPki) -> None:
    before = {path: path.read_bytes() for path in made.directory.rglob("*") if path.is_file()}
    again = create_demo_pki(made.directory, DOMAIN, SERVICE, [], NOW + timedelta(hours=1))
    assert again == made
    assert {path: path.read_bytes() for path in made.directory.rglob("*") if path.is_file()} == before


def test_more_certificates_can_be_issued(made: DemoPki) -> None:
    person = issue(
        load_authority(made),
        PERSON,
        subject("MARTIN Jeanne", "300000000000017", "CABINET", "Haute-Loire (43)"),
        NOW,
        SubjectNames(addresses=("jeanne.martin@demo.mssante.example",)),
        "p256",
    )
    signer = load_signer(person.certificate_pem, person.key_pem, person.chain_pem)
    raw = sign_message(headers("jeanne.martin@demo.mssante.example"), ENTITY, signer, NOW)
    assert verify_message(raw, believed(made), NOW).verdict is Verdict.PASSED


def test_crls_near_their_end_are_signed_anew(tmp_path: Path) -> None:
    pki = create_demo_pki(tmp_path / "pki", DOMAIN, SERVICE, [], NOW)
    old = [crl.read_bytes() for crl in pki.crls]
    later = NOW + timedelta(days=100)
    create_demo_pki(pki.directory, DOMAIN, SERVICE, [], later)
    assert [crl.read_bytes() for crl in pki.crls] != old
    leaf, intermediate = read_certificates(pki.tls_certificate.read_bytes())
    assert validate(leaf, (intermediate,), believed(pki), Usage.TLS_SERVER, later).verdict is Verdict.PASSED


def test_a_pki_with_a_part_missing_is_told_and_an_unfinished_one_is_made(tmp_path: Path) -> None:
    pki = create_demo_pki(tmp_path / "pki", DOMAIN, SERVICE, [], NOW)
    pki.tls_key.unlink()
    with pytest.raises(PkiFault, match=r"tls\.key"):
        create_demo_pki(pki.directory, DOMAIN, SERVICE, [], NOW)
    pki.anchors.unlink()
    create_demo_pki(pki.directory, DOMAIN, SERVICE, [], NOW)
    assert pki.tls_key.exists()


def _crl(pki: DemoPki, place: int = 1) -> CertificateRevocationList:
    return load_der_x509_crl(pki.crls[place].read_bytes())


def test_the_service_has_a_certificate_that_others_encrypt_to(made: DemoPki) -> None:
    certificate = load_pem_x509_certificate(made.conf_certificate.read_bytes())
    usage = certificate.extensions.get_extension_for_class(KeyUsage).value
    assert (usage.key_encipherment, usage.digital_signature) == (True, False)
    names = certificate.extensions.get_extension_for_class(SubjectAlternativeName).value
    assert names.get_values_for_type(RFC822Name) == [SERVICE]
    key = load_pem_private_key(made.conf_key.read_bytes(), None)
    assert key.public_key() == certificate.public_key()
    assert stat.S_IMODE(made.conf_key.stat().st_mode) == 0o600
    assert made.conf_key.read_bytes() != made.smime_key.read_bytes()


def test_a_pki_from_before_the_index_gets_one_and_the_new_certificate(tmp_path: Path) -> None:
    pki = create_demo_pki(tmp_path / "pki", DOMAIN, SERVICE, [], NOW)
    # As an earlier version left it, with a certificate revoked by hand.
    for path in (pki.index, pki.conf_certificate, pki.conf_key):
        path.unlink()
    serial = load_pem_x509_certificate(pki.tls_certificate.read_bytes()).serial_number
    lines = [Revocation(serial, NOW, "superseded"), Revocation(77, NOW)]
    pki.crls[1].write_bytes(issue_crl(load_authority(pki), NOW, lines, 9))
    kept = {path: path.read_bytes() for path in (pki.tls_key, pki.smime_certificate, pki.anchors)}
    create_demo_pki(pki.directory, DOMAIN, SERVICE, [], NOW)
    assert pki.conf_key.exists()
    assert {path: path.read_bytes() for path in kept} == kept
    ledger = load_ledger(pki)
    assert [entry.profile for entry in ledger.entries] == ["CA", "SERV_SSL", "ORG_SIGN", "ORG_CONF"]
    assert ledger.found(f"{serial:x}").reason == "superseded"
    renew_crls(pki, ledger, NOW, timedelta(days=1))
    assert _crl(pki).get_revoked_certificate_by_serial_number(77) is not None
    assert _crl(pki).extensions.get_extension_for_class(CRLNumber).value.crl_number == 10


def test_a_revocation_that_a_crash_kept_from_the_crl_comes_onto_it(tmp_path: Path) -> None:
    pki = create_demo_pki(tmp_path / "pki", DOMAIN, SERVICE, [], NOW)
    ledger = load_ledger(pki)
    entry = next(entry for entry in ledger.entries if entry.profile == "ORG_SIGN")
    save_ledger(pki, ledger.revoked(entry, NOW, "keyCompromise"))
    create_demo_pki(pki.directory, DOMAIN, SERVICE, [], NOW)
    assert _crl(pki).get_revoked_certificate_by_serial_number(int(entry.serial, 16)) is not None


def test_an_authority_whose_making_was_cut_off_is_made_anew(tmp_path: Path) -> None:
    pki = create_demo_pki(tmp_path / "pki", DOMAIN, SERVICE, [], NOW)
    persons_authority(pki, NOW)
    pki.authority_key(Issuer.PERSONS).unlink()
    made = persons_authority(pki, NOW)
    assert load_authority(pki, Issuer.PERSONS).certificate == made.certificate
    crl = load_der_x509_crl(pki.crl(Issuer.PERSONS).read_bytes())
    key = made.key.public_key()
    assert crl.is_signature_valid(key)
