"""How much the SMTP doors endure."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["SmtpLimits"]


@dataclass(frozen=True, slots=True)
class SmtpLimits:
    """Limits of one listener process; sizes in octets, times in seconds.

    ``max_inflight_bytes`` are those of all mails between DATA and its answer, ``max_worked_bytes`` of those
    that are read and decided on at once; more of them wait. ``idle_seconds`` ends a connection that says
    nothing, ``data_seconds`` a DATA that never ends (RFC 5321 §4.5.3.2). Each error after the second, and
    each failed authentication, is answered ``error_delay_seconds`` late.
    """

    max_message_bytes: int = 25 * 1024 * 1024
    max_inflight_bytes: int = 256 * 1024 * 1024
    max_worked_bytes: int = 64 * 1024 * 1024
    max_header_bytes: int = 256 * 1024
    max_recipients: int = 100
    max_errors: int = 20
    max_auth_failures: int = 3
    max_connections: int = 500
    max_connections_per_ip: int = 50
    idle_seconds: float = 300.0
    data_seconds: float = 1200.0
    handshake_seconds: float = 30.0
    error_delay_seconds: float = 1.0
