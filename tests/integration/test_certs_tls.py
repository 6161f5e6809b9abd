"""TLS contexts over loopback: who gets through, under which version and suite."""

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from socket import create_connection, create_server
from typing import Any

import pytest

from certs.names import DistinguishedName
from certs.profiles import ORG_SIGN, SERV_SSL
from certs.tls import (
    mx_client_context,
    mx_server_context,
    peer_name,
    submission_client_context,
    submission_server_context,
)
from tests.support.certificates import certificate, space

SUITES = (
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES256-SHA384",
    "ECDHE-RSA-AES128-SHA256",
)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "ca.pem").write_bytes(space().root.certificate_pem)
    (tmp_path / "other-ca.pem").write_bytes(space("AUTRE").root.certificate_pem)
    server: dict[str, Any] = {"profile": SERV_SSL, "address": None, "hosts": ("localhost",)}
    for name, properties in {
        "operator": {**server, "common_name": "mx.a.example"},
        "peer": {**server, "common_name": "mx.b.example"},
        "stranger": {**server, "which": "AUTRE"},
        "signature": {"profile": ORG_SIGN},
    }.items():
        issued = certificate(**properties)
        (tmp_path / f"{name}.pem").write_bytes(issued.certificate_pem + issued.chain_pem)
        (tmp_path / f"{name}.key").write_bytes(issued.key_pem)
    return tmp_path


@contextmanager
def listening(context: ssl.SSLContext) -> Iterator[tuple[int, list[object]]]:
    """Serve one TLS connection: greet the peer, keep its certificate's name or the error."""
    seen: list[object] = []

    def serve() -> None:
        try:
            connection, _ = server.accept()
            connection.settimeout(20)
            with connection, context.wrap_socket(connection, server_side=True) as tls:
                seen.append(peer_name(tls.getpeercert(binary_form=True)))
                tls.sendall(b"220\r\n")
                tls.recv(1)
        except OSError as error:
            seen.append(error)

    with create_server(("127.0.0.1", 0)) as server:
        server.settimeout(20)
        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1], seen
        thread.join(30)


def greeted(
    port: int, context: ssl.SSLContext, host: str = "localhost"
) -> tuple[str | None, str, DistinguishedName | None]:
    """Connect and wait for the greeting: under TLS 1.3 a refused client notices only then."""
    with (
        create_connection(("127.0.0.1", port), timeout=20) as plain,
        context.wrap_socket(plain, server_hostname=host) as tls,
    ):
        if not tls.recv(3):
            raise ConnectionError("closed without greeting")
        cipher = tls.cipher() or ("", "", 0)
        return tls.version(), cipher[0], peer_name(tls.getpeercert(binary_form=True))


def operator(files: Path) -> ssl.SSLContext:
    return mx_server_context(files / "operator.pem", files / "operator.key", files / "ca.pem")


def test_two_operators_know_each_other_by_name_whatever_the_host(files: Path) -> None:
    client = mx_client_context(files / "peer.pem", files / "peer.key", files / "ca.pem")
    with listening(operator(files)) as (port, seen):
        version, _, name = greeted(port, client, host="autre.example")
    assert version == "TLSv1.3"
    assert name is not None
    assert name.values("CN") == ("mx.a.example",)
    assert isinstance(seen[0], DistinguishedName)
    assert seen[0].values("CN") == ("mx.b.example",)


@pytest.mark.parametrize("suite", SUITES)
def test_each_suite_of_tls_1_2(suite: str, files: Path) -> None:
    client = mx_client_context(files / "peer.pem", files / "peer.key", files / "ca.pem")
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    client.set_ciphers(suite)
    with listening(operator(files)) as (port, _):
        assert greeted(port, client)[:2] == ("TLSv1.2", suite)


@pytest.mark.parametrize("who", [None, "stranger", "signature"])
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_no_certificate_or_a_wrong_one_does_not_get_through(
    who: str | None, version: ssl.TLSVersion, files: Path
) -> None:
    client = submission_client_context(files / "ca.pem")
    client.minimum_version = client.maximum_version = version
    if who:
        client.load_cert_chain(files / f"{who}.pem", files / f"{who}.key")
    with listening(operator(files)) as (port, seen), pytest.raises((ssl.SSLError, ConnectionError)):
        greeted(port, client)
    assert isinstance(seen[0], ssl.SSLError)


@pytest.mark.parametrize(
    "suite", ["AES256-GCM-SHA384", "DHE-RSA-AES256-GCM-SHA384", "ECDHE-RSA-CHACHA20-POLY1305"]
)
def test_other_suites_are_refused(suite: str, files: Path) -> None:
    client = mx_client_context(files / "peer.pem", files / "peer.key", files / "ca.pem")
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    client.set_ciphers(suite)
    with listening(operator(files)) as (port, _), pytest.raises((ssl.SSLError, ConnectionError)):
        greeted(port, client)


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")  # old versions are the point
def test_tls_1_1_is_refused(files: Path) -> None:
    client = mx_client_context(files / "peer.pem", files / "peer.key", files / "ca.pem")
    client.minimum_version = ssl.TLSVersion.TLSv1
    client.set_ciphers("ALL:@SECLEVEL=0")
    client.maximum_version = ssl.TLSVersion.TLSv1_1
    with listening(operator(files)) as (port, seen), pytest.raises((ssl.SSLError, ConnectionError)):
        greeted(port, client)
    assert isinstance(seen[0], ssl.SSLError)


def test_our_client_refuses_a_server_of_another_root(files: Path) -> None:
    client = mx_client_context(files / "peer.pem", files / "peer.key", files / "ca.pem")
    stranger = submission_server_context(files / "stranger.pem", files / "stranger.key")
    with listening(stranger) as (port, _), pytest.raises(ssl.SSLCertVerificationError):
        greeted(port, client)


def test_a_user_needs_no_certificate_and_checks_the_host(files: Path) -> None:
    server = submission_server_context(files / "operator.pem", files / "operator.key")
    with listening(server) as (port, seen):
        greeted(port, submission_client_context(files / "ca.pem"))
    assert seen == [None]
    with listening(server) as (port, _), pytest.raises(ssl.SSLCertVerificationError):
        greeted(port, submission_client_context(files / "ca.pem"), host="autre.example")
