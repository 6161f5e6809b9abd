"""What measurements share: the median in processor time, mails of a size, and the openssl command beside."""

from __future__ import annotations

import base64
import resource
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random

from tests.support import certificates

__all__ = ["mail", "median", "openssl", "tell"]

_SECONDS = 1.0
_LEAST_CALLS = 5


def median(call: Callable[[], object], clock: Callable[[], float] = time.process_time) -> float:
    """Seconds of one call: the median of as many as fit into a second, at least five."""
    call()
    found: list[float] = []
    until = time.monotonic() + _SECONDS
    while len(found) < _LEAST_CALLS or time.monotonic() < until:
        begun = clock()
        call()
        found.append(clock() - begun)
    return statistics.median(found)


def tell(what: str, seconds: float, beside: str = "", other: float = 0.0) -> None:
    """Print one line; the ratio is ours to the other's, below 1 we are faster."""
    compared = f"  {beside} {other * 1000:9.3f} ms, ratio {seconds / other:5.2f}" if other else ""
    print(f"{what:44}{seconds * 1000:10.3f} ms{compared}", flush=True)


def mail(octets: int) -> bytes:
    """A mail of about that size: text of one person up to 4 kB, above that photos in base64."""
    head = b"".join(f"{name}: {value}\r\n".encode() for name, value in certificates.headers())
    words = "Lésion pigmentée du mollet, 9 mm, bords irréguliers.\r\n".encode()
    if octets <= 4096:
        kind = b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
        return head + kind + words * ((octets - len(head)) // len(words))
    photo = base64.encodebytes(Random(1).randbytes(octets // 4)).replace(b"\n", b"\r\n")
    part = b"--b\r\nContent-Type: image/jpeg; name=photo.jpg\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    text = b"--b\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\nTrois photos.\r\n"
    body = text + b"".join(part + photo + b"\r\n" for _ in range(3)) + b"--b--\r\n"
    return head + b"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n" + body


def openssl(entity: bytes, signed: bytes) -> tuple[float, float]:
    """Seconds of signing and of verifying by the command; it checks no revocation and no header."""
    issued = certificates.certificate()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "own.pem").write_bytes(issued.certificate_pem + issued.key_pem)
        (folder / "chain.pem").write_bytes(issued.chain_pem)
        (folder / "root.pem").write_bytes(certificates.space().root.certificate_pem)
        (folder / "entity").write_bytes(entity)
        (folder / "signed").write_bytes(signed)

        def cms(*words: str) -> None:
            done = subprocess.run(
                ["openssl", "cms", *words, "-out", "out"], cwd=folder, capture_output=True, check=False
            )
            assert done.returncode == 0, done.stderr.decode()

        sign = ("-sign", "-binary", "-in", "entity", "-signer", "own.pem", "-certfile", "chain.pem")
        verify = ("-verify", "-in", "signed", "-CAfile", "root.pem", "-purpose", "smimesign")
        return median(partial(cms, *sign), of_children), median(partial(cms, *verify), of_children)


def of_children() -> float:
    """Processor seconds of the processes that have ended so far."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
