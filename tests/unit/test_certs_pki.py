"""The demonstration PKI on disk."""

import stat
from datetime import timedelta
from pathlib import Path

import pytest
from asn1crypto import x509

from certs.authority import SubjectNames, issue, subject
from certs.names import DistinguishedName
from certs.paths import TrustAnchors, Usage, load_anchors, read_certificates, validate
from certs.pki import DemoPki, PkiFault, create_demo_pki, load_authority
from certs.profiles import PERSON
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
