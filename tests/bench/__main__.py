"""``python -m tests.bench``: how long the parts take here, and beside them a yardstick in the same run.

Figures are medians of repeated calls in processor time, of ``openssl`` with its start. They say something
about this machine only; the ratios carry further.
"""

from __future__ import annotations

import email
import email.policy
import shutil
import sys
from functools import partial

import pytest

from certs.dkim import KeyKind, sign_dkim, verify_dkim
from certs.listsignature import ListSigner, signed_list
from certs.names import DistinguishedName
from certs.operators import TrustEntry, read_trust_list, render_trust_list
from certs.smime import sign_message, verify_message
from certs.verdicts import Verdict
from gateway.dkimkeys import key_place
from gateway.intake.letter import read_letter
from gateway.intake.limits import IntakeLimits
from gateway.intake.rawmail import wire_fault
from teleexpertise.decision import decide
from teleexpertise.events import Exchanged, Side
from teleexpertise.facts import Facts, Trigger
from teleexpertise.forms import FormCopy, find_form, read_form, render_html, render_text, validate
from teleexpertise.plaintext import html_lines
from tests.bench.directory import measure_directory
from tests.bench.exports import measure_exports
from tests.bench.patients import measure_patients
from tests.bench.yardsticks import mail, median, openssl, tell
from tests.support import certificates
from tests.support.cases import OVERVIEW, START, author, conversation, opened, rules
from tests.support.dkim import KEY, NOW, Dkimpy, dkim_signer, dkimpy, keys_of, record_text
from tests.support.forms import FILLED, FORM_ID, TODAY, quoted, sample_request


def parsed_by_python(raw: bytes) -> None:
    """What the same would take with Python's email package: all parts decoded, all fields read."""
    message = email.message_from_bytes(raw, policy=email.policy.default)
    for part in message.walk():
        part.get_payload(decode=True)
    assert all(str(value) is not None for value in message.values())


def measure_intake() -> None:
    limits = IntakeLimits()
    for name, octets in (("4 kB", 4000), ("100 kB", 100_000), ("5 MB", 5_000_000)):
        raw = mail(octets)
        assert wire_fault(raw) is None
        python = median(partial(parsed_by_python, raw))
        tell(f"read_letter, {name}", median(partial(read_letter, raw, limits)), "email", python)
        tell(f"wire_fault, {name}", median(partial(wire_fault, raw)))


def measure_signatures() -> None:
    signer, trust, now = certificates.signer(), certificates.trust(), certificates.NOW
    entity = mail(100_000).partition(b"MIME-Version: 1.0\r\n")[2]
    signed = sign_message(certificates.headers(), entity, signer, now)
    assert verify_message(signed, trust, now).verdict is Verdict.PASSED
    beside = openssl(entity, signed) if shutil.which("openssl") else (0.0, 0.0)
    sign = median(lambda: sign_message(certificates.headers(), entity, signer, now))
    tell("sign_message, 100 kB", sign, "openssl cms -sign", beside[0])
    tell("verify_message, 100 kB, with CRLs", median(lambda: verify_message(signed, trust, now)),
         "openssl cms -verify", beside[1])  # fmt: skip


def measure_dkim() -> None:
    try:
        with dkimpy() as peer:
            _measure_dkim(peer)
    except pytest.skip.Exception:
        _measure_dkim(None)


def _measure_dkim(peer: Dkimpy | None) -> None:
    """Ours beside python3-dkim, which measures itself: a relaxed header, a simple body."""
    for size, octets in (("100 kB", 100_000), ("5 MB", 5_000_000)):
        raw = mail(octets)
        for kind in KeyKind:
            signer, keys = dkim_signer(kind), keys_of(record_text(kind))
            signed = sign_dkim(raw, signer, NOW) + raw
            table = {key_place(KEY): record_text(kind)}
            beside = peer.seconds(raw, signed, kind, table) if peer else (0.0, 0.0)
            name = f"{kind}, {size}"
            sign = median(partial(sign_dkim, raw, signer, NOW))
            tell(f"sign_dkim, {name}", sign, "python3-dkim", beside[0])
            verify = median(partial(verify_dkim, signed, keys, NOW))
            tell(f"verify_dkim, {name}", verify, "python3-dkim", beside[1])
    for kind in KeyKind:
        tell(f"bare signature, {kind}", median(partial(dkim_signer(kind).signature, b"x" * 2000)))


def measure_trust_list() -> None:
    """A list of the size of the national one: 9,000 domains, 321 certificates."""
    names = [
        DistinguishedName.from_text(
            f"CN=mx{n}.op.example,OU=3183100213{n:05},O=GIP {n},ST=Haute-Garonne (31),C=FR"
        )
        for n in range(321)
    ]
    entries = [
        TrustEntry(f"etab-{n}.mssante.example", names[n % 321], "Centre hospitalier") for n in range(9000)
    ]
    document = render_trust_list(entries, certificates.NOW)
    signed, signer = certificates.signed_trust_list(document), ListSigner(certificates.trust())
    tell("read_trust_list, 9,000 domains", median(lambda: read_trust_list(document)))
    tell(
        "signed_list and read_trust_list, 9,000 domains",
        median(lambda: read_trust_list(signed_list(signed, signer, certificates.NOW))),
    )


def measure_domain() -> None:
    form = sample_request()
    copy = FormCopy(form=form, form_id=FORM_ID, values=FILLED)
    pages = {"text": render_text(copy), "quoted": quoted(render_text(copy)), "HTML": render_html(copy)}

    def read(page: str, kind: str) -> None:
        found = find_form(html_lines(page) if kind == "HTML" else page)
        assert found is not None
        assert not validate(form, read_form(form, found, FILLED).values, TODAY).problems

    for kind, page in pages.items():
        tell(f"form answered as {kind}, read and validated", median(partial(read, page, kind)))
    known, book = conversation(opening=opened(items=(OVERVIEW,))), rules()
    exchanged = Exchanged(side=Side.REQUESTER, images=1)
    facts = Facts(trigger=Trigger.MESSAGE, author=author(Side.REQUESTER), proposed=exchanged)
    tell("decide on a message, default rules", median(lambda: decide(known, facts, book, START)))


def main() -> int:
    """Print all figures."""
    for measure in (
        measure_intake,
        measure_signatures,
        measure_dkim,
        measure_trust_list,
        measure_directory,
        measure_domain,
        measure_patients,
        measure_exports,
    ):
        measure()
    return 0


if __name__ == "__main__":
    sys.exit(main())
