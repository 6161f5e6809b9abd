"""Ten people at once in twenty conversations: nothing lost, nothing doubled, nothing in the wrong thread."""

from __future__ import annotations

import imaplib
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from gateway.logins.passwords import password_hasher
from gateway.mailserver import refresh_logins
from gateway.services import Services
from teleexpertise.people import Account, Expert
from tests.support import region
from tests.support.gateway import Client, TestGateway, eventually, text_of
from tests.support.threads import FOLDER, Thread, attach, open_thread, photo

_DOCTORS = tuple(
    Account(address=f"medecin{n}@{region.DOMAIN}", name=f"Dr Médecin N{n}", billing_number=f"43100010{n}")
    for n in range(5)
)
_EXPERTS = tuple(
    Account(address=f"expert{n}@{region.DOMAIN}", name=f"Dr Expert N{n}", specialty="Rhumatologie")
    for n in range(5)
)
_PER_DOCTOR = 4
_ROUNDS = 2


@pytest.fixture(scope="module")
def crowd(served: TestGateway) -> TestGateway:
    async def enrol(services: Services) -> None:
        hashed = password_hasher().hash(region.PASSWORD)
        async with services.store.transaction() as tx:
            for account in (*_DOCTORS, *_EXPERTS):
                await tx.accounts.add(account, hashed, services.clock())
            for account in _EXPERTS:
                await tx.experts.put(Expert(account=account, description="Articulations."))
        await refresh_logins(services.store, services.settings)

    served.ask(enrol)
    # the mailbox server looks at its logins once a second
    eventually(lambda: admitted(served.client(_EXPERTS[-1])), "new accounts can log in")
    return served


def admitted(client: Client) -> bool:
    try:
        with client.imap():
            return True
    except imaplib.IMAP4.error:
        return False


def ask_experts(served: TestGateway, number: int) -> list[Thread]:
    """One doctor opens conversations with several experts."""
    return [
        open_thread(served, _DOCTORS[number], _EXPERTS[(number + turn) % len(_EXPERTS)], photos=0)
        for turn in range(_PER_DOCTOR)
    ]


def speak(client: Client, threads: Sequence[Thread], who: str) -> list[tuple[str, str]]:
    """Somebody writes into all their conversations; the reference and a text of its own for each mail."""
    said = []
    for turn in range(_ROUNDS):
        for thread in threads:
            token = f"{who} dit {turn} à {thread.ref}."
            source = thread.question(client)
            client.send(attach(client.reply(source, token), photo(size=500)))
            said.append((thread.ref, token))
    return said


def test_ten_people_write_into_twenty_conversations_at_once(crowd: TestGateway) -> None:
    with ThreadPoolExecutor(len(_DOCTORS) + len(_EXPERTS)) as pool:
        opened = [
            t for threads in pool.map(lambda n: ask_experts(crowd, n), range(len(_DOCTORS))) for t in threads
        ]
        assert len({thread.ref for thread in opened}) == len(_DOCTORS) * _PER_DOCTOR
        work: list[Any] = []
        for account in (*_DOCTORS, *_EXPERTS):
            client = crowd.client(account)
            own = [thread for thread in opened if client in (thread.requester, thread.expert)]
            work.append(pool.submit(speak, client, own, account.name))
        said = [pair for task in work for pair in task.result()]
    assert len(said) == len(opened) * 2 * _ROUNDS
    crowd.settled()
    for account in (*_DOCTORS, *_EXPERTS):
        client = crowd.client(account)
        mine = {thread.ref for thread in opened if client in (thread.requester, thread.expert)}
        found: Counter[tuple[str, str]] = Counter()
        for mail in client.mails(FOLDER):
            assert mail["x-tle-ref"] in mine, "a mail of a conversation of others"
            if mail["x-tle-event"] == "message":
                found[str(mail["x-tle-ref"]), text_of(mail).strip()] += 1
        assert found == Counter(pair for pair in said if pair[0] in mine)
