"""A running gateway: its mailbox server, its listeners and its workers, started together and stopped
together.
"""

from __future__ import annotations

import asyncio
import resource
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial

import dns.asyncresolver
import structlog

from config import Settings
from gateway.bootstrap import open_services
from gateway.errors import NotAvailable
from gateway.fetching import Fetcher
from gateway.logins.bearers import open_bearers
from gateway.logins.endpoint import LoginEndpoint
from gateway.logins.ends import TokenEnds
from gateway.logins.machine_door import Inside, MachineDoor
from gateway.mailserver import dovecot_settings, mailboxes_in_force, refresh_logins
from gateway.memory import return_large_buffers
from gateway.pipeline.doors import GatewayDoors
from gateway.relay.failure import OwnWords, RelayFailed
from gateway.relay.outbound import Relay, RelayTimes
from gateway.relay.routes import MxRoutes, TableRoutes, Target
from gateway.reloading import Reloading
from gateway.services import Services
from gateway.smtp.dialogue import PASSWORDS, ListenerKind, Mechanism
from gateway.smtp.limits import SmtpLimits
from gateway.smtp.server import Listener, SmtpServers
from gateway.store.attending import attending
from gateway.tlsspace import TlsSpace, load_tls
from gateway.trust.keeper import TrustKeeper
from gateway.trustspace import OperatorTrust
from gateway.workers.deliveries import Deliveries
from gateway.workers.exports import ExportWork
from gateway.workers.filing import FolderWork
from gateway.workers.giving_up import GivingUp
from gateway.workers.housekeeping import keep_house
from gateway.workers.loop import Workers
from gateway.workers.printers import Printers
from gateway.workers.reporting import ReportWork
from gateway.workers.sharing import SharingWork
from gateway.workers.sorting import SortingWork
from gateway.workers.subscriptions import SubscriptionWork
from gateway.workers.timekeeping import keep_time
from mailboxes.connection import ImapAccess
from mailboxes.dovecot.server import DovecotServer, ServerEvent
from mailboxes.dovecot.sharing import SharedMailbox
from mailboxes.filing import Filing
from mailboxes.lmtp import LmtpDelivery
from mailboxes.subscribing import SharedSubscriptions

__all__ = ["Running", "serve"]

_GRACE_SECONDS = 10.0
_MOST_FILES = 8192
_HANDSHAKE_ADDRESSES = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - where to reach what listens everywhere


@dataclass(frozen=True, slots=True)
class Running:
    """A gateway that serves. ``ports`` are those it listens on, 0 in the settings being any free one;
    ``machines_imap_port`` is that of IMAP for applications, where it is offered. ``reload`` takes up renewed
    certificates, keys and authorities, and says whether they could be.
    """

    services: Services
    ports: Mapping[ListenerKind, int]
    failed: asyncio.Task[None]
    reload: Callable[[], Awaitable[bool]]
    machines_imap_port: int | None = None


def _allow_many_files() -> None:
    """Raise the soft limit of open files: every connection, here and in Dovecot, is one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _reported(event: ServerEvent) -> None:
    structlog.get_logger("dovecot").info(str(event))


def _relay(services: Services, tls: TlsSpace) -> Relay:
    settings = services.settings
    table = {}
    for domain, endpoint in settings.relay.routes.items():
        host, _, port = endpoint.rpartition(":")
        table[domain] = Target(host.strip("[]"), int(port))
    resolver = dns.asyncresolver.Resolver(configure=False)
    try:
        resolver.read_resolv_conf("/etc/resolv.conf")
    except (OSError, dns.exception.DNSException):
        structlog.get_logger("relay").warning("no resolver: only configured routes")
    return Relay(
        TableRoutes(table, MxRoutes(resolver)),
        tls.outbound,
        partial(_server_fault, services),
        settings.hostname,
        RelayTimes(command=float(settings.relay.timeout_s)),
        partial(_check_domain, services),
    )


async def _server_fault(
    services: Services, certificate: bytes, chain: tuple[bytes, ...], domain: str
) -> str | None:
    refusal = await services.trust.server_refusal(certificate, chain, domain, services.clock())
    return refusal.reason if refusal else None


def _check_domain(services: Services, domain: str) -> None:
    """A domain that left the list while mail for it was in the queue bounces; a list that is too old only
    waits.
    """
    refusal = services.trust.domain_refusal(domain, services.clock())
    if refusal is not None:
        words = OwnWords.DOMAIN_UNLISTED if refusal.code >= 500 else OwnWords.LIST_STALE
        raise RelayFailed(refusal.code, refusal.enhanced, words)


def _keeper(services: Services, fetcher: Fetcher) -> TrustKeeper:
    trust = services.trust
    assert isinstance(trust, OperatorTrust), "a serving gateway keeps its own trust space"
    return TrustKeeper(services.settings, trust, services.store, fetcher, services.clock)


def _listeners(settings: Settings, tls: TlsSpace) -> tuple[Listener, ...]:
    """The ways in that the settings open."""
    smtp = settings.smtp
    tokens = (Mechanism.XOAUTH2, Mechanism.OAUTHBEARER) if settings.oauth.enabled else ()
    ways = (*PASSWORDS, *tokens)
    listeners = (
        Listener(ListenerKind.MX, smtp.bind, smtp.mx_port, tls.operators),
        Listener(ListenerKind.SUBMISSION, smtp.bind, smtp.submission_port, tls.users, mechanisms=ways),
        Listener(ListenerKind.SUBMISSIONS, smtp.bind, smtp.submissions_port, tls.users, mechanisms=ways),
    )
    if smtp.machines_port is None:
        return listeners
    external = (Mechanism.EXTERNAL,)
    return (
        *listeners,
        Listener(ListenerKind.MACHINES, smtp.bind, smtp.machines_port, tls.machines, mechanisms=external),
    )


def _smtp(services: Services, tls: TlsSpace, doors: GatewayDoors) -> SmtpServers:
    smtp = services.settings.smtp
    limits = SmtpLimits(
        max_message_bytes=smtp.max_message_bytes,
        max_inflight_bytes=smtp.max_inflight_bytes,
        max_header_bytes=smtp.max_header_bytes,
        max_recipients=smtp.max_recipients,
        max_connections=smtp.max_connections,
        idle_seconds=float(smtp.idle_timeout_s),
    )
    return SmtpServers(
        _listeners(services.settings, tls),
        doors,
        limits,
        hostname=services.settings.hostname,
        now=services.clock,
        new_queue_id=lambda: services.new_id().hex[:16].upper(),
    )


def _mailbox_host(settings: Settings) -> str:
    """Where the mailbox server is reached by ourselves."""
    return _HANDSHAKE_ADDRESSES.get(settings.imap.bind, settings.imap.bind)


def _machine_door(
    settings: Settings, tls: TlsSpace, doors: GatewayDoors, dovecot: DovecotServer
) -> MachineDoor | None:
    """IMAP for applications, where the settings offer it."""
    imap = settings.imap
    if imap.machines_port is None:
        return None
    inside = Inside(
        _mailbox_host(settings),
        imap.tls_port,
        tls.inside,
        dovecot.master_user,
        dovecot.master_password,
        float(settings.mailboxes.timeout_s),
    )
    return MachineDoor(
        imap.bind,
        imap.machines_port,
        tls.machines,
        doors,
        inside,
        most=settings.smtp.max_connections,
        again=float(imap.machines_recheck_s),
    )


def _subscriptions(services: Services, tls: TlsSpace, dovecot: DovecotServer) -> SubscriptionWork:
    async def shared() -> tuple[SharedMailbox, ...]:
        return (await mailboxes_in_force(services.store))[1]

    access = _inside(services.settings, tls, dovecot)
    return SubscriptionWork(SharedSubscriptions(access, dovecot_settings(services.settings)), shared)


def _inside(settings: Settings, tls: TlsSpace, dovecot: DovecotServer) -> ImapAccess:
    """How we ourselves open any mailbox."""
    return ImapAccess(
        _mailbox_host(settings),
        settings.imap.tls_port,
        tls.inside,
        dovecot.master_user,
        dovecot.master_password,
        float(settings.mailboxes.timeout_s),
    )


def _workers(
    services: Services,
    tls: TlsSpace,
    dovecot: DovecotServer,
    lmtp: LmtpDelivery,
    printers: Printers,
    subscriptions: SubscriptionWork,
) -> Workers:
    settings = services.settings
    filing = Filing(_inside(settings, tls, dovecot), changed=subscriptions.changed)
    refresh = partial(refresh_logins, services.store, settings)
    deliveries = Deliveries(services, lmtp, _relay(services, tls))
    folders = FolderWork(services, filing)
    reports = ReportWork(services, printers)
    sorting = SortingWork(services, deliveries, folders)
    return Workers(
        services,
        {
            "deliver": deliveries.deliver,
            "relay": deliveries.relay,
            "tag": folders.tag,
            "file": folders.file,
            "arrange": folders.arrange,
            "sort": sorting.sort,
            "file_document": sorting.file_document,
            "file_letter": sorting.file_letter,
            "make_report": reports.make_report,
            "synthesis": reports.synthesis,
            "export": ExportWork(services).export,
            "share": SharingWork(services, refresh, dovecot, subscriptions).share,
        },
        GivingUp(services).tell,
        settings.workers.count,
    )


@asynccontextmanager
async def serve(settings: Settings) -> AsyncIterator[Running]:
    """Start all, yield while it serves, stop all. Raises :class:`NotAvailable` for a port that is taken,
    and the errors of the mailbox server, which name the packages to install.
    """
    async with AsyncExitStack() as stack:
        services = await stack.enter_async_context(open_services(settings))
        # Before anything is started or written that the one gateway of this database uses.
        attended = await stack.enter_async_context(attending(services.store))
        _allow_many_files()
        return_large_buffers()
        await refresh_logins(services.store, settings)
        bearers = await stack.enter_async_context(
            open_bearers(settings.oauth, services.store, services.clock)
        )
        doors = GatewayDoors(services, bearers)
        ends = TokenEnds(timedelta(seconds=settings.oauth.session_s), services.clock)
        endpoint = LoginEndpoint(bearers, doors.guesses, services.clock, doors.login_refused, ends.opened)
        stack.push_async_callback(endpoint.stop)
        questions = await endpoint.start()
        dovecot = DovecotServer(replace(dovecot_settings(settings), questions=questions), _reported)
        await dovecot.start()
        stack.push_async_callback(dovecot.stop)
        printers = Printers(settings.workers.pdf_processes)
        stack.callback(printers.shutdown, wait=False, cancel_futures=True)
        tls = TlsSpace(load_tls(settings))
        servers = _smtp(services, tls, doors)
        machines = _machine_door(settings, tls, doors, dovecot)
        machines_port = None
        try:
            await servers.start()
            if machines is not None:
                machines_port = await machines.open()
                stack.push_async_callback(machines.close)
        except OSError as error:
            raise NotAvailable(f"cannot listen: {error.strerror or error}") from error
        mailboxes = settings.mailboxes
        lmtp = LmtpDelivery(dovecot.lmtp_socket, mailboxes.lmtp_connections, float(mailboxes.timeout_s))
        stack.push_async_callback(lmtp.close)
        subscriptions = _subscriptions(services, tls, dovecot)
        workers = _workers(services, tls, dovecot, lmtp, printers, subscriptions)
        stack.push_async_callback(workers.stop, _GRACE_SECONDS)
        working = asyncio.create_task(workers.run())
        stack.push_async_callback(_ended, working)
        stack.push_async_callback(servers.stop, _GRACE_SECONDS)
        house = asyncio.create_task(keep_house(services))
        timekeeper = asyncio.create_task(keep_time(services))
        fetcher = await stack.enter_async_context(Fetcher())
        keeper = _keeper(services, fetcher)
        trust = asyncio.create_task(keeper.run())
        sessions = asyncio.create_task(ends.run(dovecot.end_sessions))
        mailboxes_served = asyncio.create_task(dovecot.watch())
        following = asyncio.create_task(subscriptions.run())
        parts = (working, house, timekeeper, trust, sessions, mailboxes_served, following)
        watch = asyncio.create_task(_first(*parts, attended))
        stack.push_async_callback(_ended, watch)
        reloading = Reloading(services, tls, keeper, dovecot)
        yield Running(services, servers.ports, watch, reloading.reload, machines_port)


async def _first(*tasks: asyncio.Future[None]) -> None:
    """Wait until one of the parts ends, which none should, and pass on why."""
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        return
