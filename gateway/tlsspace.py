"""The TLS contexts of a gateway that serves, built from the files of ``[pki]`` and replaced together."""

from __future__ import annotations

import ssl
from dataclasses import dataclass

from certs.tls import (
    machines_server_context,
    mx_client_context,
    mx_server_context,
    submission_client_context,
    submission_server_context,
)
from config import Settings
from gateway.errors import DeploymentIncomplete

__all__ = ["TlsContexts", "TlsSpace", "load_tls"]


@dataclass(frozen=True, slots=True)
class TlsContexts:
    """What was read from the files at one moment.

    ``users``, ``operators`` and ``machines`` are those of the listeners; ``outbound`` shows our certificate
    to other operators; ``inside`` verifies our own mailbox server.
    """

    users: ssl.SSLContext
    operators: ssl.SSLContext
    machines: ssl.SSLContext
    outbound: ssl.SSLContext
    inside: ssl.SSLContext


def load_tls(settings: Settings) -> TlsContexts:
    """Build all contexts. Raises :class:`DeploymentIncomplete` that names the files, where they are missing,
    broken, or no pair.
    """
    pki = settings.pki
    try:
        return TlsContexts(
            users=submission_server_context(pki.tls_certificate, pki.tls_key),
            operators=mx_server_context(pki.tls_certificate, pki.tls_key, pki.anchors),
            machines=machines_server_context(pki.tls_certificate, pki.tls_key, pki.anchors),
            outbound=mx_client_context(pki.tls_certificate, pki.tls_key, pki.anchors),
            inside=submission_client_context(pki.anchors),
        )
    except OSError as error:  # ssl.SSLError, too
        files = f"{pki.tls_certificate}, {pki.tls_key}, {pki.anchors}"
        reason = getattr(error, "reason", None) or error.strerror
        raise DeploymentIncomplete(f"{files}: {reason}") from error


class TlsSpace:
    """Gives each connection the context of the moment when it begins; those that are open keep theirs."""

    def __init__(self, contexts: TlsContexts) -> None:
        self._contexts = contexts

    def replace(self, contexts: TlsContexts) -> None:
        """Use others from the next connection on."""
        self._contexts = contexts

    def users(self) -> ssl.SSLContext:
        """For a user's connection."""
        return self._contexts.users

    def operators(self) -> ssl.SSLContext:
        """For another operator's connection."""
        return self._contexts.operators

    def machines(self) -> ssl.SSLContext:
        """For an application's connection."""
        return self._contexts.machines

    def outbound(self) -> ssl.SSLContext:
        """For a connection to another operator."""
        return self._contexts.outbound

    def inside(self) -> ssl.SSLContext:
        """For a connection to our mailbox server."""
        return self._contexts.inside
