"""What the intake makes of mails as clients write them, and what it refuses."""

from __future__ import annotations

from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP

import pytest

from gateway.intake.faults import (
    AmbiguousStructure,
    HeaderTooLarge,
    IntakeFault,
    MalformedAddress,
    MalformedHeader,
    NulOctet,
    TooDeep,
    TooManyParts,
)
from gateway.intake.letter import read_letter
from gateway.intake.limits import IntakeLimits
from teleexpertise.letters import Letter, Mailbox, PartKind

LIMITS = IntakeLimits()


def read(text: str | bytes, inner: bytes | None = None) -> Letter:
    """Read a mail written with Unix line ends."""
    octets = text.encode("utf-8") if isinstance(text, str) else text
    return read_letter(octets.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"), LIMITS, inner)


class TestHeaders:
    def test_identities_dates_and_threads(self) -> None:
        letter = read(
            "From: =?iso-8859-1?Q?R=E9my?= PERRET <Remy.Perret@Cabinet.MSSante.example>\n"
            "Sender: secretariat@cabinet.mssante.example\n"
            'To: "DUPONT, Jean" <j@b.test>, Equipe: c@d.test, d@e.test;\n'
            "Cc: undisclosed-recipients:;\n"
            "Subject: =?utf-8?B?UMOpcmlvZGU=?=\n =?utf-8?B?IGFuZ2l2?= et suite\n"
            "Message-ID: <un@b.test>\n"
            "In-Reply-To: <zero@b.test>\n"
            "References: <a@b.test>\n <zero@b.test> bruit <zero@b.test>\n"
            "Date: Mon, 1 Jun 2026 10:00:00 +0200 (CEST)\n\nBonjour\n"
        )
        assert letter.author == Mailbox("remy.perret@cabinet.mssante.example", "Rémy PERRET")
        assert letter.sender == Mailbox("secretariat@cabinet.mssante.example")
        assert letter.to == (Mailbox("j@b.test", "DUPONT, Jean"), Mailbox("c@d.test"), Mailbox("d@e.test"))
        assert letter.cc == ()
        assert letter.subject == "Période angiv et suite"
        assert letter.message_id == "<un@b.test>"
        assert letter.in_reply_to == ("<zero@b.test>",)
        assert letter.references == ("<a@b.test>", "<zero@b.test>")
        assert letter.sent_at == datetime(2026, 6, 1, 8, tzinfo=UTC)
        assert letter.text == "Bonjour"

    def test_several_from_fields_give_several_senders(self) -> None:
        letter = read("From: a@b.test\nFrom: c@d.test\n\nx\n")
        assert [mailbox.address for mailbox in letter.senders] == ["a@b.test", "c@d.test"]
        assert letter.author is None

    @pytest.mark.parametrize(
        "value",
        [
            "alice@example.org)bob@evil.test",
            "alice@example.org <bob@evil.test>",
            "<alice@example.org>bob@evil.test",
            "<alice@example.org> <bob@evil.test>",
            "<<alice@example.org>>",
            "alice bob@example.org",
            "alice@bob@example.org",
            "<@evil.test:alice@example.org>",
            "alice@",
            "@example.org",
            "alice@exam ple.org",
            '"alice@example.org',
            "alice@example.org (open",
            "Groupe: alice@example.org",
            "Groupe: sous: a@b.test;;",
            "a" * 65 + "@b.test",
            "=?utf-8?Q?Dupont,_Jean?= <a@b.test>",
            "<>",
            '"a\x01b"@b.test',
        ],
    )
    def test_addresses_with_two_readings_are_refused(self, value: str) -> None:
        if "\x01" in value:
            # Controls never reach the reader of addresses: they are dropped with the header decoding.
            assert read(f"From: {value}\n\n").author == Mailbox("ab@b.test")
            return
        with pytest.raises(MalformedAddress):
            read(f"From: {value}\n\nx\n")

    @pytest.mark.parametrize(
        ("value", "mailbox"),
        [
            ("Alice@B.test", Mailbox("alice@b.test")),
            ("<a.b@c.test>", Mailbox("a.b@c.test")),
            ("Dr. Anne Le Goff <a@b.test>", Mailbox("a@b.test", "Dr. Anne Le Goff")),
            ('"a@b.test" <c@d.test>', Mailbox("c@d.test", "a@b.test")),
            ("a@b.test (un commentaire (emboîté))", Mailbox("a@b.test")),
            ('"jean"@b.test', Mailbox("jean@b.test")),
            ('"jean dupont"@b.test', Mailbox('"jean dupont"@b.test')),
            ("a@[192.0.2.1]", Mailbox("a@[192.0.2.1]")),
            ("MAILER-DAEMON", Mailbox("mailer-daemon")),
            ('"=?utf-8?q?Ren=C3=A9?=" <r@b.test>', Mailbox("r@b.test", "René")),
            ("René <r@b.test>", Mailbox("r@b.test", "René")),
            ("=?utf-8?b?UmVuw6kNCkJjYzogeEB5?= <r@b.test>", Mailbox("r@b.test", "RenéBcc: x@y")),
        ],
    )
    def test_addresses_with_one_reading(self, value: str, mailbox: Mailbox) -> None:
        assert read(f"From: {value}\n\nx\n").author == mailbox

    @pytest.mark.parametrize(
        ("value", "subject"),
        [
            ("=?utf-7?Q?+ADw-script+AD4-?=", "+ADw-script+AD4-"),
            ("=?inconnu?Q?caf=E9?=", "café"),
            ("=?utf-8?Q?caf=C3?= =?utf-8?Q?=A9?=", "café"),
            ("=?utf-8?Q?a?= b =?utf-8?Q?c?=", "a b c"),
            ("=?utf-8?B?!!!?=", ""),
            ("=?utf-8?X?a?=", "=?utf-8?X?a?="),
            ("=?utf-8?Q?ligne=0D=0ABcc:_x?=", "ligneBcc: x"),
            ("=?utf-8*fr?Q?=C3=A9t=C3=A9?=", "été"),
            ("=?iso-8859-15?Q?=A4?=", "€"),
            ("=?iso-8859-1?Q?=80?=", "€"),
        ],
    )
    def test_encoded_words(self, value: str, subject: str) -> None:
        assert read(f"Subject: {value}\n\nx\n").subject == subject

    def test_raw_octets_in_a_header(self) -> None:
        assert read("Subject: été\n\n".encode()).subject == "été"
        assert read("Subject: été\n\n".encode("latin-1")).subject == "été"

    @pytest.mark.parametrize(
        "date", ["", "hier", "Mon, 32 Jun 2026", "31 Dec 9999 23:59:59 -2359", "9" * 500]
    )
    def test_dates_that_tell_nothing(self, date: str) -> None:
        assert read(f"Date: {date}\n\n").sent_at is None


class TestBodies:
    def test_the_mail_of_an_ordinary_client(self) -> None:
        mail = EmailMessage(policy=SMTP)
        mail["From"] = "a@b.test"
        mail.set_content("Bonjour,\n\nétat stable.\n")
        mail.add_alternative('<p>état <img src="cid:photo1"></p>', subtype="html")
        html = mail.get_body(("html",))
        assert html is not None
        html.add_related(b"\xff\xd8\xff", maintype="image", subtype="jpeg", cid="<photo1>")
        mail.add_attachment(b"%PDF-1.7", maintype="application", subtype="pdf", filename="résumé/../é.pdf")
        mail.add_attachment(EmailMessage(policy=SMTP))
        letter = read_letter(mail.as_bytes(), LIMITS)
        assert letter.text == "Bonjour,\n\nétat stable."
        assert letter.html == '<p>état <img src="cid:photo1"></p>'
        photo, pdf, message = letter.attachments
        assert (photo.content_id, photo.inline, photo.kind) == ("photo1", True, PartKind.IMAGE)
        assert (photo.filename, photo.content) == ("piece-jointe-1.jpg", b"\xff\xd8\xff")
        assert (pdf.filename, pdf.content, pdf.inline) == ("é.pdf", b"%PDF-1.7", False)
        assert (message.content_type, message.kind) == ("message/rfc822", PartKind.MESSAGE)

    def test_a_signature_is_no_attachment(self) -> None:
        letter = read(
            'Content-Type: multipart/signed; protocol="application/pkcs7-signature"; boundary=s\n\n'
            "--s\nContent-Type: multipart/mixed; boundary=m\n\n--m\n\ntexte\n"
            "--m\nContent-Type: image/png; name=a.png\n\nPNG\n--m--\n"
            "--s\nContent-Type: application/pkcs7-signature; name=smime.p7s\n\nabc\n--s--\n"
        )
        assert letter.text == "texte"
        assert [attachment.filename for attachment in letter.attachments] == ["a.png"]
        assert letter.content_type == "multipart/signed"
        assert ("protocol", "application/pkcs7-signature") in letter.content_parameters

    def test_an_opaque_signature_shows_what_the_caller_opened(self) -> None:
        raw = b"Subject: avis\nContent-Type: application/pkcs7-mime; name=smime.p7m\n\nMII\n"
        assert [a.filename for a in read(raw).attachments] == ["smime.p7m"]
        opened = read(raw, inner=b"Content-Type: text/plain; charset=utf-8\r\n\r\n\xc3\xa9t\xc3\xa9\r\n")
        assert (opened.subject, opened.text, opened.attachments) == ("avis", "été", ())

    def test_text_around_images_is_one_text(self) -> None:
        letter = read(
            "Content-Type: multipart/mixed; boundary=b\n\n--b\n\navant\n"
            "--b\nContent-Type: image/png\nContent-Disposition: inline\n\nPNG\n--b\n\naprès\n--b--\n"
        )
        assert letter.text == "avant\naprès"
        assert [a.inline for a in letter.attachments] == [True]

    def test_an_attached_message_is_not_opened(self) -> None:
        inner = "From: x@y.test\nContent-Type: multipart/mixed; boundary=i\n\n--i\n\nsecret\n--i--\n"
        letter = read(
            f"Content-Type: multipart/mixed; boundary=b\n\n--b\n\nvoici\n"
            f"--b\nContent-Type: message/rfc822\n\n{inner}\n--b--\n"
        )
        assert letter.text == "voici"
        [message] = letter.attachments
        assert message.content.decode() == inner.replace("\n", "\r\n")
        assert message.filename == "piece-jointe-1.eml"

    def test_a_delivery_report_shows_its_text_only(self) -> None:
        letter = read(
            "Content-Type: multipart/report; report-type=delivery-status; boundary=b\n\n--b\n\nNon remis\n"
            "--b\nContent-Type: message/delivery-status\n\nAction: failed\n"
            "--b\nContent-Type: text/rfc822-headers\n\nSubject: x\n--b--\n"
        )
        assert letter.text == "Non remis"
        assert [a.content_type for a in letter.attachments] == [
            "message/delivery-status",
            "text/rfc822-headers",
        ]

    def test_flowed_text(self) -> None:
        flowed = (
            "Content-Type: text/plain; format=flowed; charset=utf-8\n\n"
            "Un paragraphe \nqui continue.\n> cité \n> encore\n>> plus profond\n From remis\n-- \nDr X\n"
        )
        assert read(flowed).text == (
            "Un paragraphe qui continue.\n> cité encore\n> > plus profond\nFrom remis\n-- \nDr X"
        )
        delsp = flowed.replace("charset", "delsp=yes; charset")
        assert read(delsp).text.startswith("Un paragraphequi continue.")

    @pytest.mark.parametrize(
        ("headers", "body", "text"),
        [
            ("Content-Type: text/plain; charset=utf-7", b"+ADw-script+AD4-", "+ADw-script+AD4-"),
            ("Content-Type: text/plain; charset=rot13", b"\xe9t\xe9", "\ufffdt\ufffd"),
            ("Content-Type: text/plain; charset=nimporte", b"\xe9t\xe9", "été"),
            ("Content-Type: text/plain; charset=us-ascii", "été".encode(), "été"),
            ("Content-Type: text/plain; charset=windows-1252", b"\x80", "€"),
            ("Content-Type: text/plain; charset=utf-8", b"\xc3", "\ufffd"),
            ("Content-Type: text", b"x", "x"),
            ("Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: base64", b"w6l0w6k", "été"),
            (
                "Content-Transfer-Encoding: base64\nContent-Type: text/plain; charset=utf-8",
                b"w6*l0 w6k=!!",
                "été",
            ),
            ("Content-Transfer-Encoding: quoted-printable", b"caf=C3=A9 =\n=ZZ", "café =ZZ"),
            ("Content-Transfer-Encoding: inconnu", b"tel quel", "tel quel"),
        ],
    )
    def test_encodings_and_charsets(self, headers: str, body: bytes, text: str) -> None:
        assert read(headers.encode() + b"\n\n" + body).text == text

    @pytest.mark.parametrize(
        ("parameters", "filename"),
        [
            ('Content-Disposition: attachment; filename="../../etc/passwd"', "passwd"),
            ('Content-Disposition: attachment; filename="C:\\\\dossier\\\\photo.jpg"', "photo.jpg"),
            ("Content-Disposition: attachment; filename*=utf-8''l%C3%A9sion%2F1.jpg", "1.jpg"),
            (
                "Content-Disposition: inline; filename*0*=utf-8''l%C3%A9; filename*1=sio; filename*2*=n.jpg",
                "lésion.jpg",
            ),
            ('Content-Disposition: attachment; filename="=?utf-8?q?l=C3=A9sion.jpg?="', "lésion.jpg"),
            ('Content-Disposition: attachment; filename="a\u202egpj.exe"', "agpj.exe"),
            ('Content-Disposition: attachment; filename="..."', "piece-jointe-1.jpg"),
            ("Content-Disposition: attachment", "piece-jointe-1.jpg"),
            ("Content-Disposition: attachment; filename=" + "x" * 400 + ".jpg", "x" * 116 + ".jpg"),
            ('Content-Disposition: attachment; filename="a:b*c?.jpg"', "a_b_c_.jpg"),
        ],
    )
    def test_file_names(self, parameters: str, filename: str) -> None:
        [attachment] = read(f"Content-Type: image/jpeg\n{parameters}\n\nx\n").attachments
        assert attachment.filename == filename

    def test_a_mail_without_body_or_header(self) -> None:
        assert read(b"").text == ""
        assert read(b"Subject: x").subject == "x"
        assert read(b"\nseul").text == "seul"


class TestFaults:
    @pytest.mark.parametrize(
        ("raw", "fault"),
        [
            (b"Subject: a\x00b\n\n", NulOctet),
            (b"pas un champ\n\n", MalformedHeader),
            (b" suite sans champ\nSubject: x\n\n", MalformedHeader),
            (b"Subject: " + b"x" * 300_000 + b"\n\n", HeaderTooLarge),
            (b"X: y\n" * 60_000 + b"\n", HeaderTooLarge),
            (b"Content-Type: multipart/mixed; boundary=b\n\n" + b"--b\n\n" * 1001, TooManyParts),
            (b"Content-Type: multipart/mixed; boundary=b\n\n" + b"--bx\n" * 20_000, TooManyParts),
            (
                b"".join(
                    b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (n, n) for n in range(3000)
                ),
                TooDeep,
            ),
            (b"Content-Type: multipart/mixed\n\nx", AmbiguousStructure),
            (b"Content-Type: multipart/mixed; boundary=a; boundary=b\n\nx", AmbiguousStructure),
            (b"Content-Type: multipart/mixed; boundary*=utf-8''a\n\nx", AmbiguousStructure),
            (b"Content-Type: text/plain\nContent-Type: text/html\n\nx", AmbiguousStructure),
            (
                b"Content-Type: multipart/mixed; boundary=a\nContent-Transfer-Encoding: base64\n\nx",
                AmbiguousStructure,
            ),
            (b"Sender: a@b.test, c@d.test\nFrom: a@b.test\n\nx", MalformedAddress),
            (b"To: " + b"a@b.test," * 1001 + b"\n\n", MalformedAddress),
        ],
    )
    def test_each_has_its_answer(self, raw: bytes, fault: type[IntakeFault]) -> None:
        with pytest.raises(fault) as raised:
            read(raw)
        assert raised.value.code in (521, 554)
        assert raised.value.enhanced == "5.6.0"
        assert raised.value.text.isascii()

    def test_twenty_levels_and_a_thousand_parts_are_read(self) -> None:
        nested = b"".join(
            b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (n, n) for n in range(20)
        )
        assert read(nested + b"\nau fond").text == "au fond"
        wide = b"Content-Type: multipart/mixed; boundary=b\n\n" + b"--b\nContent-Type: image/png\n\n" * 999
        assert len(read(wide).attachments) == 999
