"""What the refresh found last, in a small file that the command line and a monitor can read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from certs.pki import write_private
from config import Settings

__all__ = ["CrlStatus", "ListStatus", "TrustStatus", "read_status", "status_file", "write_status"]


@dataclass(slots=True)
class ListStatus:
    """The last look for a new list. ``alarm`` says why the newest offer is not in force ('' is well);
    instants are ISO 8601, '' for never; ``refused`` and ``changed`` count since the gateway was started.
    """

    checked_at: str = ""
    alarm: str = ""
    alarm_since: str = ""
    refused: int = 0
    changed: int = 0


@dataclass(slots=True)
class CrlStatus:
    """The last fetch from one address: ``fault`` is '' where it gave a list, whose ``issuer`` is named."""

    checked_at: str = ""
    fetched_at: str = ""
    issuer: str = ""
    fault: str = ""
    failures: int = 0


@dataclass(slots=True)
class TrustStatus:
    """All of it; ``crls`` by address."""

    list: ListStatus = field(default_factory=ListStatus)
    crls: dict[str, CrlStatus] = field(default_factory=dict)


def status_file(settings: Settings) -> Path:
    """Where the status of a deployment lies."""
    return settings.trust.list_file.with_name("trust-status.json")


def write_status(settings: Settings, status: TrustStatus) -> None:
    """Write it, complete or not at all. Raises ``OSError``."""
    write_private(status_file(settings), json.dumps(asdict(status), indent=1).encode())


def read_status(settings: Settings) -> TrustStatus | None:
    """Read it; ``None`` where the gateway has not looked yet or the file cannot be read."""
    try:
        found = json.loads(status_file(settings).read_bytes())
        crls = {str(url): CrlStatus(**each) for url, each in _table(found["crls"]).items()}
        return TrustStatus(ListStatus(**found["list"]), crls)
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _table(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise TypeError("not a table")
    return value
