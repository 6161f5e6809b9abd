"""The words of the dialogue: replies, command arguments, xtext, trace."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest

from gateway.smtp.commands import read_hello, read_mail, read_plain, read_rcpt
from gateway.smtp.envelope import Envelope, Peer, PeerKind
from gateway.smtp.refusals import BadSyntax, Refusal
from gateway.smtp.replies import reply
from gateway.smtp.trace import received_field
from gateway.smtp.xtext import decode_xtext, encode_xtext


def test_replies_are_short_ascii_lines() -> None:
    octets = reply(550, "5.7.1", "Refusé : l’adresse n’est pas à vous. " * 30 + "\n\nAu cœur…\r\n\x00☃")
    lines = octets.split(b"\r\n")
    assert lines.pop() == b""
    assert all(len(line) + 2 <= 512 and line.isascii() for line in lines)
    assert all(line.startswith(b"550-5.7.1 ") for line in lines[:-1])
    assert lines[-1] == b"550 5.7.1 Au coeur...?" or lines[-2:] == [b"550-5.7.1 Au coeur...", b"550 5.7.1 ?"]


def test_an_empty_reply_is_still_one() -> None:
    assert reply(334, "", "") == b"334 \r\n"


@pytest.mark.parametrize(
    ("argument", "address"),
    [
        ("FROM:<>", ""),
        ("from:<A.b@C.Test>", "A.b@c.test"),
        ("FROM: <a@b.test>", "a@b.test"),
        ("FROM:<@relay.test,@x.test:a@b.test>", "a@b.test"),
        ('FROM:<"a.b"@c.test>', "a.b@c.test"),
        ('FROM:<"a b"@c.test>', '"a b"@c.test'),
        ("FROM:<a@[192.0.2.1]>", "a@[192.0.2.1]"),
        ("FROM:<o'neil+x=y@b.test>", "o'neil+x=y@b.test"),
    ],
)
def test_sender_addresses(argument: str, address: str) -> None:
    assert read_mail(argument, 1000).address == address


@pytest.mark.parametrize(
    "argument",
    [
        "",
        "FROM",
        "FROM:",
        "FROM:a@b.test",
        "FROM:<a@b.test",
        "FROM:<a@b.test>x",
        "FROM:<a@@b.test>",
        "FROM:<a..b@c.test>",
        "FROM:<.a@b.test>",
        "FROM:<a b@c.test>",
        "FROM:<a@b..test>",
        "FROM:<a@-b.test>",
        "FROM:<" + "a" * 65 + "@b.test>",
        "FROM:<a@" + "b" * 256 + ">",
        "FROM:<a@b.test> SIZE=1 SIZE=2",
        "FROM:<a@b.test> SIZE=",
        "FROM:<a@b.test> SIZE=-1",
        "FROM:<a@b.test> ENVID=a+4",
        "FROM:<a@b.test> ENVID=+0A",
        "FROM:<a@b.test\x00>",
        "FROM:<é@b.test>",
        "FROM:<a@b.test>\tSIZE=1",
        "FROM:<a>",
    ],
)
def test_malformed_mail(argument: str) -> None:
    with pytest.raises(BadSyntax):
        read_mail(argument, 1000)


@pytest.mark.parametrize(
    "argument",
    ["TO:<>", "TO:<a>", "TO:<a@b.test> NOTIFY=", "TO:<a@b.test> NOTIFY=X", "TO:<a@b.test> ORCPT=rfc822;"],
)
def test_malformed_rcpt(argument: str) -> None:
    with pytest.raises(Refusal):
        read_rcpt(argument)


def test_postmaster_needs_no_domain() -> None:
    assert read_rcpt("TO:<PostMaster>").address == "PostMaster"


@pytest.mark.parametrize("name", ["[127.0.0.1]", "[IPv6:::1]", "client.example", "my_pc"])
def test_hello_names(name: str) -> None:
    assert read_hello(name) == name


@pytest.mark.parametrize("name", ["a b", "a\rb", "(x)", "é", "x" * 300, "a;b"])
def test_hello_names_that_no_header_may_hold(name: str) -> None:
    assert read_hello(name) == "unknown"


def test_plain() -> None:
    assert read_plain("\x00alice\x00secret:é") == ("alice", "secret:é")
    assert read_plain("alice\x00alice\x00s") == ("alice", "s")
    for message in ("", "alice\x00s", "bob\x00alice\x00s", "\x00\x00s", "\x00a\x00b\x00c"):
        with pytest.raises(BadSyntax):
            read_plain(message)


def test_xtext() -> None:
    assert encode_xtext("a+b=c d") == "a+2Bb+3Dc+20d"
    assert decode_xtext("a+2Bb+3Dc+20d") == "a+b=c d"
    assert decode_xtext("a+2b") is None
    assert decode_xtext("a=b") is None
    assert decode_xtext("+0D+0A") is None
    with pytest.raises(ValueError):
        encode_xtext("é")


def test_received() -> None:
    peer = Peer(PeerKind.USER, "192.0.2.7", "[10.0.0.1]", "TLSv1.3", "TLS_AES_256_GCM_SHA384", "alice@b.test")
    envelope = Envelope(
        "Q7",
        peer,
        "alice@b.test",
        ("bob@c.test",),
        datetime(2026, 6, 1, 10, tzinfo=timezone(timedelta(hours=2))),
    )
    assert received_field(envelope, "mx.b.test") == (
        "from [10.0.0.1] ([192.0.2.7]) (TLSv1.3 TLS_AES_256_GCM_SHA384) by mx.b.test with ESMTPSA id Q7"
        " for <bob@c.test>; Mon, 01 Jun 2026 10:00:00 +0200"
    )
    operator = Envelope(
        "Q8",
        replace(peer, kind=PeerKind.OPERATOR, ip="2001:db8::1", login=""),
        "",
        ("bob@c.test", "secret@c.test"),
        datetime(2026, 6, 1, 8, tzinfo=UTC),
    )
    field = received_field(operator, "mx.b.test")
    assert "([IPv6:2001:db8::1])" in field
    assert "with ESMTPS id Q8; Mon" in field
    assert "secret" not in field
