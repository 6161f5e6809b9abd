"""Reading reports is total."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.relay.dsn import read_report

_START = (
    b"Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n--b\r\n\r\nx\r\n--b\r\n"
)
_FRAGMENTS = [
    b"Content-Type: message/delivery-status\r\n",
    b"\r\n",
    b"\r\n\r\n",
    b"Final-Recipient: rfc822; a@b.test\r\n",
    b"Action: failed\r\n",
    b"Status: 5.1.1\r\n",
    b"--b\r\n",
    b"--b--\r\n",
    b"Content-Type: message/rfc822\r\n\r\n",
    b"Message-ID: <a@b>\r\n",
    b";",
    b"<",
    b">",
    b"\xff",
    b"\x00",
    b"\n",
]


@given(st.lists(st.one_of(st.sampled_from(_FRAGMENTS), st.binary(max_size=8)), max_size=30))
def test_any_octets_give_a_report_or_none(fragments: list[bytes]) -> None:
    report = read_report(_START + b"".join(fragments))
    if report is not None:
        assert report.recipients
        assert all(recipient.final_recipient for recipient in report.recipients)
