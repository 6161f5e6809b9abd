"""What a file of certificates holds: PEM or DER certificates, CRLs, PKCS#7 bundles; private keys are only
counted.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from asn1crypto import cms, crl, csr, keys, pkcs12, x509

from certs.cms import DECODING_ERRORS

__all__ = ["MAXIMUM_CERTIFICATES", "MAXIMUM_OCTETS", "Bundle", "BundleFault", "read_bundle"]

MAXIMUM_OCTETS = 4 * 1024 * 1024
"""Octets of a file; a CRL of a national authority has about 1 MB."""
MAXIMUM_CERTIFICATES = 64
"""Certificates of a file; a chain has three, a bundle of anchors about a dozen."""
_MAXIMUM_CRLS = 16
_KEYS = (keys.PrivateKeyInfo, keys.EncryptedPrivateKeyInfo, keys.RSAPrivateKey, keys.ECPrivateKey)
_BEGIN, _END = b"-----BEGIN ", b"-----END "


class BundleFault(ValueError):
    """The file is no certificate, CRL or bundle; the text is a sentence."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """Certificates and CRLs in DER, each once, in the order of the file.

    `private_keys` and `requests` count blocks that are not looked into; `faults` are sentences about blocks
    that cannot be read.
    """

    certificates: tuple[bytes, ...] = ()
    crls: tuple[bytes, ...] = ()
    private_keys: int = 0
    requests: int = 0
    faults: tuple[str, ...] = ()


def read_bundle(octets: bytes) -> Bundle:
    """Read a file, total in linear time. Raises BundleFault where it holds nothing of the kind, or too
    much.
    """
    if len(octets) > MAXIMUM_OCTETS:
        raise BundleFault(f"the file is larger than {MAXIMUM_OCTETS // 1024 // 1024} MiB")
    collected = _Collected()
    if _BEGIN in octets:
        for kind, content in _pem_blocks(octets):
            collected.take(kind, content)
    else:
        collected.take("", octets)
    bundle = collected.bundle()
    if bundle == Bundle():
        raise BundleFault("the file holds no certificate, CRL or PKCS#7 bundle, in PEM or DER")
    return bundle


def _pem_blocks(octets: bytes) -> Iterator[tuple[str, bytes | None]]:
    """Yield label and content of each PEM block (RFC 7468 §2), None for content that is no base64."""
    label, lines = None, list[bytes]()
    for line in octets.splitlines():
        text = line.strip()
        if text.startswith(_BEGIN) and text.endswith(b"-----"):
            label, lines = text[len(_BEGIN) : -5], []
        elif text.startswith(_END) and label is not None:
            same = text == _END + label + b"-----"
            yield label.decode("ascii", "replace")[:40], _decoded(lines) if same else None
            label = None
        elif label is not None and b":" not in text:  # headers of RFC 1421 stand before the content
            lines.append(text)
    if label is not None:
        yield label.decode("ascii", "replace")[:40], None


def _decoded(lines: list[bytes]) -> bytes | None:
    try:
        return base64.b64decode(b"".join(lines), validate=True)
    except (binascii.Error, ValueError):
        return None


class _Collected:
    """What was found so far."""

    def __init__(self) -> None:
        self._certificates: dict[bytes, None] = {}
        self._crls: dict[bytes, None] = {}
        self._private_keys = 0
        self._requests = 0
        self._faults: list[str] = []

    def bundle(self) -> Bundle:
        """Return what was found."""
        return Bundle(
            tuple(self._certificates),
            tuple(self._crls),
            self._private_keys,
            self._requests,
            tuple(self._faults),
        )

    def take(self, kind: str, content: bytes | None) -> None:
        """Take one block by its label; an empty label stands for a file without one, which is tried out."""
        if "PRIVATE KEY" in kind:
            self._private_keys += 1
        elif content is None:
            self._fault(f"the block {kind} is not whole")
        elif kind in ("CERTIFICATE", "X509 CERTIFICATE", "TRUSTED CERTIFICATE"):
            if not self._certificate(content):
                self._fault("a certificate cannot be decoded")
        elif kind == "X509 CRL":
            if not self._crl(content):
                self._fault("a CRL cannot be decoded")
        elif kind in ("PKCS7", "CMS"):
            if not self._pkcs7(content):
                self._fault("a PKCS#7 bundle cannot be decoded")
        elif "CERTIFICATE REQUEST" in kind:
            self._requests += 1
        elif kind:
            self._fault(f"the block {kind} is not looked into")
        else:
            self._unlabelled(content)

    def _unlabelled(self, content: bytes) -> None:
        if self._certificate(content) or self._crl(content) or self._pkcs7(content):
            return
        if any(_is(kind, content) for kind in _KEYS):
            self._private_keys += 1
        elif _is(csr.CertificationRequest, content):
            self._requests += 1
        elif _is(pkcs12.Pfx, content):
            self._fault("the file is a PKCS#12 store: take its certificates out with openssl pkcs12 -nokeys")

    def _fault(self, sentence: str) -> None:
        if sentence not in self._faults and len(self._faults) < 20:
            self._faults.append(sentence)

    def _certificate(self, content: bytes) -> bool:
        try:
            found = x509.Certificate.load(content, strict=True)
            # Decoded at once, names and all: later readers meet no fault.
            _ = found.native
            der = found.dump()
        except DECODING_ERRORS:
            return False
        self._certificates[der] = None
        if len(self._certificates) > MAXIMUM_CERTIFICATES:
            raise BundleFault(f"the file holds more than {MAXIMUM_CERTIFICATES} certificates")
        return True

    def _crl(self, content: bytes) -> bool:
        try:
            body = crl.CertificateList.load(content, strict=True)["tbs_cert_list"]
            _ = body["this_update"].native
            _ = body["issuer"].native
            len(body["revoked_certificates"])
        except DECODING_ERRORS:
            return False
        self._crls[content] = None
        if len(self._crls) > _MAXIMUM_CRLS:
            raise BundleFault(f"the file holds more than {_MAXIMUM_CRLS} CRLs")
        return True

    def _pkcs7(self, content: bytes) -> bool:
        try:
            info = cms.ContentInfo.load(content, strict=True)
            if info["content_type"].native != "signed_data":
                return False
            enclosed = [choice.chosen.dump() for choice in info["content"]["certificates"] or ()]
            lists = [choice.chosen.dump() for choice in info["content"]["crls"] or ()]
        except DECODING_ERRORS:
            return False
        if not all(self._certificate(der) for der in enclosed) or not all(self._crl(der) for der in lists):
            self._fault("a part of the PKCS#7 bundle cannot be decoded")
        return True


def _is(kind: Any, content: bytes) -> bool:
    try:
        _ = kind.load(content, strict=True).native
    except DECODING_ERRORS:
        return False
    return True
