"""DKIM as the pipeline and the workers see it: what arrives is judged, what leaves is signed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from certs.dkim import (
    DkimReport,
    DkimSigner,
    KeyName,
    load_dkim_signer,
    sign_dkim,
    signatures_in,
    verify_dkim,
)
from certs.fields import FieldFault, only, parse_mailbox, split_message
from config import Settings
from gateway.dkimkeys import Found, KeySource, key_source

__all__ = ["DkimSpace", "OurKey", "load_dkim", "load_our_keys", "signing_key"]

_ALWAYS = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class OurKey:
    """A key of ours, for the service domain, and from when on it signs."""

    signer: DkimSigner
    since: datetime = _ALWAYS


def signing_key(keys: Sequence[OurKey], now: datetime) -> OurKey | None:
    """The key that signs now: of those whose time has come the latest, of equal ones the last."""
    due = [(key.since, number) for number, key in enumerate(keys) if key.since <= now]
    return keys[max(due)[1]] if due else None


@dataclass(frozen=True, slots=True)
class DkimSpace:
    """Judges and signs. ``keys`` are ours, none where we do not sign; ``domains`` are ours, too."""

    source: KeySource
    keys: tuple[OurKey, ...]
    domains: frozenset[str]

    async def judge(self, raw: bytes, now: datetime) -> DkimReport:
        """The verdict on a mail's signatures: their keys are found at the same time, the work is done beside
        the event loop. Never raises; a key that cannot be had makes its signature indeterminate.
        """
        names = await asyncio.to_thread(signatures_in, raw)
        found = await asyncio.gather(*map(self.source.find, names))
        keys: dict[KeyName, Found] = dict(zip(names, found, strict=True))
        return await asyncio.to_thread(verify_dkim, raw, keys, now)

    async def sign(self, raw: bytes, written_at: datetime, now: datetime) -> bytes:
        """The mail with our signature before it, in the name of From's domain where that is ours, else of the
        service's; as it is where we do not sign.

        ``written_at`` is what the signature says of its time: that of the mail and not of the attempt, so
        that each attempt sends the same octets while the key stays. Raises ``DkimFault``.
        """
        key = signing_key(self.keys, now)
        if key is None:
            return raw
        domain = _author_domain(raw)
        signer = replace(key.signer, domain=domain) if domain in self.domains else key.signer
        return await asyncio.to_thread(sign_dkim, raw, signer, written_at) + raw


def _author_domain(raw: bytes) -> str:
    try:
        author = only(split_message(raw)[0], "from")
        return parse_mailbox(author.value).domain if author is not None else ""
    except FieldFault:
        return ""


def load_our_keys(settings: Settings) -> tuple[OurKey, ...]:
    """Read our keys. Raises ``DkimFault`` and ``OSError``."""
    domain = settings.service.domain
    return tuple(
        OurKey(load_dkim_signer(domain, one.selector, one.key.read_bytes()), one.since or _ALWAYS)
        for one in settings.dkim.signing
    )


def load_dkim(settings: Settings) -> DkimSpace:
    """Read our keys and the table of others'. Raises ``DkimFault`` and ``OSError``."""
    keys = load_our_keys(settings) if settings.dkim.enabled else ()
    return DkimSpace(key_source(settings), keys, settings.local_domains)
