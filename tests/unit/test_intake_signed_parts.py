"""What a signature covers by the structure of a mail, and copies of header fields in its text."""

import pytest

from gateway.intake.letter import read_letter
from gateway.intake.limits import IntakeLimits
from gateway.intake.protected import with_protected
from teleexpertise.plaintext import readable_text, unsigned_text

LIMITS = IntakeLimits()


def multipart(kind: str, name: str, *parts: bytes) -> bytes:
    body = b"".join(b"--%s\r\n%s\r\n" % (name.encode(), part) for part in parts)
    head = f'Content-Type: multipart/{kind}; boundary="{name}"\r\n\r\n'.encode()
    return head + body + b"--%s--\r\n" % name.encode()


def text(words: str, kind: str = "plain") -> bytes:
    return f"Content-Type: text/{kind}; charset=utf-8\r\n\r\n{words}".encode()


SIGNATURE = b"Content-Type: application/pkcs7-signature\r\n\r\nAAAA"
SIGNED = multipart("signed", "s", text("Inside"), SIGNATURE)
OPAQUE = b"Content-Type: application/pkcs7-mime; smime-type=signed-data\r\n\r\nAAAA"
ENVELOPED = b"Content-Type: application/pkcs7-mime; smime-type=enveloped-data\r\n\r\nAAAA"


@pytest.mark.parametrize(
    ("mail", "words", "outside"),
    [
        (SIGNED, "Inside", ""),
        (SIGNED + b"After the closing delimiter\r\n", "Inside", ""),
        (multipart("signed", "s", multipart("mixed", "m", text("A"), text("B")), SIGNATURE), "A\nB", ""),
        (
            multipart("signed", "s", SIGNED.replace(b'"s"', b'"t"').replace(b"--s", b"--t"), SIGNATURE),
            "Inside",
            "",
        ),
        (multipart("mixed", "m", SIGNED, text("Footer")), "Inside", "Footer"),
        (multipart("mixed", "m", text("Before"), SIGNED), "Inside", "Before"),
        (multipart("alternative", "m", text("Before"), SIGNED), "Inside", "Before"),
        (multipart("signed", "s", text("Inside"), SIGNATURE, text("Third")), "Inside", "Third"),
        (multipart("signed", "s", text("Inside"), text("No signature")), "Inside", "No signature"),
        (multipart("mixed", "m", text("Beside"), OPAQUE), "", "Beside"),
        (multipart("mixed", "m", text("Beside"), ENVELOPED), "Beside", ""),
        (
            multipart("mixed", "m", text("Words"), b"Content-Type: message/rfc822\r\n\r\n" + SIGNED),
            "Words",
            "",
        ),
        (multipart("mixed", "m", SIGNED, text("<p>Footer</p>", "html")), "Inside", "Footer"),
        (text("Plain"), "Plain", ""),
    ],
)
def test_only_the_signed_part_is_the_authors_word(mail: bytes, words: str, outside: str) -> None:
    letter = read_letter(b"From: a@b.example\r\n" + mail, LIMITS)
    assert readable_text(letter).strip() == words
    assert unsigned_text(letter).strip() == outside
    assert letter.has_unsigned is bool(outside)


def test_attachments_outside_are_known() -> None:
    photo = b"Content-Type: image/png; name=%s\r\n\r\nx"
    inside = multipart("signed", "s", multipart("mixed", "i", text("A"), photo % b"in.png"), SIGNATURE)
    letter = read_letter(multipart("mixed", "m", inside, photo % b"out.png"), LIMITS)
    assert [(a.filename, a.unsigned) for a in letter.attachments] == [("in.png", False), ("out.png", True)]
    assert [a.filename for a in letter.signed_attachments] == ["in.png"]


@pytest.mark.parametrize(
    ("hp", "shown"),
    [("cipher", "Words"), ("clear", "Subject: X\n\nWords"), ("", "Subject: X\n\nWords")],
)
def test_copies_are_left_out_below_hidden_headers_alone(hp: str, shown: str) -> None:
    part = b'Content-Type: text/plain; hp-legacy-display="1"\r\n\r\nSubject: X\r\n\r\nWords\r\n'
    mail = multipart("mixed", "m", part)
    mail = mail.replace(b'boundary="m"', b'boundary="m"; hp="%s"' % hp.encode()) if hp else mail
    assert read_letter(mail, LIMITS).text == shown


def test_protected_fields_win() -> None:
    outer = (
        b"From: a@b.example\r\nTo: x@b.example\r\nCc: eve@b.example\r\nSubject: Outer\r\n"
        b"Message-ID: <1@b>\r\nReferences: <0@b>\r\nReply-To: eve@b.example\r\n\r\nWords\r\n"
    )
    letter = read_letter(outer, LIMITS)
    protected = (("From", "A <a@b.example>"), ("Subject", "=?utf-8?q?=C3=A9t=C3=A9?="), ("To", "y@b.example"))
    believed = with_protected(letter, protected, LIMITS)
    assert believed.subject == "été"
    assert [mailbox.address for mailbox in believed.to] == ["y@b.example"]
    assert (believed.cc, believed.reply_to) == ((), ())
    assert (believed.message_id, believed.references) == ("<1@b>", ("<0@b>",))
    assert with_protected(letter, (), LIMITS) is letter
