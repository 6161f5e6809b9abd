"""What a signer announces to be able to read (RFC 8551 §2.5.2) decides how mail is encrypted for them."""

import pytest

from certs.der import integer, object_identifier, octet_string, sequence
from certs.envelopes import read_capabilities
from certs.smime import sign_message, verify_message
from tests.support.certificates import ENTITY, NOW, headers, signer, trust


def test_what_a_verified_signer_announces_is_known() -> None:
    report = verify_message(sign_message(headers(), ENTITY, signer(), NOW), trust(), NOW)
    assert read_capabilities(report.signers[0].capabilities).gcm
    altered = sign_message(headers(), ENTITY, signer(), NOW).replace(b"Bonjour", b"Bonsoir")
    assert verify_message(altered, trust(), NOW).signers[0].capabilities == b""


@pytest.mark.parametrize(
    ("encoded", "announced"),
    [
        (sequence(sequence(object_identifier("2.16.840.1.101.3.4.1.46"))), True),
        (sequence(sequence(object_identifier("2.16.840.1.101.3.4.1.42"))), False),
        (sequence(sequence(object_identifier("1.2.840.113549.3.2"), integer(128))), False),
        (sequence(), False),
        (b"", False),
        (b"\x30\x80", False),
        (octet_string(b"x"), False),
        (sequence(integer(1)), False),
    ],
)
def test_capabilities_of_any_form_are_read(encoded: bytes, announced: bool) -> None:
    assert read_capabilities(encoded).gcm is announced
