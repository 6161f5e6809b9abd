"""The XML signature of the trust list: who signed, over what, and attacks that wrap one around another."""

from __future__ import annotations

from copy import deepcopy
from datetime import timedelta
from typing import Any

import pytest
from lxml import etree
from signxml.algorithms import CanonicalizationMethod, DigestAlgorithm, SignatureMethod
from signxml.signer import XMLSigner

from certs.authority import IssuedCertificate
from certs.listsignature import ListSigner, signed_list
from certs.names import DistinguishedName
from certs.operators import TrustEntry, TrustListFault, read_trust_list, render_trust_list
from certs.profiles import SERV_SSL
from tests.support.certificates import NOW, certificate, trust

DS = "{http://www.w3.org/2000/09/xmldsig#}"
NAME = DistinguishedName.from_text("CN=mx.a.example,O=GIP A,C=FR")
GENUINE, EVIL = (
    render_trust_list([TrustEntry(f"{word}.example", NAME)], NOW) for word in ("genuine", "evil")
)
SIGNER = "CN=signature.demo.mssante.example,OU=300000000000017,O=CLINIQUE DE TEST,ST=Haute-Loire (43),C=FR"


class Sha1Signer(XMLSigner):
    """signxml makes no SHA-1 signatures unless told to."""

    def check_deprecated_methods(self) -> None:
        return


def signed(
    document: bytes = GENUINE,
    issued: IssuedCertificate | None = None,
    c14n: CanonicalizationMethod = CanonicalizationMethod.EXCLUSIVE_XML_CANONICALIZATION_1_0,
    signer: type[XMLSigner] = XMLSigner,
    digest: DigestAlgorithm = DigestAlgorithm.SHA256,
    method: SignatureMethod = SignatureMethod.RSA_SHA256,
) -> etree._Element:
    shown = issued or certificate(address=None)
    chain = (shown.certificate_pem + shown.chain_pem).decode()
    end = "-----END CERTIFICATE-----\n"
    certificates = [f"{each}{end}" for each in chain.split(end) if each.strip()]
    maker = signer(c14n_algorithm=c14n, digest_algorithm=digest, signature_algorithm=method)
    return maker.sign(etree.fromstring(document), key=shown.key_pem, cert=certificates)


def believed(root: etree._Element | bytes, name: str | None = SIGNER, **space: Any) -> list[str]:
    """The domains of the list as it is read after its signature held."""
    document = root if isinstance(root, bytes) else etree.tostring(root)
    who = ListSigner(trust(**space), None if name is None else DistinguishedName.from_text(name))
    return sorted(read_trust_list(signed_list(document, who, NOW)).domains)


PLAIN = [each for each in CanonicalizationMethod if not each.value.endswith("WithComments")]


@pytest.mark.parametrize("c14n", PLAIN)
@pytest.mark.parametrize("name", [SIGNER, None])
def test_a_signed_list_is_believed(c14n: CanonicalizationMethod, name: str | None) -> None:
    assert believed(signed(c14n=c14n), name=name) == ["genuine.example"]


def fault(root: etree._Element | bytes, **options: Any) -> str:
    with pytest.raises(TrustListFault) as refused:
        believed(root, **options)
    return str(refused.value)


def test_an_unsigned_list_is_refused() -> None:
    assert fault(GENUINE) == "the list is not signed"


def test_a_list_that_was_changed_is_refused() -> None:
    root = etree.tostring(signed()).replace(b"genuine.example", b"altered.example")
    assert fault(root).startswith("the signature does not hold")


def test_another_signer_is_refused() -> None:
    other = certificate(address=None, common_name="autre.demo.mssante.example")
    assert fault(signed(issued=other)) == "the list is signed by another than the configured signer"
    assert believed(signed(issued=other), name=None) == ["genuine.example"]


@pytest.mark.parametrize(
    ("properties", "reason"),
    [
        ({"which": "AUTRE"}, "untrusted-issuer"),
        ({"issued": NOW - timedelta(days=4 * 365)}, "untrusted-issuer|expired"),
        ({"profile": SERV_SSL}, "usage"),
    ],
)
def test_a_certificate_that_does_not_hold_is_refused(properties: dict[str, object], reason: str) -> None:
    told = fault(signed(issued=certificate(address=None, **properties)))  # type: ignore[arg-type]
    assert told.startswith("the certificate of the signature is not believed: ")
    assert any(each in told for each in reason.split("|"))


def test_a_signer_whose_revocation_is_unknown_is_refused() -> None:
    assert fault(signed(), crls=()).endswith("revocation-unknown")


def test_sha_1_is_refused() -> None:
    root = signed(signer=Sha1Signer, digest=DigestAlgorithm.SHA1, method=SignatureMethod.RSA_SHA1)
    assert fault(root).startswith("the signature does not hold")


def test_a_signature_without_certificate_is_refused() -> None:
    root = signed()
    for each in list(root.iter(f"{DS}X509Certificate")):
        parent = each.getparent()
        assert parent is not None
        parent.remove(each)
    assert "no certificate" in fault(root)


def test_a_list_wrapped_around_the_signed_one_is_refused() -> None:
    """The signature is genuine and whole, but stands below a root that nobody signed."""
    outer = etree.fromstring(EVIL)
    outer.append(signed())
    assert fault(outer) == "more than one signature, or one that is not the list's"


def test_a_signature_of_another_list_is_refused() -> None:
    outer = etree.fromstring(EVIL)
    outer.append(deepcopy(next(signed().iter(f"{DS}Signature"))))
    assert fault(outer).startswith("the signature does not hold")


def test_a_signed_part_is_not_a_signed_list() -> None:
    """The reference names an element inside: what is beside it would not be covered."""
    inner = etree.fromstring(GENUINE)
    inner.set("Id", "part")
    whole = XMLSigner().sign(
        inner,
        key=certificate(address=None).key_pem,
        cert=[certificate(address=None).certificate_pem.decode()],
        reference_uri="#part",
    )
    assert fault(whole) == "the signature is not over the whole list"


def test_two_signatures_are_refused() -> None:
    root = signed()
    root.append(deepcopy(next(root.iter(f"{DS}Signature"))))
    assert fault(root) == "more than one signature, or one that is not the list's"


def test_comments_do_not_split_what_was_signed() -> None:
    """Canonical XML leaves comments out: a domain must not be cut short by one that is put in afterwards."""
    root = etree.tostring(signed()).replace(b"genuine.example", b"genu<!-- x -->ine.example")
    assert believed(root) == ["genuine.example"]


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"<",
        b"<!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/passwd'>]><a>&b;</a>",
        b"<a xmlns:d='http://www.w3.org/2000/09/xmldsig#'><d:Signature/></a>",
        etree.tostring(signed()).replace(b"<ds:SignatureValue>", b"<ds:SignatureValue>AAAA"),
        etree.tostring(signed()).replace(b"<ds:X509Certificate>", b"<ds:X509Certificate>AAAA"),
    ],
)
def test_anything_else_is_refused(document: bytes) -> None:
    assert fault(document)
