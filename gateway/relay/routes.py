"""Where the mail of a domain goes: a configured route, else MX records (RFC 5321 §5.1, RFC 7505)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Protocol

import dns.asyncresolver
import dns.exception
import dns.resolver
from dns.rdtypes.ANY.MX import MX

from gateway.relay.failure import RelayFailed

__all__ = ["MxRoutes", "Routes", "TableRoutes", "Target"]

_SMTP_PORT = 25
_MOST_TARGETS = 5


@dataclass(frozen=True, slots=True)
class Target:
    """A host that takes mail, and its port."""

    host: str
    port: int = _SMTP_PORT


class Routes(Protocol):
    """Finds the hosts of a domain."""

    async def targets(self, domain: str) -> Sequence[Target]:
        """Hosts to try, best first, never empty. Raises ``RelayFailed``."""


class MxRoutes:
    """Routes by the DNS."""

    def __init__(self, resolver: dns.asyncresolver.Resolver, seconds: float = 30.0) -> None:
        self._resolver = resolver
        self._seconds = seconds

    async def targets(self, domain: str) -> Sequence[Target]:
        """MX hosts by preference, at most five; the domain itself where it has none."""
        try:
            answer = await self._resolver.resolve(domain, "MX", lifetime=self._seconds)
        except dns.resolver.NXDOMAIN:
            raise RelayFailed(550, "5.1.2", "Domain does not exist") from None
        except dns.resolver.NoAnswer:
            return (Target(domain),)
        except (dns.exception.DNSException, OSError) as error:
            raise RelayFailed(451, "4.4.3", f"DNS failure: {type(error).__name__}") from error
        records = sorted(
            (record for record in answer if isinstance(record, MX)), key=attrgetter("preference")
        )
        hosts = [record.exchange.to_text(omit_final_dot=True) for record in records]
        if hosts in (["."], [""]):
            raise RelayFailed(556, "5.1.10", "Domain takes no mail (null MX)")
        return [Target(host) for host in hosts[:_MOST_TARGETS] if host not in ("", ".")] or (Target(domain),)


class TableRoutes:
    """Configured routes by lower-case domain, and ``other`` routes for all other domains."""

    def __init__(self, table: Mapping[str, Target], other: Routes | None) -> None:
        self._table = dict(table)
        self._other = other

    async def targets(self, domain: str) -> Sequence[Target]:
        """The one host of the table, else what ``other`` finds; without it the domain is unknown."""
        target = self._table.get(domain.lower())
        if target is not None:
            return (target,)
        if self._other is None:
            raise RelayFailed(550, "5.1.2", "No route to domain")
        return await self._other.targets(domain)
