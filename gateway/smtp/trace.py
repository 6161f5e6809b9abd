"""The Received field of a message that we take (RFC 5321 §4.4)."""

from __future__ import annotations

from email.utils import format_datetime

from gateway.smtp.envelope import Envelope

__all__ = ["received_field"]


def received_field(envelope: Envelope, hostname: str) -> str:
    """The value of our Received field, on one line.

    It names the recipient only when there is one, so that it betrays no blind copy (RFC 5321 §4.4, §7.6).
    """
    peer = envelope.peer
    protocol = "ESMTP" + ("S" if peer.tls_version else "") + ("A" if peer.login else "")  # RFC 3848
    tls = f" ({peer.tls_version} {peer.tls_cipher})" if peer.tls_version else ""
    address = f"IPv6:{peer.ip}" if ":" in peer.ip else peer.ip
    recipient = f" for <{envelope.recipients[0]}>" if len(envelope.recipients) == 1 else ""
    return (
        f"from {peer.helo or 'unknown'} ([{address}]){tls} by {hostname} with {protocol}"
        f" id {envelope.queue_id}{recipient}; {format_datetime(envelope.received_at)}"
    )
