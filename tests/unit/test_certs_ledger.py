"""The index of a test PKI: what was issued is found, revoked once, and read back as it was written."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certs.authority import Revocation
from certs.ledger import IssuedEntry, Ledger, LedgerFault, read_ledger, write_ledger

NOW = datetime(2026, 11, 25, 22, 0, tzinfo=UTC)
ENTRY = IssuedEntry("a1", "ORG-TEST", "ORG_SIGN", "CN=é,C=FR", NOW, NOW + timedelta(days=3))
TWIN = replace(ENTRY, authority="PERS-TEST")


def test_what_was_revoked_stands_on_its_authoritys_list_only() -> None:
    ledger = Ledger().with_entries([ENTRY, TWIN])
    changed = ledger.revoked(ledger.found("a1", "ORG-TEST"), NOW, "superseded")
    assert changed.revocations("ORG-TEST") == (Revocation(0xA1, NOW, "superseded"),)
    assert changed.revocations("PERS-TEST") == ()
    with pytest.raises(LedgerFault, match=r"revoked already: 2026-11-25T22:00:00Z \(superseded\)"):
        changed.revoked(changed.found("a1", "ORG-TEST"), NOW, "")
    with pytest.raises(LedgerFault, match="several authorities"):
        ledger.found("a1")
    with pytest.raises(LedgerFault, match="no certificate of serial number b2"):
        ledger.found("b2")


def test_an_entry_that_is_there_keeps_its_revocation() -> None:
    ledger = Ledger().with_entries([ENTRY])
    changed = ledger.revoked(ENTRY, NOW, "")
    assert changed.with_entries([ENTRY]) == changed


entries = st.builds(
    IssuedEntry,
    serial=st.integers(1, 2**159).map(lambda number: f"{number:x}"),
    authority=st.sampled_from(["EL-TEST", "ORG-TEST"]),
    profile=st.sampled_from(["", "ORG_SIGN"]),
    subject=st.text(st.characters(blacklist_categories=["Cs"]), min_size=1, max_size=20),
    not_before=st.just(NOW),
    not_after=st.just(NOW),
    revoked_at=st.none() | st.just(NOW),
    reason=st.sampled_from(["", "keyCompromise"]),
)


@given(st.lists(entries, max_size=5), st.integers(0, 10**6), st.sampled_from(["", "http://crl.test"]))
def test_an_index_is_read_back(several: list[IssuedEntry], number: int, base: str) -> None:
    ledger = Ledger(crl_base=base).with_entries(several).with_number("ORG-TEST", number)
    assert read_ledger(write_ledger(ledger)) == ledger


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{}",
        b"[" * 100_000,
        b"\xff",
        write_ledger(Ledger()).replace(b'"version": 1', b'"version": 2'),
        write_ledger(Ledger((ENTRY,))).replace(b'"a1"', b'"xyz"'),
        write_ledger(Ledger((ENTRY,))).replace(b"+00:00", b""),
        write_ledger(Ledger((ENTRY,))).replace(b'"profile"', b'"profil"'),
    ],
)
def test_a_damaged_index_is_refused(text: bytes) -> None:
    with pytest.raises(LedgerFault):
        read_ledger(text)
