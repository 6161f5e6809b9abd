"""DKIM for tests: keys, their table, a tiny DNS server, and two judges: python3-dkim and libopendkim."""

from __future__ import annotations

import asyncio
import base64
import ctypes.util
import json
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, cast

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest

from certs.dkim import (
    DkimReport,
    DkimSigner,
    KeyKind,
    KeyName,
    KeyRecord,
    Unavailable,
    load_dkim_signer,
    new_dkim_key,
    parse_key_record,
    render_key_record,
    verify_dkim,
)
from config import Settings
from gateway.dkimkeys import key_place
from gateway.dkimspace import load_our_keys

DOMAIN, SELECTOR = "demo.mssante.example", "s1"
KEY: KeyName = (DOMAIN, SELECTOR)
NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


@cache
def key_pem(kind: KeyKind = KeyKind.ED25519) -> bytes:
    """A private key, the same for all tests."""
    return new_dkim_key(kind)


@cache
def dkim_signer(kind: KeyKind = KeyKind.ED25519) -> DkimSigner:
    """Signs for the test domain."""
    return load_dkim_signer(DOMAIN, SELECTOR, key_pem(kind))


def record_text(kind: KeyKind = KeyKind.ED25519) -> str:
    """What is published for that signer."""
    return render_key_record(dkim_signer(kind).record)


def keys_of(record: bytes | str | Unavailable, name: KeyName = KEY) -> dict[KeyName, KeyRecord | Unavailable]:
    """A mapping with one key."""
    if isinstance(record, Unavailable):
        return {name: record}
    return {name: parse_key_record(record.encode() if isinstance(record, str) else record)}


def judged(raw: bytes, kind: KeyKind = KeyKind.ED25519, now: datetime = NOW) -> DkimReport:
    """Our verdict where the test key is known."""
    return verify_dkim(raw, keys_of(record_text(kind)), now)


def published(settings: Settings) -> dict[str, str]:
    """The records of a deployment's keys under each of its domains, as the DNS would have them."""
    return {
        key_place((domain, one.signer.selector)): render_key_record(one.signer.record)
        for one in load_our_keys(settings)
        for domain in settings.local_domains
    }


def keys_toml(records: Mapping[str, str]) -> str:
    """The table of keys for the end of a settings file."""
    return "\n[dkim.keys]\n" + "".join(f'"{place}" = "{text}"\n' for place, text in records.items())


# -- a DNS server -------------------------------------------------------------------------------------------


@dataclass
class Zone(asyncio.DatagramProtocol):
    """Answers TXT questions: `texts` by name; names in `broken` with SERVFAIL, in `silent` not at all, all
    others with NXDOMAIN. `asked` lists the questions.
    """

    texts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    broken: frozenset[str] = frozenset()
    silent: frozenset[str] = frozenset()
    asked: list[str] = field(default_factory=list)
    transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the socket."""
        self.transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: Any) -> None:
        """Answer one question."""
        question = dns.message.from_wire(data)
        name = question.question[0].name
        text = name.to_text(omit_final_dot=True).lower()
        self.asked.append(text)
        if text in self.silent:
            return
        answer = dns.message.make_response(question)
        answer.flags |= dns.flags.RA
        if text in self.broken:
            answer.set_rcode(dns.rcode.SERVFAIL)
        elif text in self.texts:
            answer.answer.append(dns.rrset.from_text_list(name, 300, "IN", "TXT", list(self.texts[text])))
        else:
            answer.set_rcode(dns.rcode.NXDOMAIN)
        assert self.transport is not None
        self.transport.sendto(answer.to_wire(), addr)


@asynccontextmanager
async def dns_server(zone: Zone) -> AsyncIterator[str]:
    """The zone served by UDP on a free port of the loopback: its address as settings name it."""
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: zone, local_addr=("127.0.0.1", 0))
    try:
        yield f"127.0.0.1:{transport.get_extra_info('sockname')[1]}"
    finally:
        transport.close()


def quoted(text: str) -> str:
    """A text as the strings of a TXT record."""
    return " ".join(f'"{text[at : at + 255]}"' for at in range(0, len(text), 255))


# -- python3-dkim -------------------------------------------------------------------------------------------

_DKIMPY = """
import base64, json, sys, time
import dkim
from dkim import canonicalization as canon
decode = lambda text: base64.b64decode(text)
encode = lambda octets: base64.b64encode(octets).decode()
def answer(ask):
    raw = decode(ask["raw"])
    if ask["do"] == "verify":
        records = {name.encode(): text.encode() for name, text in ask["keys"].items()}
        try:
            return dkim.verify(raw, dnsfunc=lambda name, timeout=5: records.get(name.rstrip(b".")))
        except dkim.DKIMException:
            return False
    if ask["do"] == "sign":
        kind = ask["kind"].encode()
        key = decode(ask["key"])
        policy = tuple(part.encode() for part in ask["policy"])
        return encode(dkim.sign(raw, ask["selector"].encode(), ask["domain"].encode(), key,
                                canonicalize=policy, signature_algorithm=kind,
                                include_headers=[h.encode() for h in ask["headers"]] or None))
    if ask["do"] == "time":
        call = lambda: answer(ask["question"])
        call()
        found = []
        for _ in range(5):
            begun = time.process_time()
            call()
            found.append(time.process_time() - begun)
        return sorted(found)[2]
    if ask["do"] == "body":
        return encode(getattr(canon, ask["policy"]).canonicalize_body(raw))
    name, _, value = raw.partition(b":")
    found = getattr(canon, ask["policy"]).canonicalize_headers([(name, value)])
    return encode(b"".join(key + b":" + rest for key, rest in found))
for line in sys.stdin:
    print(json.dumps(answer(json.loads(line))), flush=True)
"""


@dataclass(frozen=True, slots=True)
class Dkimpy:
    """python3-dkim in a process of the system's own Python that answers question after question."""

    process: subprocess.Popen[str]

    def _ask(self, **question: Any) -> Any:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, "python3-dkim has ended"
        return json.loads(line)

    def verify(self, raw: bytes, keys: Mapping[str, str]) -> bool:
        """Whether its topmost signature holds; ``keys``: record by name."""
        return bool(self._ask(do="verify", raw=_text(raw), keys=dict(keys)))

    def sign(
        self,
        raw: bytes,
        kind: KeyKind,
        policy: tuple[str, str],
        headers: tuple[str, ...] = (),
        key: bytes | None = None,
    ) -> bytes:
        """Its signature field for the test key, with final CRLF."""
        question = self._signing(raw, kind, policy, headers, key)
        return base64.b64decode(self._ask(**question))

    @staticmethod
    def _signing(
        raw: bytes, kind: KeyKind, policy: tuple[str, str], headers: tuple[str, ...], key: bytes | None
    ) -> dict[str, Any]:
        pem = key or (_raw_ed25519() if kind is KeyKind.ED25519 else _pkcs1())
        return {
            "do": "sign",
            "raw": _text(raw),
            "kind": f"{kind}-sha256",
            "policy": policy,
            "headers": headers,
            "domain": DOMAIN,
            "selector": SELECTOR,
            "key": _text(pem),
        }

    def seconds(
        self, raw: bytes, signed: bytes, kind: KeyKind, keys: Mapping[str, str]
    ) -> tuple[float, float]:
        """Processor seconds of its signing and of its verifying, medians of five."""
        sign = self._signing(raw, kind, ("relaxed", "simple"), (), None)
        verify = {"do": "verify", "raw": _text(signed), "keys": dict(keys)}
        return (
            float(self._ask(do="time", raw="", question=sign)),
            float(self._ask(do="time", raw="", question=verify)),
        )

    def body(self, octets: bytes, policy: str) -> bytes:
        """A body in canonical form; ``policy`` is Simple or Relaxed."""
        return base64.b64decode(self._ask(do="body", raw=_text(octets), policy=policy))

    def header(self, octets: bytes, policy: str) -> bytes:
        """A field, with its CRLF, in canonical form."""
        return base64.b64decode(self._ask(do="header", raw=_text(octets), policy=policy))


def _text(octets: bytes) -> str:
    return base64.b64encode(octets).decode("ascii")


def _raw_ed25519() -> bytes:
    key: Any = dkim_signer(KeyKind.ED25519).key
    return base64.b64encode(key.private_bytes_raw())


def _pkcs1() -> bytes:
    return key_pem(KeyKind.RSA)


@contextmanager
def dkimpy() -> Iterator[Dkimpy]:
    """Start it; skips where Debian's python3-dkim is not installed."""
    python = Path("/usr/bin/python3")
    probe = [str(python), "-c", "import dkim, nacl"]
    if not python.exists() or subprocess.run(probe, capture_output=True, check=False).returncode:
        pytest.skip("python3-dkim is not installed")
    process = subprocess.Popen(
        [str(python), "-c", _DKIMPY], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        yield Dkimpy(process)
    finally:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()
        process.stdout.close()
        process.wait(30)


# -- OpenDKIM -----------------------------------------------------------------------------------------------

_SETOPT, _QUERYMETHOD, _QUERYINFO, _FILE = 1, 6, 7, 1
_CANONICAL = {"simple": 0, "relaxed": 1}
_ALGORITHM = {KeyKind.RSA: 1, KeyKind.ED25519: 2}
_WHOLE_BODY = ctypes.c_ssize_t(-1)


@contextmanager
def _opendkim() -> Iterator[tuple[ctypes.CDLL, ctypes.c_void_p]]:
    """libopendkim, the library behind opendkim and opendkim-testmsg, and a handle of it.

    It is called directly, since its commands ask only the machine's DNS and sign by SHA-1. Skips where it is
    not installed.
    """
    name = ctypes.util.find_library("opendkim")
    if name is None:
        pytest.skip("libopendkim is not installed")
    library = ctypes.CDLL(name)
    for function in ("dkim_init", "dkim_verify", "dkim_sign"):
        getattr(library, function).restype = ctypes.c_void_p
    handle = ctypes.c_void_p(library.dkim_init(None, None))
    try:
        yield library, handle
    finally:
        library.dkim_close(handle)


def _fed(library: ctypes.CDLL, session: ctypes.c_void_p, raw: bytes) -> int:
    """The status after a whole mail, 0 for good."""
    library.dkim_chunk(session, raw, ctypes.c_size_t(len(raw)))
    library.dkim_chunk(session, None, ctypes.c_size_t(0))
    return int(library.dkim_eom(session, None))


def opendkim_verifies(raw: bytes, keys: Mapping[str, str]) -> bool:
    """Whether libopendkim takes a mail's signatures; ``keys``: record by name."""
    with _opendkim() as (library, handle), tempfile.NamedTemporaryFile("w") as table:
        table.write("".join(f"{place} {text}\n" for place, text in keys.items()))
        table.flush()
        method, path = ctypes.c_int(_FILE), ctypes.create_string_buffer(table.name.encode())
        size = ctypes.c_size_t(ctypes.sizeof(method))
        assert library.dkim_options(handle, _SETOPT, _QUERYMETHOD, ctypes.byref(method), size) == 0
        assert library.dkim_options(handle, _SETOPT, _QUERYINFO, path, ctypes.c_size_t(len(path))) == 0
        status = ctypes.c_int(-1)
        session = ctypes.c_void_p(library.dkim_verify(handle, b"test", None, ctypes.byref(status)))
        assert status.value == 0
        found = _fed(library, session, raw)
        library.dkim_free(session)
    return found == 0


def opendkim_signs(raw: bytes, kind: KeyKind, policy: tuple[str, str]) -> bytes:
    """The signature field of libopendkim for the test key, with final CRLF; the mail must have a Date."""
    with _opendkim() as (library, handle):
        status = ctypes.c_int(-1)
        session = ctypes.c_void_p(
            library.dkim_sign(
                handle,
                b"test",
                None,
                key_pem(kind),
                SELECTOR.encode(),
                DOMAIN.encode(),
                *(_CANONICAL[part] for part in policy),
                _ALGORITHM[kind],
                _WHOLE_BODY,
                ctypes.byref(status),
            )
        )
        assert status.value == 0
        assert _fed(library, session, raw) == 0
        field = ctypes.create_string_buffer(4096)
        assert library.dkim_getsighdr(session, field, ctypes.c_size_t(len(field)), ctypes.c_size_t(16)) == 0
        library.dkim_free(session)
    return b"DKIM-Signature: " + field.value + b"\r\n"
