"""Any octets give a letter or a declared fault; helpers never touch a body."""

from __future__ import annotations

from hypothesis import assume, given
from hypothesis import strategies as st

from gateway.intake.addresses import read_addresses
from gateway.intake.encodedwords import decode_words, encode_phrase, encode_words
from gateway.intake.faults import IntakeFault, MalformedAddress
from gateway.intake.letter import read_letter
from gateway.intake.limits import IntakeLimits
from gateway.intake.rawmail import header_fields, prepend_fields, remove_fields, split, wire_fault

LIMITS = IntakeLimits(max_depth=4, max_parts=12, max_header_bytes=2000)
FRAGMENTS = [
    b"\r\n",
    b"\n",
    b"\r",
    b"\r\n\r\n",
    b"--b",
    b"--b--",
    b"--c",
    b"\x00",
    b" ",
    b"\t",
    b";",
    b":",
    b"=",
    b'"',
    b"\\",
    b"Content-Type: multipart/mixed; boundary=b\r\n",
    b'Content-Type: multipart/alternative; boundary="c"\r\n',
    b"Content-Type: text/html; charset=",
    b"utf-16",
    b"utf-7",
    b"Content-Transfer-Encoding: base64\r\n",
    b"Content-Transfer-Encoding: quoted-printable\r\n",
    b"Content-Disposition: attachment; filename*0*=",
    b"%C3",
    b"From: ",
    b"To: a@b.test, ",
    b"<c@d.test>",
    b"=?utf-8?b?",
    b"w6k=",
    b"?=",
    b"Date: ",
    b"1 Jan 2026",
    b"+9999",
    b"Content-Type: message/rfc822\r\n",
    b"Content-Type: multipart/signed; boundary=b\r\n",
    b"(",
    b")",
    b"[",
    "é".encode(),
    b"=ZZ",
    b"format=flowed",
    b"Message-ID: <",
    b">",
]
MAILS = st.one_of(
    st.binary(max_size=400),
    st.lists(st.one_of(st.sampled_from(FRAGMENTS), st.binary(max_size=12)), max_size=60).map(b"".join),
)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=80)


@given(MAILS)
def test_any_octets_give_a_letter_or_a_fault(raw: bytes) -> None:
    try:
        letter = read_letter(raw, LIMITS)
    except IntakeFault:
        return
    for _, value in letter.headers:
        assert not set(value) & set("\r\n\x00")
    for attachment in letter.attachments:
        assert attachment.filename
        assert not set(attachment.filename) & set("/\\\r\n\x00")
        assert len(attachment.filename) <= 120
    assert "\x00" not in letter.text + letter.html
    assert letter.size == len(raw)


@given(MAILS)
def test_helpers_keep_every_octet_of_the_body(raw: bytes) -> None:
    header, body = split(raw)
    assert header + body == raw
    fields = b"".join(octets for _, octets in header_fields(header))
    assert header.startswith(fields)
    assert header.removeprefix(fields) in (b"", b"\r\n", b"\n")
    assert remove_fields(header, lambda name: False) == header
    assert not any(
        name == "from" for name, _ in header_fields(remove_fields(header, lambda name: name == "from"))
    )
    assert prepend_fields(raw, [("X-TLE-Id", "1")]) == b"X-TLE-Id: 1\r\n" + raw
    wire_fault(raw)


@given(st.text(max_size=120))
def test_any_address_list_gives_mailboxes_or_a_fault(value: str) -> None:
    try:
        mailboxes = read_addresses(value, 10)
    except MalformedAddress:
        return
    assert all(mailbox.address == mailbox.address.lower() for mailbox in mailboxes)


@given(st.lists(st.text("abéœ€ .-=?_", max_size=12), max_size=8).map(" ".join))
def test_encoded_words_come_back(text: str) -> None:
    assume("=?" not in text or not text.isascii())
    encoded = encode_words(text)
    assert encoded.isascii()
    assert decode_words(encoded) == text
    assert all(len(word) <= 75 for word in encoded.split(" ") if word.startswith("=?"))


@given(TEXTS)
def test_a_prepended_value_is_read_back(value: str) -> None:
    text = " ".join("".join(c for c in value if c.isprintable()).split())
    raw = prepend_fields(b"\r\ncorps\r\n", [("Subject", text)])
    assert wire_fault(raw) is None
    assert read_letter(raw, LIMITS).subject == text


@given(TEXTS)
def test_a_display_name_is_read_back_and_is_only_a_name(name: str) -> None:
    text = " ".join("".join(c for c in name if c.isprintable()).split())
    [mailbox] = read_addresses(f"{encode_phrase(text)} <a@b.test>", 10)
    assert (mailbox.name, mailbox.address) == (text, "a@b.test")
