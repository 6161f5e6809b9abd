"""What the days of a secretary and of a practice share: people entered by an operator, and how they work."""

from __future__ import annotations

import csv
import imaplib
import io
import re
import zipfile
from collections.abc import Mapping
from datetime import datetime
from email.message import EmailMessage
from io import BytesIO

from click.testing import CliRunner
from lxml import etree
from pypdf import PdfReader

from gateway.cli.root import cli
from teleexpertise.people import Account
from tests.support import region
from tests.support.forms import quoted, typed_into
from tests.support.gateway import Client, TestGateway, eventually, text_of
from tests.support.imap import session
from tests.support.threads import attachments

__all__ = ["entered", "exported_rows", "filled_form", "month", "pdf_words", "workbook_rows"]


def entered(served: TestGateway, account: Account) -> Client:
    """A person or service entered at the command line, once the mailbox server lets them in."""
    config = str(served.settings.files.mac_key_file.parent / "gateway.toml")
    options = {
        "--name": account.name,
        "--kind": str(account.kind),
        "--profession": account.profession,
        "--specialty": account.specialty,
        "--rpps": account.rpps,
        "--finess": account.finess,
        "--billing-number": account.billing_number,
        "--organisation": account.organisation,
        "--department": account.department,
        "--postcode": account.postcode,
        "--town": account.town,
        "--password-file": "-",
    }
    given = [word for option, value in options.items() if value for word in (option, value)]
    done = CliRunner().invoke(
        cli, ["--config", config, "account", "add", account.address, *given], input=f"{region.PASSWORD}\n"
    )
    assert done.exit_code == 0, done.output
    client = served.client(account)
    eventually(lambda: _let_in(client), f"the first login of {account.address}")
    return client


def _let_in(client: Client) -> bool:
    try:
        with session(client):
            return True
    except imaplib.IMAP4.error:
        return False


def filled_form(
    client: Client,
    form: EmailMessage,
    values: Mapping[str, str],
    files: Mapping[str, bytes] | None = None,
) -> EmailMessage:
    """The service's answer to a form filled in by Reply."""
    mail = client.reply(form, quoted(typed_into(text_of(form), values)))
    for name, content in (files or {}).items():
        mail.add_attachment(content, maintype="application", subtype="octet-stream", filename=name)
    return client.answer_to(client.send(mail))


def exported_rows(mail: EmailMessage) -> list[dict[str, str]]:
    """The lines of an export as CSV."""
    ((_, content),) = attachments(mail).items()
    return list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline=""), delimiter=";"))


def month(served: TestGateway) -> str:
    """The month of the gateway's calendar as an export names it: first and last day known so far."""
    now: datetime = served.services.clock().astimezone(served.services.zone)
    return f"{now.replace(day=1):%d/%m/%Y} {now:%d/%m/%Y}"


def pdf_words(pdf: bytes) -> str:
    """The text of a PDF on one line."""
    return " ".join(" ".join(page.extract_text().split()) for page in PdfReader(BytesIO(pdf)).pages)


def workbook_rows(workbook: bytes) -> list[dict[str, str]]:
    """The lines of an export as XLSX, the one with the sums last; values as the file stores them."""
    space = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
    with zipfile.ZipFile(BytesIO(workbook)) as archive:
        root = etree.fromstring(archive.read("xl/worksheets/sheet1.xml"))
    header, *rows = [
        {
            re.sub(r"\d", "", str(cell.get("r"))): "".join(map(str, cell.itertext(f"{space}v", f"{space}t")))
            for cell in row.iter(f"{space}c")
        }
        for row in root.iter(f"{space}row")
    ]
    return [{header[column]: value for column, value in row.items()} for row in rows]
