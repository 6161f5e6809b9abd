"""Mail that a person's own client signs: by openssl, with a certificate of the test authority."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path

from certs.authority import SubjectNames, issue, subject
from certs.pki import DemoPki, load_authority
from certs.profiles import PERSON
from config import Settings
from tests.support.certificates import run


def signed(
    settings: Settings, folder: Path, draft: EmailMessage, entity: bytes, address: str, *options: str
) -> bytes:
    """The octets of ``draft`` with ``entity`` as its signed content, by a certificate for ``address``.

    ``options`` are those of ``openssl cms -sign`` (``-nodetach`` makes it opaque); ``folder`` holds files.
    """
    authority = load_authority(DemoPki(settings.pki.anchors.parent))
    name = subject("REMY PERRET", "300000000000017", "CABINET DE TEST", "Haute-Loire (43)")
    issued = issue(authority, PERSON, name, datetime.now(UTC), SubjectNames((), (address,)))
    for file, content in (
        ("own.pem", issued.certificate_pem),
        ("own.key", issued.key_pem),
        ("chain.pem", issued.chain_pem),
        ("entity", entity),
    ):
        (folder / file).write_bytes(content)
    command = f"openssl cms -sign -in {folder}/entity -signer {folder}/own.pem -inkey {folder}/own.key"
    made = run(*command.split(), "-certfile", folder / "chain.pem", "-crlfeol", *options)
    assert made.returncode == 0, made.stderr
    for field in ("Content-Type", "Content-Transfer-Encoding", "MIME-Version"):
        del draft[field]
    header = draft.as_bytes().partition(b"\r\n\r\n")[0] + b"\r\n"
    return header + re.sub(rb"(?<!\r)\n", b"\r\n", made.stdout)
