"""What the authorities of a test PKI have issued and revoked, as text; nothing is read or written here."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from certs.authority import Revocation

__all__ = ["REASONS", "IssuedEntry", "Ledger", "LedgerFault", "read_ledger", "write_ledger"]

REASONS = (
    "unspecified",
    "keyCompromise",
    "cACompromise",
    "affiliationChanged",
    "superseded",
    "cessationOfOperation",
    "privilegeWithdrawn",
)
"""Reasons of RFC 5280 §5.3.1 that end a certificate for good; a hold is not offered: it can be taken back."""
_VERSION = 1


class LedgerFault(ValueError):
    """The index cannot be read, or what is asked for does not fit what it holds; the text is a sentence."""


@dataclass(frozen=True, slots=True)
class IssuedEntry:
    """One certificate: `serial` as lower-case hex, `authority` the short name of its issuer (`ORG-TEST`).

    `subject` is RFC 4514 text; `revoked_at` is None for a certificate that is not revoked.
    """

    serial: str
    authority: str
    profile: str
    subject: str
    not_before: datetime
    not_after: datetime
    revoked_at: datetime | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Ledger:
    """All that was issued, in order, the number of the last CRL of each authority, and where CRLs are found.

    `crl_base` is the address that file names of CRLs are appended to, empty for none.
    """

    entries: tuple[IssuedEntry, ...] = ()
    crl_numbers: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    crl_base: str = ""

    def with_entries(self, entries: Iterable[IssuedEntry]) -> Ledger:
        """Add entries; one that is there already (authority and serial) stays as it is."""
        known = {(entry.authority, entry.serial) for entry in self.entries}
        new = tuple(entry for entry in entries if (entry.authority, entry.serial) not in known)
        return replace(self, entries=(*self.entries, *new))

    def found(self, serial: str, authority: str | None = None) -> IssuedEntry:
        """Return the one entry of a serial. Raises LedgerFault for none and for several."""
        entries = [
            entry
            for entry in self.entries
            if entry.serial == serial and (authority is None or entry.authority == authority)
        ]
        if not entries:
            raise LedgerFault(f"no certificate of serial number {serial} was issued here")
        if len(entries) > 1:
            raise LedgerFault(f"several authorities issued a serial number {serial}: name the file")
        return entries[0]

    def revoked(self, entry: IssuedEntry, moment: datetime, reason: str) -> Ledger:
        """Mark an entry as revoked. Raises LedgerFault where it is already, or was not valid yet."""
        if entry.revoked_at is not None:
            because = f" ({entry.reason})" if entry.reason else ""
            raise LedgerFault(
                f"{entry.serial} is revoked already: {entry.revoked_at:%Y-%m-%dT%H:%M:%SZ}{because}"
            )
        if moment < entry.not_before:
            raise LedgerFault(f"{entry.serial} is valid from {entry.not_before:%Y-%m-%dT%H:%M:%SZ} only")
        changed = replace(entry, revoked_at=moment, reason=reason)
        return replace(self, entries=tuple(changed if one is entry else one for one in self.entries))

    def revocations(self, authority: str) -> tuple[Revocation, ...]:
        """The lines of an authority's CRL. Expired certificates stay on it: a signature outlives its
        certificate.
        """
        return tuple(
            Revocation(int(entry.serial, 16), entry.revoked_at, entry.reason)
            for entry in self.entries
            if entry.authority == authority and entry.revoked_at is not None
        )

    def with_number(self, authority: str, number: int) -> Ledger:
        """Note the number of an authority's newest CRL."""
        return replace(self, crl_numbers=MappingProxyType({**self.crl_numbers, authority: number}))


def write_ledger(ledger: Ledger) -> bytes:
    """Write the index as JSON (UTF-8), one certificate after the other."""
    document = {
        "version": _VERSION,
        "crl_base": ledger.crl_base,
        "crl_numbers": dict(ledger.crl_numbers),
        "certificates": [
            {key: _written(value) for key, value in asdict(entry).items() if value is not None}
            for entry in ledger.entries
        ],
    }
    return (json.dumps(document, ensure_ascii=False, indent=1) + "\n").encode()


def _written(value: object) -> object:
    return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else value


def read_ledger(text: bytes) -> Ledger:
    """Read an index strictly. Raises LedgerFault."""
    try:
        document = json.loads(text)
        if document["version"] != _VERSION:
            raise LedgerFault(f"version {document['version']} of the index is not known")
        numbers = {str(name): int(number) for name, number in document["crl_numbers"].items()}
        entries = tuple(_entry(table) for table in document["certificates"])
        return Ledger(entries, MappingProxyType(numbers), str(document["crl_base"]))
    except LedgerFault:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise LedgerFault("the index cannot be read") from error


def _entry(table: Mapping[str, Any]) -> IssuedEntry:
    values = dict(table)
    for key in ("not_before", "not_after", "revoked_at"):
        if key in values:
            values[key] = datetime.fromisoformat(values[key])
            if values[key].tzinfo is None:
                raise LedgerFault(f"{key} has no time zone")
    int(values["serial"], 16)
    return IssuedEntry(**values)
