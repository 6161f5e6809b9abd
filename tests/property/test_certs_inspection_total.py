"""Whatever a file holds, it is inspected or refused, and what was altered may nothing."""

from contextlib import suppress

from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.hazmat.primitives.serialization.pkcs7 import serialize_certificates
from cryptography.x509 import load_pem_x509_certificates
from hypothesis import given
from hypothesis import strategies as st

from certs.authority import issue_crl
from certs.bundles import BundleFault, read_bundle
from certs.inspection import InspectionFault, Surroundings, inspect_certificate, inspect_list
from certs.paths import read_certificates
from certs.verdicts import Verdict
from tests.support.certificates import NOW, certificate, space, trust

MADE = certificate()
PEM = MADE.certificate_pem + MADE.chain_pem + MADE.key_pem
OURS = read_certificates(PEM)
CRL = issue_crl(space().organisations, NOW)
SEEDS = (OURS[0], CRL, PEM, serialize_certificates(load_pem_x509_certificates(PEM), Encoding.DER))
TRUST = trust()


@st.composite
def altered(draw: st.DrawFn) -> bytes:
    """One of the seeds with octets put in the place of up to as many others."""
    octets = draw(st.sampled_from(SEEDS))
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, len(octets) - 1))
        put = draw(st.binary(max_size=5))
        octets = octets[:place] + put + octets[place + draw(st.integers(0, 4)) :]
    return octets


@given(altered())
def test_an_altered_file_is_inspected_or_refused(octets: bytes) -> None:
    try:
        bundle = read_bundle(octets)
    except BundleFault:
        return
    around = Surroundings(NOW, TRUST, None, bundle.certificates)
    for der in bundle.certificates:
        with suppress(InspectionFault):
            assert der in OURS or not inspect_certificate(der, around).useful
    for der in bundle.crls:
        with suppress(InspectionFault):
            assert der == CRL or inspect_list(der, around).verdict is not Verdict.PASSED


@given(st.binary(max_size=300))
def test_any_octets_are_read_or_refused(octets: bytes) -> None:
    with suppress(BundleFault):
        assert read_bundle(octets).certificates == ()
