"""Decrypted content is somebody's octets: whatever they are, the mail made of them keeps to the header
outside.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from certs.fields import FieldFault, split_message
from gateway.intake.faults import IntakeFault
from gateway.intake.letter import read_letter
from gateway.intake.limits import IntakeLimits
from gateway.intake.rawmail import header_fields, split
from gateway.pipeline.opening import with_entity

OUTER = (
    b"From: a@b.example\r\nTo: c@d.example\r\nSubject: [...]\r\nMessage-ID: <1@b.example>\r\n"
    b"Content-Type: application/pkcs7-mime; smime-type=enveloped-data\r\nMIME-Version: 1.0\r\n\r\nAAAA\r\n"
)
NAMES = st.sampled_from(
    [
        "From",
        "X-TLE-State",
        "X-TLE-Delivery",
        "Authentication-Results",
        "Bcc",
        "Content-Type",
        "CONTENT-X",
        "Subject",
    ]
)
FIELDS = st.lists(st.tuples(NAMES, st.text('abc;=/ "x-', max_size=12)), max_size=5)
PIECES = st.lists(
    st.sampled_from(
        [b"\r\n", b"\n", b"\r", b" ", b"Content-Type: ", b"X-TLE-Id: 1", b"a", b"\x00", b":", b"\xc3\xa9"]
    ),
    max_size=14,
).map(b"".join)


def rendered(fields: list[tuple[str, str]], body: bytes) -> bytes:
    return "".join(f"{name}: {value}\r\n" for name, value in fields).encode() + b"\r\n" + body


@given(entity=st.one_of(PIECES, st.builds(rendered, FIELDS, PIECES)))
def test_only_what_describes_the_content_is_taken_from_inside(entity: bytes) -> None:
    try:
        _, body = split_message(entity)
    except FieldFault:
        return  # such content is not released, see certs.envelopes
    clear = with_entity(OUTER, entity)
    header, after = split(clear)
    assert after == entity[body:]
    fields = [(name, octets) for name, octets in header_fields(header) if not name.startswith("content-")]
    outer = [
        (name, octets) for name, octets in header_fields(split(OUTER)[0]) if not name.startswith("content-")
    ]
    assert sorted(fields) == sorted(outer)
    try:
        letter = read_letter(clear, IntakeLimits())
    except IntakeFault:
        return
    assert letter.author is not None
    assert letter.author.address == "a@b.example"
    assert not letter.first("X-TLE-State")
