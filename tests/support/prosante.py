"""A fake Pro Santé Connect: keys, a token maker that also makes hostile tokens, and its key set over HTTP."""

from __future__ import annotations

import base64
import hmac
import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from joserfc import jws
from joserfc.jwk import ECKey, RSAKey

ISSUER = "https://auth.psc.example/auth/realms/esante-wallet"
CLIENT = "logiciel-de-cabinet"


@cache
def _rsa(name: str) -> RSAKey:
    return RSAKey.generate_key(2048, {"kid": name}, auto_kid=False)


def encoded(value: object) -> str:
    """One segment of a token."""
    octets = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def claims_of(rpps: str, **changes: Any) -> dict[str, Any]:
    """The claims of a good access token; a change to ``None`` leaves one out."""
    now = int(time.time())
    made = {
        "iss": ISSUER,
        "aud": "account",
        "azp": CLIENT,
        "typ": "Bearer",
        "acr": "eidas1",
        "iat": now - 5,
        "exp": now + 300,
        "SubjectNameID": f"8{rpps}",
        **changes,
    }
    return {name: value for name, value in made.items() if value is not None}


@dataclass
class ProSante:
    """An issuer. ``answer`` is what its key set address says; ``asked`` counts the questions."""

    kid: str = "psc-1"
    url: str = ""
    asked: int = 0
    answer: bytes | None = None
    status: int = 200
    silent: threading.Event = field(default_factory=threading.Event)

    def key(self, kid: str = "") -> RSAKey:
        """The signing key of a name, the same in one run."""
        return _rsa(kid or self.kid)

    def key_set(self, *more: Mapping[str, Any]) -> bytes:
        """The published key set."""
        own = {**self.key().as_dict(private=False), "kid": self.kid, "use": "sig", "alg": "RS256"}
        return json.dumps({"keys": [own, *more]}).encode()

    def token(self, rpps: str, header: Mapping[str, Any] | None = None, kid: str = "", **changes: Any) -> str:
        """A token for the holder of an RPPS number, signed by the key ``kid``."""
        head = {"alg": "RS256", "typ": "JWT", "kid": kid or self.kid, **(header or {})}
        return self.signed(head, json.dumps(claims_of(rpps, **changes)).encode(), self.key(kid))

    def signed(self, header: dict[str, Any], payload: bytes, key: RSAKey | ECKey) -> str:
        """A token of this header and these octets, signed truly."""
        registry = jws.JWSRegistry(algorithms=[header["alg"]], strict_check_header=False)
        return jws.serialize_compact(header, payload, key, algorithms=[header["alg"]], registry=registry)

    def forged(self, header: Mapping[str, Any], rpps: str, signature: bytes = b"", **changes: Any) -> str:
        """A token with any header and signature."""
        return ".".join((encoded(dict(header)), encoded(claims_of(rpps, **changes)), encoded(signature)))

    def confused(self, rpps: str) -> str:
        """A token whose HMAC was made with the published public key (CVE-2015-9235)."""
        head = encoded({"alg": "HS256", "typ": "JWT", "kid": self.kid})
        signed = f"{head}.{encoded(claims_of(rpps))}"
        mark = hmac.digest(self.key().as_pem(private=False), signed.encode(), "sha256")
        return f"{signed}.{encoded(mark)}"


@contextmanager
def pro_sante() -> Iterator[ProSante]:
    """An issuer whose key set is served on loopback. While ``silent`` is set it takes connections and says
    nothing.
    """
    issuer = ProSante()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            issuer.asked += 1
            while issuer.silent.is_set() and not self.server.ending:  # type: ignore[attr-defined]
                time.sleep(0.02)
            body = issuer.key_set() if issuer.answer is None else issuer.answer
            with suppress(OSError):  # who asked may have lost patience
                self.send_response(issuer.status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.ending = False  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    issuer.url = f"http://127.0.0.1:{server.server_port}/certs"
    try:
        yield issuer
    finally:
        server.ending = True  # type: ignore[attr-defined]
        server.shutdown()
        server.server_close()
        thread.join(10)
