"""``python -m tests.load``: play the load, look into every mailbox, print figures, and Postfix beside them.

Exit 0 when nothing was lost, doubled or put into a wrong thread; 1 otherwise; 2 for wrong use.
"""

from __future__ import annotations

import argparse
import shutil
import smtplib
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from mailboxes.dovecot.installation import find_installation
from tests.load.checking import check
from tests.load.figures import milliseconds, settled_outbox
from tests.load.flood import Flood, Letter, flood, letters_of, mails_in
from tests.load.plan import MAX_CONVERSATIONS, Plan, make_plan
from tests.load.player import play
from tests.load.postfix import absent, yardstick
from tests.load.served import Processes, Served, deployment, folder, served
from tests.load.sessions import Sent
from tests.support.region import PASSWORD

#: Enough to measure by; the whole run has to stay short.
_MOST_ORDINARY = 600


@dataclass(slots=True)
class Outcome:
    """What is known at the end."""

    sent: list[Sent] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    gateway: Flood | None = None


@dataclass(frozen=True, slots=True)
class Meter:
    """Processor seconds of a served gateway, what makes its reports, its Dovecot, and this process."""

    served: Served
    started: tuple[float, ...]

    @classmethod
    def start(cls, running: Served) -> Meter:
        """Begin to count."""
        return cls(running, _processors(running))

    def tell(self, mails: int) -> str:
        """What has been used since, in all and for each of ``mails``."""
        used = [now - before for now, before in zip(_processors(self.served), self.started, strict=True)]
        names = ("gateway", "reports", "Dovecot", "clients")
        return ", ".join(
            f"{name} {seconds:.1f} s ({1000 * seconds / max(mails, 1):.1f} ms/mail)"
            for name, seconds in zip(names, used, strict=True)
        )


def _processors(running: Served) -> tuple[float, ...]:
    processes = Processes.now()
    dovecot, reports = processes.children(running.pid)
    return processes.seconds[running.pid], reports, dovecot, time.process_time()


def _conversations(running: Served, plan: Plan, seconds: float, outcome: Outcome) -> None:
    meter = Meter.start(running)
    began = time.monotonic()
    players = play(running, plan, seconds)
    outcome.faults += [player.failure for player in players if player.failure]
    outcome.sent = sorted(
        (mail for player in players for mail in player.sent), key=lambda mail: mail.answered
    )
    outbox = settled_outbox(running.database, seconds=30)
    used = meter.tell(len(outcome.sent))
    checked = check(running, plan)
    outcome.faults += checked.faults
    stuck = {key: count for key, count in outbox.counts.items() if key[1] != "done"}
    outcome.faults += [f"{count} actions {action} are {state}" for (action, state), count in stuck.items()]
    sent = outcome.sent
    span = sent[-1].answered - began if sent else 0.0
    done = {action: count for (action, state), count in sorted(outbox.counts.items()) if state == "done"}
    print(f"  accepted   {len(sent)} mails, {len(sent) / span if span else 0:.1f} per second (250s); "
          f"250 after {milliseconds([mail.answered - mail.began for mail in sent])}")  # fmt: skip
    print(f"  delivered  {len(outbox.latencies)} copies, {outbox.delivered_rate:.1f} per second; "
          f"after the commit {milliseconds(outbox.latencies)}")  # fmt: skip
    print(f"  outbox     {', '.join(f'{action} {count}' for action, count in done.items())}")
    print(f"  processor  {used}")
    print(f"  mailboxes  {checked.mails} mails looked at, {len(outcome.faults)} faults")


def _gateway_connection(running: Served, sender: str) -> smtplib.SMTP:
    smtp = smtplib.SMTP_SSL(
        "localhost", running.settings.smtp.submissions_port, timeout=60, context=running.tls
    )
    smtp.login(sender, PASSWORD)
    return smtp


def _tell(result: Flood, used: str, outcome: Outcome, name: str) -> None:
    outcome.faults += [f"{name}: {fault}" for fault in result.faults]
    print(f"  accepted   {len(result.answered)} mails, {result.accepted_rate:.1f} per second (250s); "
          f"250 after {milliseconds(result.latencies)}")  # fmt: skip
    print(f"  delivered  {result.copies} copies, {result.mail_rate:.1f} mails per second to the last copy")
    print(f"  processor  {used}")


def _ordinary(running: Served, letters: Sequence[Letter], outcome: Outcome) -> None:
    meter = Meter.start(running)
    arrived = partial(mails_in, running.settings.mailboxes.home)
    outcome.gateway = flood(letters, partial(_gateway_connection, running), arrived, seconds=90)
    settled_outbox(running.database, seconds=10)
    _tell(outcome.gateway, meter.tell(len(letters)), outcome, "ordinary mail")


def _beside(path: Path, running: Served, plan: Plan, letters: Sequence[Letter], outcome: Outcome) -> None:
    why_not = absent()
    if why_not:
        print(f"  skipped: {why_not}")
        return
    addresses = [account.address for account in plan.accounts]
    with yardstick(path / "postfix", running.settings, addresses, running.tls) as beside:
        pids = (beside.postfix_pid, beside.dovecot_pid)
        before = list(map(Processes.now().tree, pids))
        result = flood(letters, beside.connect, partial(mails_in, beside.home), seconds=60)
        after = list(map(Processes.now().tree, pids))
        postfix, dovecot = (
            1000 * (now - then) / len(letters) for now, then in zip(after, before, strict=True)
        )
        used = f"Postfix ({postfix:.1f} ms/mail), Dovecot ({dovecot:.1f} ms/mail)"
        _tell(result, used, outcome, "Postfix")
    ours = outcome.gateway
    if ours is not None and ours.mail_rate and result.mail_rate:
        accepted = ours.accepted_rate / result.accepted_rate
        delivered = ours.mail_rate / result.mail_rate
        print(f"  ratio      gateway / Postfix: accepted {accepted:.2f}, delivered {delivered:.2f}")


def _run(options: argparse.Namespace) -> int:
    plan = make_plan(options.conversations, options.messages, options.clients)
    outcome = Outcome()
    with folder() as path:
        settings = deployment(path / "var", plan)
        with served(path / "var", settings, options.profile) as running:
            print(f"{options.conversations} conversations at once, {options.messages} messages each, "
                  f"{options.clients} clients")  # fmt: skip
            _conversations(running, plan, options.seconds, outcome)
            octets = sum(len(mail.raw) for mail in outcome.sent[:_MOST_ORDINARY])
            partners = _partners(plan)
            letters = letters_of(outcome.sent[:_MOST_ORDINARY], partners)
            if letters and not options.only_conversations:
                size = octets / len(letters) / 1000
                print(f"the same {len(letters)} mails ({size:.0f} kB each) as ordinary mail to both sides")
                _ordinary(running, letters, outcome)
                print("the same to Postfix -> Dovecot LMTP, without us")
                _beside(path, running, plan, letters, outcome)
            if outcome.faults and options.log is not None:
                shutil.copy(running.log, options.log)
    for fault in outcome.faults[:50]:
        print(f"FAULT {fault}")
    print("nothing lost, nothing doubled, nothing in the wrong thread" if not outcome.faults else "failed")
    return 1 if outcome.faults else 0


def _partners(plan: Plan) -> dict[str, str]:
    """For each account the other side of its first tele-expertise."""
    partners = {}
    for case in reversed(plan.cases):
        partners[case.requester.address] = case.expert.address
        partners[case.expert.address] = case.requester.address
    return partners


def main() -> int:
    """Read the options and run."""
    parser = argparse.ArgumentParser(prog="python -m tests.load", description=__doc__)
    parser.add_argument("--conversations", type=int, default=50, help="tele-expertises at once (default: 50)")
    parser.add_argument("--messages", type=int, default=20, help="messages in each (default: 20)")
    parser.add_argument("--clients", type=int, default=20, help="mail clients at once (default: 20)")
    parser.add_argument("--seconds", type=float, default=200, help="time limit of the play (default: 200)")
    parser.add_argument("--only-conversations", action="store_true", help="leave the comparison out")
    parser.add_argument("--profile", type=Path, help="run the gateway under cProfile and write its data here")
    parser.add_argument("--log", type=Path, help="keep the gateway's log here when something failed")
    options = parser.parse_args()
    find_installation(managesieve=False)
    if options.clients < 2 or options.messages < 3 or not 0 < options.conversations <= MAX_CONVERSATIONS:
        parser.error("2 clients, 3 messages and 1 conversation at least")
    return _run(options)


if __name__ == "__main__":
    sys.exit(main())
