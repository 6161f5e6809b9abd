"""From an access token to the account of its holder (XOAUTH2, OAUTHBEARER: RFC 7628)."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from certs.tokens import MAXIMUM_KEY_SET, TokenPolicy, TokenReason, judge_token
from certs.verdicts import Verdict
from config.trustsettings import Oauth
from gateway.errors import DeploymentIncomplete
from gateway.fetching import BackOff, Fetcher
from gateway.logins.keys import KeyKeeper, KeyTimes
from gateway.logins.verdict import LoginVerdict
from gateway.store.store import Store
from teleexpertise.people import AccountKind

__all__ = ["Bearers", "open_bearers", "token_policy"]

_LONGEST_PAUSE = 300.0
"""Seconds after which an issuer that was away is asked again at the latest: nobody logs in meanwhile where no
keys were kept.
"""


def token_policy(oauth: Oauth) -> TokenPolicy:
    """Whose tokens the settings believe."""
    return TokenPolicy(
        issuer=oauth.issuer or "",
        audiences=frozenset(oauth.audiences),
        identity_claim=oauth.identity_claim,
        identity_prefix=oauth.identity_prefix,
        assurance=frozenset(oauth.assurance),
        leeway=timedelta(seconds=oauth.leeway_s),
    )


@dataclass(frozen=True, slots=True)
class Bearers:
    """Judges tokens. Nothing of a token is logged or kept."""

    policy: TokenPolicy
    keys: KeyKeeper
    store: Store
    clock: Callable[[], datetime]

    async def login(self, token: str, wanted: str, *, may_act: bool) -> LoginVerdict:
        """The account of the token's holder.

        ``wanted`` is the address that the client names, '' for none: it must be the holder's own or, with
        ``may_act``, one of a mailbox that the holder may act for. The holder is who is logged in, whatever
        the address: what may be written in whose name is asked again at each command.
        """
        keys = await self.keys.current()
        if keys is None:
            return LoginVerdict(reason=TokenReason.KEYS_UNAVAILABLE, temporary=True)
        verdict = judge_token(token, keys, self.policy, self.clock())
        if verdict.reason is TokenReason.KEY_UNKNOWN:
            keys = await self.keys.renewed() or keys
            verdict = judge_token(token, keys, self.policy, self.clock())
        if verdict.verdict is not Verdict.PASSED:
            return LoginVerdict(reason=f"token {verdict.reason}")
        opened = await self._account(verdict.rpps, wanted.strip().lower(), may_act)
        if opened.account and verdict.expires is not None:
            return replace(opened, until=verdict.expires + self.policy.leeway)
        return opened

    async def _account(self, rpps: str, wanted: str, may_act: bool) -> LoginVerdict:
        async with self.store.reading() as tx:
            account = await tx.accounts.by_rpps(rpps)
            if account is None or account.kind is not AccountKind.PERSON:
                return LoginVerdict(reason="token of nobody here")
            if not account.active:
                return LoginVerdict(reason="account suspended")
            own = wanted in ("", account.address)
            if not own and not (may_act and await tx.delegations.allows(wanted, account.address)):
                return LoginVerdict(reason="token of somebody else")
        return LoginVerdict(account.address)


@asynccontextmanager
async def open_bearers(
    oauth: Oauth, store: Store, clock: Callable[[], datetime]
) -> AsyncIterator[Bearers | None]:
    """The judge of tokens while the block lasts; ``None`` where tokens are not taken. Raises
    :class:`DeploymentIncomplete` for authorities that cannot be read.
    """
    if not oauth.enabled:
        yield None
        return
    times = KeyTimes.of(oauth)
    async with Fetcher(BackOff(first=times.retry, longest=max(times.retry, _LONGEST_PAUSE))) as fetcher:
        url, anchors = oauth.jwks_url, oauth.jwks_anchors
        try:
            await asyncio.to_thread(_authorities, anchors)
        except OSError as error:
            raise DeploymentIncomplete(f"{anchors}: {error.strerror or error}") from error

        async def fetch() -> bytes:
            if url is None:
                assert oauth.jwks_file is not None, "the settings name one of both"
                return await asyncio.to_thread(_bounded, oauth.jwks_file)
            tls = await asyncio.to_thread(_authorities, anchors)  # as they are now: fetches are rare
            return await fetcher.get(url, max_bytes=MAXIMUM_KEY_SET, tls=tls)

        keeper = KeyKeeper(fetch, times, oauth.jwks_cache if url else None, url or "")
        await keeper.open()
        try:
            yield Bearers(token_policy(oauth), keeper, store, clock)
        finally:
            await keeper.close()


def _authorities(anchors: Path | None) -> ssl.SSLContext | None:
    """Whom to believe at the issuer's address, ``None`` for those of the system. Raises ``OSError``."""
    return None if anchors is None else ssl.create_default_context(cafile=str(anchors))


def _bounded(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(MAXIMUM_KEY_SET + 1)
