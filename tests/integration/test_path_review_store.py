"""What a review found and was mended, behind the doors: finalisations while printing, failures, limits."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from email.message import EmailMessage
from typing import Any

import pytest
from pypdf import PdfReader

from certs.tls import submission_client_context
from gateway.pipeline.reports import tell_failure
from gateway.pipeline.unit import Unit
from gateway.smtp.refusals import Refusal
from gateway.store import OutboxState
from gateway.store.rows import BounceRow, OutboxRow
from gateway.workers.reporting import ReportWork
from teleexpertise.conversation import Conversation
from teleexpertise.states import State
from tests.support.gateway import Client, TestGateway, read, words_of
from tests.support.threads import answered, attachments
from tests.support.wire import EXPERT, REQUESTER, Committed, Course, Posting, Wire, made_wire


@pytest.fixture(scope="module")
def wire() -> Iterator[Wire]:
    with made_wire() as made:
        yield made


@pytest.fixture(scope="module")
def expert(wire: Wire) -> Client:
    """Writes mails; nothing is served, so nothing can be read by it."""
    settings = wire.services.settings
    gateway = TestGateway(settings, submission_client_context(settings.pki.anchors))
    return Client(EXPERT.address, EXPERT.name, gateway)


async def take(course: Course, writer: Client, mail: EmailMessage, recipient: str = "") -> None:
    to = recipient or course.services.book.service
    await course.take(Posting("", writer.address, to, mail.as_bytes()))


async def finalise(course: Course, expert: Client, conclusion: str) -> None:
    """Ask for the form now and answer it at once."""
    reference = (await course.read()).conversation.ref
    await take(course, expert, expert.compose(course.services.book.service, f"Finaliser {reference}"))
    form = await course.newest_to(expert.address)
    values = {"Conclusion": conclusion, "Suite proposée": "Surveillance"}
    await take(course, expert, answered(expert, form, values))


async def claimed_reports(course: Course) -> tuple[OutboxRow, ...]:
    async with course.services.store.transaction() as tx:
        return await tx.outbox.claim(course.services.clock(), 600, 10, actions=("make_report",))


class InterruptedPrinter(Executor):
    """Prints in a thread, and lets something happen between the order and the printing, the first time."""

    def __init__(self, meanwhile: Callable[[], Awaitable[None]]) -> None:
        self._loop = asyncio.get_running_loop()
        self._meanwhile: Callable[[], Awaitable[None]] | None = meanwhile
        self._threads = ThreadPoolExecutor(1)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        return self._threads.submit(self._late, fn, *args, **kwargs)

    def _late(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        meanwhile, self._meanwhile = self._meanwhile, None
        if meanwhile is not None:
            asyncio.run_coroutine_threadsafe(_awaited(meanwhile), self._loop).result(60)
        return fn(*args, **kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self._threads.shutdown(wait, cancel_futures=cancel_futures)


async def _awaited(work: Callable[[], Awaitable[None]]) -> None:
    await work()


async def nothing() -> None:
    """What usually happens during printing."""


@pytest.mark.parametrize("when", ["before printing", "while printing"])
def test_a_finalisation_that_overtakes_the_report_of_another_leaves_one_report_of_its_own(
    wire: Wire, expert: Client, when: str
) -> None:
    async def played() -> tuple[Conversation, EmailMessage]:
        async with wire.course() as course:

            async def again() -> None:
                await finalise(course, expert, "La seconde conclusion.")

            await finalise(course, expert, "La première conclusion.")
            (first,) = await claimed_reports(course)
            if when == "before printing":
                await again()
            with InterruptedPrinter(again if when == "while printing" else nothing) as printer:
                work = ReportWork(course.services, printer)
                await work.make_report(first)
                assert not (await course.check()).reports
                (second,) = await claimed_reports(course)
                await work.make_report(second)
            found = await course.check()
            async with course.services.store.reading() as tx:
                raws = [await tx.messages.get_raw(row.id) or b"" for row in await tx.messages.of(found.id)]
            (report,) = [mail for mail in map(read, raws) if mail["x-tle-event"] == "rapport"]
            return found, report

    found, report = wire.runner.run(played())
    assert found.state is State.COMPLETED
    assert found.reports == (2,)
    ((name, pdf),) = attachments(report).items()
    assert name == f"{found.ref}-v2.pdf"
    for text in (words_of(report), printed(pdf)):
        assert "La seconde conclusion." in text
        assert "La première conclusion." not in text


def printed(pdf: bytes) -> str:
    return " ".join(" ".join(page.extract_text().split()) for page in PdfReader(io.BytesIO(pdf)).pages)


async def bounce_of_question(course: Course, recipient: str) -> BounceRow:
    """What the bounce address of somebody's copy of the question stands for."""
    async with course.services.store.reading() as tx:
        for row in await tx.outbox.list(list(OutboxState), limit=1000):
            raw = await tx.messages.get_raw(row.message_id) if row.message_id else None
            if row.recipient == recipient and raw and read(raw)["x-tle-event"] == "question":
                bounce_id = course.services.book.bounced(row.mail_from)
                bounce = await tx.bounces.get(bounce_id) if bounce_id else None
                assert bounce is not None
                return bounce
    raise AssertionError(f"no question went to {recipient}")


@pytest.mark.parametrize(
    ("unreached", "told"),
    [(REQUESTER.address, EXPERT.address), (EXPERT.address, REQUESTER.address)],
    ids=["requester not reached", "expert not reached"],
)
def test_who_can_act_hears_that_a_mail_of_ours_did_not_reach_the_other(
    wire: Wire, unreached: str, told: str
) -> None:
    async def played() -> tuple[Committed, Committed, EmailMessage]:
        async with wire.course() as course:
            bounce = await bounce_of_question(course, unreached)
            before = await course.read()
            for first in (True, False):
                async with course.services.store.transaction() as tx:
                    unit = Unit(course.services, tx, course.services.clock())
                    done = await tell_failure(unit, bounce, None, "5.2.1", "550 5.2.1 Mailbox suspended")
                assert done is first, "reports repeat, what they say is said once"
            return before, await course.read(), await course.newest_to(told)

    before, after, notice = wire.runner.run(played())
    new = after.actions()[len(before.actions()) :]
    assert [(action, recipient) for action, recipient, _ in new] == [("deliver", told)]
    assert "Message non remis" in str(notice["subject"])
    for words in (unreached, after.conversation.ref, "550 5.2.1 Mailbox suspended"):
        assert words in words_of(notice)
    assert [recipient for _, recipient in after.conversation.failures] == [unreached]


def test_questions_about_doubtful_mails_count_against_the_limit_of_an_hour(
    wire: Wire, expert: Client
) -> None:
    address = wire.services.book.reply(wire.conversation)
    limit = wire.services.settings.conversation.answers_per_hour

    async def played() -> tuple[int, Refusal | None, int]:
        refusal = None
        async with wire.course() as course:
            for held in range(limit + 1):
                mail = expert.compose(address, "Bonjour", f"Sans rien qui le place, {held}.")
                try:
                    await take(course, expert, mail, address)
                except Refusal as error:
                    refusal = error
                    break
            async with course.services.store.reading() as tx:
                return held, refusal, len(await tx.held.of(wire.conversation))

    held, refusal, kept = wire.runner.run(played())
    assert refusal is not None
    assert (refusal.code, refusal.enhanced) == (450, "4.7.1")
    assert 0 < held <= limit
    assert kept == held, "what is refused is not kept either"
