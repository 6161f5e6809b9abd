"""Keeping the trust space current while the gateway serves: files that change, lists and CRLs that are
fetched.

Everything ends in one :class:`TrustState` that is swapped as a whole. Whatever is broken, unreachable or
unlikely leaves what is in force in force, and is told: a line of the log, a line of the audit trail, and the
status file that `gateway trust list` shows. Mail never waits for any of this.
"""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import structlog

from certs.crls import CrlFacts, CrlFault, crl_facts, newest
from certs.listchanges import ListChanges, compare
from certs.operators import MAXIMUM_SIZE, TrustListFault
from certs.paths import TrustAnchors, TrustFault
from certs.tls import submission_client_context
from config import Settings
from gateway.errors import GatewayError
from gateway.failures import failure_place
from gateway.fetching import Fetcher, FetchFailed
from gateway.store.errors import StoreError
from gateway.store.store import Store
from gateway.trust.crlfiles import MAXIMUM_CRL, known_crls, store_crl, with_crls
from gateway.trust.listfiles import ListInForce, ListRefused, find_list, judged, keep_copy, keep_list
from gateway.trust.status import CrlStatus, TrustStatus, read_status, write_status
from gateway.trustspace import OperatorTrust

__all__ = ["TrustKeeper", "change_detail", "list_tls"]

_LOOK_SECONDS = 1.0
"""How often the files are looked at: two calls of stat."""
_AFTER_FAULT_SECONDS = 60.0
"""A failed fetch is tried again after this, or later where the fetcher still leaves the address alone."""
_MOST_TOLD = 100
"""Domains of one change that are named in a line of the audit trail; the log has them all."""
_FAULTS = (TrustFault, TrustListFault, GatewayError, OSError)

Print = tuple[tuple[str, int, int, int], ...]


def list_tls(settings: Settings) -> ssl.SSLContext:
    """Whom to believe when the list is fetched: configured authorities only, host name checked. Raises
    ``OSError``.
    """
    return submission_client_context(settings.trust.url_anchors or settings.pki.anchors)


def change_detail(changes: ListChanges, generated: datetime, document: bytes) -> dict[str, Any]:
    """A change of the list as the audit trail keeps it: counts, and the first domains of each kind."""
    return {
        "generated": generated.isoformat(),
        "sha256": hashlib.sha256(document).hexdigest(),
        "added": len(changes.added),
        "removed": len(changes.removed),
        "renamed": len(changes.renamed),
        "domains_added": list(changes.added)[:_MOST_TOLD],
        "domains_removed": list(changes.removed[:_MOST_TOLD]),
        "domains_renamed": list(changes.renamed)[:_MOST_TOLD],
    }


class TrustKeeper:
    """Keeps ``trust`` current by the settings. :meth:`run` works until cancelled."""

    def __init__(
        self,
        settings: Settings,
        trust: OperatorTrust,
        store: Store,
        fetcher: Fetcher,
        clock: Callable[[], datetime],
        look_seconds: float = _LOOK_SECONDS,
    ) -> None:
        self._settings = settings
        self._trust = trust
        self._store = store
        self._fetcher = fetcher
        self._clock = clock
        self._look_seconds = look_seconds
        self._log = structlog.get_logger("trust")
        self._lock = asyncio.Lock()
        self._list: ListInForce | None = None
        self._status = TrustStatus()
        self._seen: dict[str, Print] = {}
        self._stale = False

    async def run(self) -> None:
        """Look at the files, fetch the list and each CRL, each at its own pace, until cancelled."""
        await self._begin()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watch())
            if self._settings.trust.url is not None:
                group.create_task(self._fetch_list(self._settings.trust.url))
            for url in self._settings.pki.crl_urls:
                group.create_task(self._fetch_crl(url))

    @property
    def anchors(self) -> TrustAnchors:
        """Authorities and revocation lists in force."""
        return self._trust.anchors

    async def believe(self, authorities: TrustAnchors) -> None:
        """Judge by other authorities from now on, under the revocation lists in force."""
        async with self._lock:
            state = self._trust.state
            anchors = replace(authorities, crls=state.anchors.crls)
            self._trust.replace(replace(state, anchors=anchors, paths=type(state.paths)()))

    async def _begin(self) -> None:
        """Take up what was loaded at the start, and keep a copy of the list if it has none yet."""
        before = read_status(self._settings)
        if before is not None:  # an alarm outlives a restart: it is told once
            self._status.list.alarm = before.list.alarm
            self._status.list.alarm_since = before.list.alarm_since
            crls = before.crls
            self._status.crls = {url: crls[url] for url in self._settings.pki.crl_urls if url in crls}
        self._seen = self._look()
        try:
            found = await asyncio.to_thread(find_list, self._settings, self._clock())
            self._list = ListInForce(self._trust.operators, found.document)
            await self._adopt(found)
        except _FAULTS as error:
            await self._alarm(str(error))

    # -- files ---------------------------------------------------------------------------------------------

    def _watched(self) -> dict[str, list[Path]]:
        folder = self._settings.pki.crls
        crls = sorted(folder.glob("*.crl")) if folder.is_dir() else []
        return {"list": [self._settings.trust.list_file], "crls": crls}

    def _look(self) -> dict[str, Print]:
        return {name: _prints(paths) for name, paths in self._watched().items()}

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self._look_seconds)
            # Beside the loop: a disk or a share that hangs must hold up no mail.
            for name, prints in (await asyncio.to_thread(self._look)).items():
                if self._seen.get(name) != prints:
                    self._seen[name] = prints
                    await (self._list_changed() if name == "list" else self._crls_changed())
            await self._look_at_age()

    async def _list_changed(self) -> None:
        try:
            found = await asyncio.to_thread(find_list, self._settings, self._clock(), self._list)
        except _FAULTS as error:
            await self._alarm(str(error))
            return
        await self._adopt(found)

    async def _crls_changed(self) -> None:
        try:
            # Read under the lock: what was read before another change must not be put in force after it.
            async with self._lock:
                await self._read_crls()
        except _FAULTS as error:
            self._log.error("crl.refused", reason=str(error))
            await self._audit("trust crl", "folder", "refused", {"reason": str(error)[:200]})

    async def _read_crls(self) -> None:
        """Put in force what the folder holds. Beside a file that is broken the other lists count all the
        same, and of those in force none is given up; then raises ``TrustFault``.
        """
        state, broken = self._trust.state, list[str]()
        found = await asyncio.to_thread(known_crls, self._settings, broken)
        lists = tuple(found.values())
        if broken:
            held = [await asyncio.to_thread(crl_facts, each.der) for each in state.anchors.crls]
            lists = newest([*lists, *held])
        anchors = with_crls(state.anchors, lists)
        if anchors.crls != state.anchors.crls:
            self._trust.replace(replace(state, anchors=anchors, paths=type(state.paths)()))
            self._log.info("crl.in_force", lists=len(anchors.crls))
        if broken:
            raise TrustFault("; ".join(broken))

    async def _look_at_age(self) -> None:
        stale = not self._trust.current(self._clock())
        if stale and not self._stale:
            self._log.error("list.stale", generated=self._trust.operators.generated.isoformat())
            await self._audit("trust list", "age", "stale", {})
        self._stale = stale

    # -- the list ------------------------------------------------------------------------------------------

    async def _fetch_list(self, url: str) -> None:
        while True:
            seconds = self._settings.trust.refresh_minutes * 60.0
            try:
                tls = await asyncio.to_thread(list_tls, self._settings)
                document = await self._fetcher.get(url, max_bytes=MAXIMUM_SIZE, tls=tls)
                await self._offered(document)
            except FetchFailed as failed:
                if failed.fresh:
                    await self._alarm(str(failed))
                seconds = min(seconds, max(_AFTER_FAULT_SECONDS, failed.retry_in))
            except (ListRefused, *_FAULTS) as error:
                await self._alarm(str(error))
            except Exception as error:  # noqa: BLE001 - what a stranger serves must not end the gateway
                await self._alarm(_unforeseen(error))
            await asyncio.sleep(seconds)

    async def _offered(self, document: bytes) -> None:
        """A fetched list: judged, kept on disk, believed. Raises :class:`ListRefused` and what files
        raise.
        """
        held = self._list
        if held is not None and document == held.document:
            trusted = held.trusted
        else:
            known = held.trusted if held else None
            trusted = await asyncio.to_thread(judged, document, known, self._settings, self._clock())
        async with self._lock:
            await asyncio.to_thread(keep_list, self._settings, document)
        self._seen["list"] = self._look()["list"]
        await self._adopt(ListInForce(trusted, document))

    async def _adopt(self, found: ListInForce) -> None:
        """Believe a list from now on, tell what it changes, and keep the copy. A fault is an alarm."""
        async with self._lock:
            state, before = self._trust.state, self._trust.operators
            changes = compare(before, found.trusted)
            if found.trusted != before:
                self._trust.replace(replace(state, operators=found.trusted, paths=type(state.paths)()))
            self._list = replace(found, fault="")
        if found.fault:
            await self._alarm(found.fault)
            return
        if changes or found.trusted.generated != before.generated:
            self._status.list.changed += 1
            for line in changes.lines:
                self._log.info("list.change", line=line)
            detail = change_detail(changes, found.trusted.generated, found.document)
            await self._audit("trust list", "list", "changed", detail)
            counts = {"added": detail["added"], "removed": detail["removed"], "renamed": detail["renamed"]}
            self._log.info("list.in_force", domains=len(found.trusted.domains), **counts)
        await self._all_clear(found.document)

    async def _all_clear(self, document: bytes) -> None:
        status = self._status.list
        if status.alarm:
            await self._audit("trust list", "list", "recovered", {})
        status.alarm = status.alarm_since = ""
        status.checked_at = self._clock().isoformat()
        try:
            async with self._lock:
                await asyncio.to_thread(keep_copy, self._settings, document)
        except OSError as error:
            self._log.error("list.not_kept", file=error.filename, reason=error.strerror)
        self._tell()

    async def _alarm(self, reason: str) -> None:
        """The list in force stays although another was offered or expected."""
        reason = reason[:300]
        status = self._status.list
        status.refused += 1
        status.checked_at = self._clock().isoformat()
        self._log.error("list.refused", reason=reason, refused=status.refused)
        if status.alarm != reason:  # each fault once: a server that fails all night must not fill the trail
            status.alarm, status.alarm_since = reason, self._clock().isoformat()
            await self._audit("trust list", "list", "refused", {"reason": reason})
        self._tell()

    # -- revocation lists ----------------------------------------------------------------------------------

    async def _fetch_crl(self, url: str) -> None:
        status = self._status.crls.setdefault(url, CrlStatus())
        while True:
            seconds = self._settings.pki.crl_refresh_minutes * 60.0
            try:
                body = await self._fetcher.get(url, max_bytes=MAXIMUM_CRL)
                async with self._lock:
                    facts, news = await asyncio.to_thread(
                        store_crl, self._settings, body, self._trust.anchors, self._clock()
                    )
            except FetchFailed as failed:
                if failed.fresh:
                    await self._crl_failed(url, status, failed.reason)
                seconds = min(seconds, max(_AFTER_FAULT_SECONDS, failed.retry_in))
            except (CrlFault, *_FAULTS) as error:
                await self._crl_failed(url, status, str(error))
            except Exception as error:  # noqa: BLE001 - what a stranger serves must not end the gateway
                await self._crl_failed(url, status, _unforeseen(error))
            else:
                await self._crl_fetched(url, status, facts, news)
            await asyncio.sleep(seconds)

    async def _crl_fetched(self, url: str, status: CrlStatus, facts: CrlFacts, news: bool) -> None:
        status.checked_at = status.fetched_at = self._clock().isoformat()
        status.issuer, status.fault, status.failures = facts.issuer, "", 0
        self._tell()
        if news:
            self._log.info("crl.fetched", url=url, issuer=facts.issuer, revoked=facts.revoked)
            await self._crls_changed()

    async def _crl_failed(self, url: str, status: CrlStatus, reason: str) -> None:
        status.checked_at = self._clock().isoformat()
        status.failures += 1
        self._log.error("crl.not_fetched", url=url, reason=reason, failures=status.failures)
        if status.fault != reason:
            status.fault = reason
            await self._audit("trust crl", url, "refused", {"reason": reason[:200]})
        self._tell()

    # -- telling -------------------------------------------------------------------------------------------

    def _tell(self) -> None:
        try:
            write_status(self._settings, self._status)
        except OSError as error:
            self._log.error("status.not_written", reason=error.strerror)

    async def _audit(self, action: str, target: str, result: str, detail: dict[str, Any]) -> None:
        try:
            async with self._store.transaction() as tx:
                await tx.audit.write(self._clock(), "trust", action, target, result, detail)
        except StoreError as error:
            self._log.error("audit.not_written", action=action, result=result, error=type(error).__name__)


def _unforeseen(error: Exception) -> str:
    return "unforeseen: " + " at ".join(failure_place(error).values())


def _prints(paths: list[Path]) -> Print:
    """What changes when a file is written or replaced."""
    found = []
    for path in paths:
        try:
            stat = path.stat()
        except OSError:
            found.append((path.name, 0, 0, 0))
        else:
            found.append((path.name, stat.st_ino, stat.st_size, stat.st_mtime_ns))
    return tuple(found)
