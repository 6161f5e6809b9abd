"""Raw mail helpers: fields come and go, the body stays."""

from __future__ import annotations

import pytest

from gateway.intake.faults import (
    BareLineEnd,
    HeaderTooLarge,
    IntakeFault,
    LineTooLong,
    MalformedHeader,
    NulOctet,
)
from gateway.intake.rawmail import count_received, prepend_fields, remove_fields, split, wire_fault

MAIL = (
    b"Received: a\r\nX-TLE-Id: 1\r\n suite\r\nSubject: x\r\nx-tle-ref : 2\r\nRECEIVED: b\r\n\r\n"
    b"X-TLE-Id: corps\r\n"
)


def test_split_and_remove() -> None:
    header, body = split(MAIL)
    assert body == b"X-TLE-Id: corps\r\n"
    assert count_received(header) == 2
    kept = remove_fields(header, lambda name: name.startswith("x-tle-"))
    assert kept == b"Received: a\r\nSubject: x\r\nRECEIVED: b\r\n\r\n"
    assert remove_fields(header, lambda name: False) == header


@pytest.mark.parametrize(
    ("raw", "header"),
    [
        (b"\r\ncorps", b"\r\n"),
        (b"\ncorps", b"\n"),
        (b"A: b\n\ncorps", b"A: b\n\n"),
        (b"A: b\r\n", b"A: b\r\n"),
        (b"", b""),
    ],
)
def test_where_the_header_ends(raw: bytes, header: bytes) -> None:
    assert split(raw)[0] == header
    assert remove_fields(header, lambda name: False) == header


def test_prepended_fields_are_folded_and_encoded() -> None:
    raw = prepend_fields(MAIL, [("X-TLE-State", "en attente"), ("Subject", "Téléexpertise " * 8 + "fin")])
    assert raw.endswith(MAIL)
    added = raw.removesuffix(MAIL)
    assert added.startswith(b"X-TLE-State: en attente\r\nSubject: =?utf-8?b?")
    assert added.isascii()
    assert all(len(line) <= 78 for line in added.split(b"\r\n"))


def test_fields_that_are_encoded_already_stay() -> None:
    value = "=?utf-8?b?UmVuw6k=?= <r@b.test>"
    assert prepend_fields(b"", [("Reply-To", value)]) == f"Reply-To: {value}\r\n".encode()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Subject", "a\r\nBcc: x@y.test"),
        ("Subject", "a\nb"),
        ("Subject", "a\x00"),
        ("Sub ject", "a"),
        ("Subject:", "a"),
        ("", "a"),
        ("Sujet-é", "a"),
        ("Subject", "x" * 1200),
    ],
)
def test_no_injection_by_fields(name: str, value: str) -> None:
    with pytest.raises(ValueError):
        prepend_fields(MAIL, [(name, value)])


@pytest.mark.parametrize(
    ("raw", "fault"),
    [
        (MAIL, None),
        (b"", None),
        (b"Subject: x\r\n\r\n" + b"x" * 998 + b"\r\n", None),
        (b"Subject: x\r\n\r\n" + b"x" * 998, None),
        (b"Subject: x\r\n\r\n" + b"x" * 999 + b"\r\n", LineTooLong),
        (b"Subject: x\r\n\r\n" + b"x" * 999, LineTooLong),
        (b"Subject: x\r\n\r\n" + b"x\r\n" * 5000 + b"x" * 999 + b"\r\nfin\r\n", LineTooLong),
        (b"Subject: x\n\r\n", BareLineEnd),
        (b"Subject: x\r\r\n\r\n", BareLineEnd),
        (b"Subject: x\r\n\r\na\rb\nc", BareLineEnd),
        (b"Subject: x\r\n\r\n\x00", NulOctet),
        (b"From alice Mon Jun  1\r\nSubject: x\r\n\r\n", MalformedHeader),
        (b"X: y\r\n" * 50_000 + b"\r\n", HeaderTooLarge),
    ],
)
def test_what_no_wire_takes(raw: bytes, fault: type[IntakeFault] | None) -> None:
    found = wire_fault(raw)
    assert found is None if fault is None else isinstance(found, fault)
    assert (found is not None and found.disconnect) is (fault is BareLineEnd)
