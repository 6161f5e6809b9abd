"""Where DKIM keys of other operators are found: a configured table, else TXT records (RFC 6376 §3.6.2)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Protocol

import dns.asyncresolver
import dns.exception
import dns.nameserver
import dns.resolver
from dns.rdtypes.ANY.TXT import TXT

from certs.dkim import KeyName, KeyRecord, KeyRecordFault, Unavailable, parse_key_record
from config import Settings

__all__ = ["DnsKeys", "Found", "KeySource", "TableKeys", "key_place", "key_source"]

Found = KeyRecord | Unavailable

_MOST_CACHED = 1000
_LONGEST_S = 3600.0
"""A key that was revoked is believed no longer than this, whatever the record's own time."""
_MISSING_S = 60.0
_UNKNOWN_S = 30.0
"""For so long a name server that was silent is not waited for again."""


def key_place(name: KeyName) -> str:
    """The domain name under which a key is published (RFC 6376 §3.6.2.1)."""
    domain, selector = name
    return f"{selector}._domainkey.{domain}"


def read_record(text: bytes) -> Found:
    """A record as published, :attr:`Unavailable.MALFORMED` where it cannot be read."""
    try:
        return parse_key_record(text)
    except KeyRecordFault:
        return Unavailable.MALFORMED


class KeySource(Protocol):
    """Finds one key."""

    async def find(self, name: KeyName) -> Found:
        """The record, or why there is none; never raises, and takes no longer than its limit."""


class TableKeys:
    """Configured records by the name under which they would be published; ``other`` finds all other keys."""

    def __init__(self, table: Mapping[str, str], other: KeySource | None) -> None:
        self._table = {place: read_record(text.encode("ascii")) for place, text in table.items()}
        self._other = other

    async def find(self, name: KeyName) -> Found:
        """The record of the table, else what ``other`` finds; without it the key cannot be had."""
        found = self._table.get(key_place(name))
        if found is not None:
            return found
        return await self._other.find(name) if self._other is not None else Unavailable.UNKNOWN


class DnsKeys:
    """Keys by the DNS, kept for the time that their record gives, an hour at most; failures for half a
    minute, so that a name server that says nothing delays one mail and not each.
    """

    def __init__(self, resolver: dns.asyncresolver.Resolver, seconds: float) -> None:
        self._resolver = resolver
        self._seconds = seconds
        self._cache: dict[KeyName, tuple[float, Found]] = {}

    async def find(self, name: KeyName) -> Found:
        """The one TXT record; several are as good as none, for which of them counts is not defined."""
        clock = asyncio.get_running_loop().time
        until, known = self._cache.get(name, (0.0, Unavailable.UNKNOWN))
        if clock() < until:
            return known
        found, seconds = await self._looked_up(name)
        if len(self._cache) >= _MOST_CACHED:
            self._cache.pop(next(iter(self._cache)))
        self._cache.pop(name, None)
        self._cache[name] = (clock() + seconds, found)
        return found

    async def _looked_up(self, name: KeyName) -> tuple[Found, float]:
        try:
            async with asyncio.timeout(self._seconds):
                answer = await self._resolver.resolve(
                    f"{key_place(name)}.", "TXT", lifetime=self._seconds, search=False
                )
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            return Unavailable.MISSING, _MISSING_S
        except (dns.exception.DNSException, OSError):  # TimeoutError is an OSError
            return Unavailable.UNKNOWN, _UNKNOWN_S
        texts = [b"".join(record.strings) for record in answer if isinstance(record, TXT)]
        found = read_record(texts[0]) if len(texts) == 1 else Unavailable.MALFORMED
        ttl = float(answer.rrset.ttl) if answer.rrset is not None else _MISSING_S
        return found, min(ttl, _LONGEST_S)


def _resolver(nameservers: Iterable[str]) -> dns.asyncresolver.Resolver:
    """A resolver on the given name servers, else on those of the system, else on none: then every lookup
    fails.
    """
    resolver = dns.asyncresolver.Resolver(configure=False)
    chosen = [endpoint.rpartition(":") for endpoint in nameservers]
    if chosen:
        resolver.nameservers = [
            dns.nameserver.Do53Nameserver(host.strip("[]"), int(port)) for host, _, port in chosen
        ]
        return resolver
    try:
        resolver.read_resolv_conf("/etc/resolv.conf")
    except (OSError, dns.exception.DNSException):
        resolver.nameservers = []
    return resolver


def key_source(settings: Settings, *, table: bool = True) -> TableKeys:
    """The keys as the settings say: the table, then the DNS if it may be asked; without ``table`` the DNS
    alone, as others see it.
    """
    dkim = settings.dkim
    names = DnsKeys(_resolver(dkim.nameservers), float(dkim.lookup_s)) if dkim.dns else None
    return TableKeys(dkim.keys if table else {}, names)
