"""TLS contexts of the listeners and of outbound mail. The only module of this room that knows about TLS
itself.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path

from asn1crypto import x509

from certs.cms import DECODING_ERRORS
from certs.names import DistinguishedName, NameFault

__all__ = [
    "follow",
    "machines_server_context",
    "mx_client_context",
    "mx_server_context",
    "peer_chain",
    "peer_name",
    "submission_client_context",
    "submission_server_context",
]

# The four suites that clients and operators of MSSanté must offer under TLS 1.2 (C030, C02F, C028, C027).
_SUITES = (
    "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-SHA384:ECDHE-RSA-AES128-SHA256"
)


def submission_server_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """Make the context of the listeners for users: our certificate (PEM with its chain), no client
    certificate.

    Raises OSError or ssl.SSLError where the files cannot be loaded.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _harden(context)
    context.load_cert_chain(certificate, key)
    return context


def submission_client_context(anchors: Path) -> ssl.SSLContext:
    """Make the context of a mail client that verifies our servers against `anchors`, host name included."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    _harden(context)
    context.load_verify_locations(anchors)
    return context


def mx_server_context(certificate: Path, key: Path, anchors: Path) -> ssl.SSLContext:
    """Make the context of the listener for operators: the peer must present a certificate under `anchors`.

    A certificate that does not chain breaks the handshake, so this listener is for operators only. Revocation
    and the trust list are judged afterwards, where they have an SMTP answer.
    """
    context = submission_server_context(certificate, key)
    context.load_verify_locations(anchors)
    context.verify_mode = ssl.CERT_REQUIRED
    # Without tickets every connection proves its certificate anew: a resumed one would keep a withdrawn
    # trust.
    context.options |= ssl.OP_NO_TICKET
    context.num_tickets = 0
    return context


def machines_server_context(certificate: Path, key: Path, anchors: Path) -> ssl.SSLContext:
    """Make the context of the listeners for applications: a client certificate under `anchors` is required.

    As for operators, and for the same reasons on listeners of their own; which mailbox it opens, its usage
    and its revocation are judged when it logs in.
    """
    return mx_server_context(certificate, key, anchors)


def mx_client_context(certificate: Path, key: Path, anchors: Path) -> ssl.SSLContext:
    """Make the context for sending to other operators: our certificate is shown, theirs must chain to
    `anchors`.

    The host name is not checked: the trust list binds a domain to the name in the certificate, not to a host,
    and the caller compares `peer_name` with it (`operators.server_allowed`). DNS decides nothing here.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    _harden(context)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(anchors)
    context.load_cert_chain(certificate, key)
    return context


def follow(current: Callable[[], ssl.SSLContext]) -> ssl.SSLContext:
    """Return a context for a listener that keeps the one it was given: each handshake shows the certificate
    of the context that `current` returns then, whether the client names a host or not.

    For listeners that ask for no client certificate: whom a context believes does not follow.
    """

    def lead(handshake: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        handshake.context = current()

    context = current()
    context.sni_callback = lead
    return context


def peer_name(certificate: bytes | None) -> DistinguishedName | None:
    """Return the subject of a peer certificate (`getpeercert(binary_form=True)`), None where it has no usable
    one.
    """
    if not certificate:
        return None
    try:
        return DistinguishedName.from_asn1(x509.Certificate.load(certificate).subject)
    except (NameFault, *DECODING_ERRORS):
        return None


def peer_chain(connection: ssl.SSLObject | ssl.SSLSocket | None) -> tuple[bytes, ...]:
    """Return the certificates (DER) that TLS found above the peer's, the anchor included; none where Python
    cannot tell.

    Public since Python 3.13 (`get_verified_chain`); before, the object beneath has it.
    """
    if connection is None:
        return ()
    asked = getattr(connection, "get_verified_chain", None)
    if asked is None:
        asked = getattr(getattr(connection, "_sslobj", None), "get_verified_chain", None)
    if asked is None:
        return ()
    chain = asked() or []
    ders = [
        each if isinstance(each, bytes) else ssl.PEM_cert_to_DER_cert(each.public_bytes()) for each in chain
    ]
    return tuple(ders[1:])


def _harden(context: ssl.SSLContext) -> None:
    """TLS 1.2 with the four suites, or TLS 1.3; no renegotiation, no compression."""
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_SUITES)
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
