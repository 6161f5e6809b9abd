"""What lies in the mailboxes afterwards: each mail of each tele-expertise once, in its thread, whole."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import EmailMessage

from mailboxes.vocabulary import CONVERSATIONS_FOLDER
from tests.load.plan import Case, Plan, marks_in
from tests.load.served import Served
from tests.load.sessions import Session
from tests.support.gateway import read

#: The mails of ours that each thread holds exactly once.
_OURS_ONCE = ("ouverture", "question", "rapport")


@dataclass(frozen=True, slots=True)
class Check:
    """How many mails were looked at, and every fault that was found, one line each."""

    mails: int
    faults: tuple[str, ...]


def check(served: Served, plan: Plan) -> Check:
    """Look into every mailbox by IMAP."""
    mails = 0
    faults: list[str] = []
    threads: dict[int, set[str]] = {}
    for account in plan.accounts:
        with Session(served, account.address) as session:
            found = [read(raw) for raw in session.all_mails(CONVERSATIONS_FOLDER)]
            notices = [read(raw) for raw in session.all_mails("INBOX")]
            faults += _doubled(account.address, found) + _doubled(account.address, notices)
            mails += len(found) + len(notices)
            cases = plan.of(account.address)
            faults += _threads(account.address, cases, found, threads)
            faults += [
                f"{account.address}: conversation mail in INBOX" for mail in notices if mail["x-tle-event"]
            ]
            filed, wrong = _patients(session, account.address, cases)
            mails += filed
            faults += wrong
    faults += [f"tele-expertise {number}: several threads" for number, ids in threads.items() if len(ids) > 1]
    ids = Counter(identifier for several in threads.values() for identifier in several)
    faults += [
        f"thread {identifier}: several tele-expertises" for identifier, times in ids.items() if times > 1
    ]
    return Check(mails, tuple(faults))


def _doubled(address: str, mails: list[EmailMessage]) -> list[str]:
    times = Counter(str(mail["message-id"]) for mail in mails)
    return [
        f"{address}: {identifier} lies there {count} times"
        for identifier, count in times.items()
        if count > 1
    ]


def _own_text(mail: EmailMessage) -> str:
    body = mail.get_body(("plain",))
    return str(body.get_content()) if body is not None else ""


def _threads(
    address: str, cases: tuple[Case, ...], mails: list[EmailMessage], threads: dict[int, set[str]]
) -> list[str]:
    """Faults of one account's thread folder; ``threads`` collects the X-TLE-Id of each tele-expertise."""
    by_number = {case.number: case for case in cases}
    events: Counter[tuple[str, str]] = Counter()
    replies: Counter[tuple[int, int]] = Counter()
    faults = []
    for mail in mails:
        thread, event = str(mail["x-tle-id"]), str(mail["x-tle-event"])
        events[thread, event] += 1
        for number, message in marks_in(_own_text(mail)):
            if event not in ("question", "message"):
                continue
            threads.setdefault(number, set()).add(thread)
            replies[number, message] += 1
            case = by_number.get(number)
            if case is None:
                faults.append(f"{address}: message {message} of foreign tele-expertise {number}")
            elif case.enclosed(message) not in (*_contents(mail), b""):
                faults.append(f"{address}: message {message} of {number} has another attachment")
    for case in cases:
        wanted = dict.fromkeys([(case.number, 1), *((case.number, reply) for reply in case.replies)], 1)
        got = {pair: count for pair, count in replies.items() if pair[0] == case.number}
        if got != wanted:
            faults.append(f"{address}: tele-expertise {case.number} {_difference(got, wanted)}")
        for thread in threads.get(case.number, ()):
            faults += [
                f"{address}: tele-expertise {case.number} has {events[thread, event]} x {event}"
                for event in _OURS_ONCE
                if events[thread, event] != 1
            ]
    return faults


def _difference(got: dict[tuple[int, int], int], wanted: dict[tuple[int, int], int]) -> str:
    lost = [message for (_, message) in wanted if (_, message) not in got]
    doubled = [message for (_, message), count in got.items() if count > 1]
    return f"lost {lost}, doubled {doubled}"


def _contents(mail: EmailMessage) -> Iterator[bytes]:
    for part in mail.walk():
        content = part.get_payload(decode=True)
        if isinstance(content, bytes):
            yield content


def _patients(session: Session, address: str, cases: tuple[Case, ...]) -> tuple[int, list[str]]:
    """Each patient's folder holds one report; the number of reports and the faults."""
    names = [name for name in session.folders() if name.startswith("Patients/")]
    count, faults = 0, []
    for case in cases:
        folders = [name for name in names if re.search(rf"\b{case.patient}\b", name)]
        filed = [raw for name in folders for raw in session.all_mails(name)]
        count += len(filed)
        if len(folders) != 1 or len(filed) != 1:
            faults.append(
                f"{address}: {len(filed)} reports in {len(folders)} folders of tele-expertise {case.number}"
            )
    return count, faults
