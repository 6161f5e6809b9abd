"""Files of certificates: PEM, DER, PKCS#7, and what is none of them."""

import base64

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.serialization import pkcs7, pkcs12

from certs.authority import generate_key, issue_crl
from certs.bundles import MAXIMUM_CERTIFICATES, MAXIMUM_OCTETS, Bundle, BundleFault, read_bundle
from certs.paths import read_certificates
from tests.support.certificates import NOW, certificate, space

MADE = certificate("p256")
LEAF, CHAIN = MADE.certificate_pem, MADE.chain_pem
DER = read_certificates(LEAF)[0]
CRL = issue_crl(space().organisations, NOW)


def test_pem_keeps_the_order_and_each_once_and_only_counts_keys() -> None:
    found = read_bundle(b"Bag Attributes\n" + LEAF + CHAIN + MADE.key_pem + LEAF)
    assert found == Bundle((DER, *read_certificates(CHAIN)), private_keys=1)
    assert "PRIVATE" not in repr(found)


def test_der_is_tried_out() -> None:
    assert read_bundle(DER) == Bundle((DER,))
    assert read_bundle(CRL) == Bundle((), (CRL,))


@pytest.mark.parametrize("encoding", [serialization.Encoding.DER, serialization.Encoding.PEM])
def test_a_certs_only_bundle_is_opened(encoding: serialization.Encoding) -> None:
    certificates = x509.load_pem_x509_certificates(LEAF + CHAIN)
    found = read_bundle(pkcs7.serialize_certificates(certificates, encoding))
    assert set(found.certificates) == {DER, *read_certificates(CHAIN)}


@pytest.mark.parametrize("encoding", [serialization.Encoding.DER, serialization.Encoding.PEM])
@pytest.mark.parametrize(
    "kind", [serialization.PrivateFormat.PKCS8, serialization.PrivateFormat.TraditionalOpenSSL]
)
def test_a_key_alone_is_noticed(encoding: serialization.Encoding, kind: serialization.PrivateFormat) -> None:
    key = generate_key("p256")
    assert read_bundle(key.private_bytes(encoding, kind, serialization.NoEncryption())).private_keys == 1


def test_requests_and_stores_are_told() -> None:
    key = generate_key("p256")
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    signed = request.sign(key, hashes.SHA256())
    for encoding in (serialization.Encoding.PEM, serialization.Encoding.DER):
        assert read_bundle(signed.public_bytes(encoding)).requests == 1
    store = pkcs12.serialize_key_and_certificates(
        b"x", generate_key("p256"), None, None, serialization.NoEncryption()
    )
    assert "PKCS#12" in read_bundle(store).faults[0]


def test_what_is_broken_is_told_beside_what_is_whole() -> None:
    cut = LEAF.replace(b"\nMII", b"\nAAA", 1)
    found = read_bundle(cut + CHAIN)
    assert found.certificates == read_certificates(CHAIN)
    assert found.faults == ("a certificate cannot be decoded",)
    assert read_bundle(LEAF + b"-----BEGIN CERTIFICATE-----\nMIIB").faults == (
        "the block CERTIFICATE is not whole",
    )


@pytest.mark.parametrize(
    "octets", [b"", b"garbage", b"\x00" * 5000, b"\x30\x80" * 9000, b"-----BEGIN \n" * 9]
)
def test_garbage_is_refused(octets: bytes) -> None:
    with pytest.raises(BundleFault):
        read_bundle(octets)


def test_too_much_is_refused() -> None:
    with pytest.raises(BundleFault, match="larger than 4 MiB"):
        read_bundle(b"\x30" * (MAXIMUM_OCTETS + 1))
    body = bytearray(DER)
    many = []
    for number in range(MAXIMUM_CERTIFICATES + 1):
        body[-1] = number  # in the signature, which is not looked at here
        many.append(
            b"-----BEGIN CERTIFICATE-----\n" + base64.encodebytes(body) + b"-----END CERTIFICATE-----\n"
        )
    with pytest.raises(BundleFault, match="more than 64 certificates"):
        read_bundle(b"".join(many))
    assert len(read_bundle(b"".join(many[:-1])).certificates) == MAXIMUM_CERTIFICATES


def test_many_beginnings_take_linear_time() -> None:
    """A pattern that looked for the end of each would take hours."""
    found = read_bundle(b"-----BEGIN A-----\n" * (MAXIMUM_OCTETS // 18))
    assert found == Bundle(faults=("the block A is not whole",))
