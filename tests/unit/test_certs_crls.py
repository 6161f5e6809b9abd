"""Fetched revocation lists: whose they are, whether they hold, and which of two counts."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from certs.authority import Authority, Revocation, issue_crl
from certs.crls import CrlFault, crl_facts, newest, verified_crl
from tests.support.certificates import NOW, space

GRACE = timedelta(days=3)
HERE = space()
AUTHORITIES = tuple(
    each.certificate.public_bytes(serialization.Encoding.DER) for each in (HERE.root, HERE.organisations)
)


def crl(authority: Authority = HERE.organisations, issued: datetime = NOW, **properties: object) -> bytes:
    return issue_crl(authority, issued, **properties)  # type: ignore[arg-type]


def built(extension: x509.ExtensionType) -> bytes:
    """A list of the intermediate with one more extension."""
    authority = HERE.organisations
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(authority.certificate.subject)
        .last_update(NOW)
        .next_update(NOW + timedelta(days=7))
        .add_extension(extension, critical=True)
    )
    key = authority.key
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def test_a_list_of_a_configured_authority_is_taken() -> None:
    revoked = [Revocation(serial, NOW) for serial in (5, 6)]
    facts = verified_crl(crl(revoked=revoked), AUTHORITIES, NOW, GRACE)
    assert facts.revoked == 2
    assert facts.issued == NOW - timedelta(hours=1)
    assert "ORGANISATIONS" in facts.issuer
    assert crl_facts(crl()).revoked == 0


def test_pem_is_read_too() -> None:
    text = x509.load_der_x509_crl(crl()).public_bytes(serialization.Encoding.PEM)
    assert verified_crl(text, AUTHORITIES, NOW, GRACE).der == x509.load_pem_x509_crl(text).public_bytes(
        serialization.Encoding.DER
    )


def broken() -> bytes:
    octets = bytearray(crl())
    octets[-5] ^= 1
    return bytes(octets)


def point(**properties: object) -> x509.IssuingDistributionPoint:
    usual: dict[str, object] = {
        "full_name": [x509.UniformResourceIdentifier("http://crl.example/")],
        "relative_name": None,
        "only_contains_user_certs": False,
        "only_contains_ca_certs": False,
        "only_some_reasons": None,
        "indirect_crl": False,
        "only_contains_attribute_certs": False,
    }
    return x509.IssuingDistributionPoint(**{**usual, **properties})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (lambda: b"", "not a CRL"),
        (lambda: b"<html>403</html>", "not a CRL"),
        (lambda: crl() + b"x", "not a CRL"),
        (lambda: crl(space("AUTRE").organisations), "of an issuer that is not configured"),
        (broken, "the signature does not hold"),
        (lambda: crl(issued=NOW + timedelta(hours=3)), "issued in the future"),
        (lambda: crl(issued=NOW - timedelta(days=30), lifetime=timedelta(days=1)), "over since"),
        (lambda: built(x509.DeltaCRLIndicator(1)), "a delta CRL"),
        (lambda: built(point(indirect_crl=True)), "an indirect CRL"),
        (
            lambda: built(point(only_some_reasons=frozenset({x509.ReasonFlags.key_compromise}))),
            "for some reasons only",
        ),
    ],
)
def test_others_are_refused(made: Callable[[], bytes], reason: str) -> None:
    with pytest.raises(CrlFault, match=reason):
        verified_crl(made(), AUTHORITIES, NOW, GRACE)


def test_a_name_alone_does_not_make_an_issuer() -> None:
    """The same subject with another key: somebody who calls himself like our authority."""
    from certs.authority import create_intermediate, create_root

    root = create_root(NOW, "EL-TEST RACINE")
    namesake = create_intermediate(root, NOW, "EL-TEST ORGANISATIONS")
    with pytest.raises(CrlFault, match="does not hold"):
        verified_crl(crl(namesake), AUTHORITIES, NOW, GRACE)


def test_a_list_in_its_grace_is_taken() -> None:
    late = crl(issued=NOW - timedelta(days=5), lifetime=timedelta(days=3))
    assert verified_crl(late, AUTHORITIES, NOW, GRACE)


def test_of_two_lists_of_one_authority_the_newer_counts() -> None:
    old, new = (crl_facts(crl(issued=NOW - timedelta(days=age))) for age in (2, 1))
    root = crl_facts(crl(HERE.root))
    partial = crl_facts(built(point(only_contains_user_certs=True)))
    assert set(newest([new, old, root, partial])) == {new, root, partial}
    assert set(newest([old, new])) == {new}
