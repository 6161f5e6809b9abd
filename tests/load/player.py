"""One client: plays its side of all its tele-expertises at once, as a person with a mail program would."""

from __future__ import annotations

import quopri
import threading
import time
from dataclasses import dataclass, field
from email.message import EmailMessage

from mailboxes.vocabulary import CONVERSATIONS_FOLDER
from teleexpertise.people import Account
from tests.load.plan import Case, Plan, mark, marks_in
from tests.load.served import Served
from tests.load.sessions import Sent, Session, unfolded
from tests.support.forms import quoted, typed_into
from tests.support.gateway import Client, TestGateway, read, text_of

_LOOK_SECONDS = 0.2
#: How many replies one side writes before it has seen as many of the other's.
_AHEAD = 3


@dataclass(slots=True)
class _Side:
    """One account's side of one tele-expertise, as far as it has got."""

    case: Case
    to_write: list[int]
    latest: EmailMessage | None = None
    reference: str = ""
    seen: set[int] = field(default_factory=set)
    written: int = 0
    asked: bool = False
    finished: bool = False

    @property
    def may_write(self) -> bool:
        """Whether the next reply may go: the thread is there and the other side is not far behind."""
        begun = self.latest is not None and bool(self.to_write)
        return begun and self.written < len(self.seen) + _AHEAD


@dataclass(slots=True)
class Player:
    """A client of one account; ``run`` in a thread of its own. ``failure`` tells why it stopped early."""

    served: Served
    account: Account
    plan: Plan
    deadline: float
    stopping: threading.Event
    sent: list[Sent] = field(default_factory=list)
    failure: str = ""
    _sides: dict[int, _Side] = field(default_factory=dict)
    _awaited: dict[str, _Side] = field(default_factory=dict)
    _writer: Client | None = None

    def run(self) -> None:
        """Play until every tele-expertise of the account has its report, or the deadline passes."""
        own = self.account.address
        gateway = TestGateway(self.served.settings, self.served.tls)
        self._writer = Client(own, self.account.name, gateway)
        self._sides = {case.number: _Side(case, case.replies_of(own)) for case in self.plan.of(own)}
        try:
            with Session(self.served, own) as session:
                self.sent = session.sent
                self._play(session)
        except Exception as error:  # noqa: BLE001 - one client's failure is the result of the whole run
            self.failure = f"{own}: {type(error).__name__}: {error}"
            self.stopping.set()

    def _play(self, session: Session) -> None:
        for side in self._sides.values():
            if side.case.requester is self.account:
                self._command(session, side, f"Nouvelle téléexpertise {side.case.expert.address}")
        while not all(side.finished for side in self._sides.values()):
            if self.stopping.is_set():
                return
            if time.monotonic() > self.deadline:
                waiting = [side.case.number for side in self._sides.values() if not side.finished]
                raise TimeoutError(f"no report yet in {waiting}")
            looked = time.monotonic()
            self._read_forms(session)
            self._read_thread(session)
            for side in self._sides.values():
                self._write(session, side)
            time.sleep(max(0.0, looked + _LOOK_SECONDS - time.monotonic()))

    def _command(self, session: Session, side: _Side, subject: str) -> None:
        assert self._writer is not None, "running"
        message = self._writer.compose(self.served.settings.service_address, subject)
        self._awaited[str(message["message-id"])] = side
        session.send(message.as_bytes(), [self.served.settings.service_address])

    def _read_forms(self, session: Session) -> None:
        """Answer the forms that the commands brought."""
        if not self._awaited:
            return
        for header, body in session.news("INBOX"):
            side = self._awaited.pop(unfolded(header, "In-Reply-To"), None)
            if side is not None:
                self._fill(session, side, read(header + body))

    def _fill(self, session: Session, side: _Side, form: EmailMessage) -> None:
        assert self._writer is not None, "running"
        case = side.case
        number = case.messages if side.asked else 1
        if side.asked:
            values = {"Conclusion": mark(case.number, number), "Suite proposée": "Surveillance"}
        else:
            values = {
                "Nom de naissance": case.patient,
                "Prénoms": "Jeanne",
                "Date de naissance": "03/02/1957",
                "Sexe": "F",
                "Consentement": "oui",
                "Urgence": "7 jours",
                "Question": mark(case.number, number),
            }
        answer = self._writer.reply(form, quoted(typed_into(text_of(form), values)))
        _enclose(answer, case, number)
        session.send(answer.as_bytes(), [self.served.settings.service_address])

    def _read_thread(self, session: Session) -> None:
        for header, body in session.news(CONVERSATIONS_FOLDER):
            text = quopri.decodestring(body).decode("utf-8", "replace")
            # The report cites marks too: what a mail is, its event says.
            event = unfolded(header, "X-TLE-Event")
            for number, message in marks_in(text):
                side = self._sides.get(number)
                if side is None:
                    raise AssertionError(f"message {message} of tele-expertise {number} is not ours")
                if event == "rapport":
                    side.finished = True
                elif message not in side.case.replies_of(self.account.address) and message > 1:
                    side.seen.add(message)
                if event in ("question", "message"):
                    side.latest = read(header)
                    side.reference = unfolded(header, "X-TLE-Ref")
            if event == "rapport":
                self._finish(unfolded(header, "X-TLE-Ref"))

    def _finish(self, reference: str) -> None:
        for side in self._sides.values():
            if side.reference == reference:
                side.finished = True

    def _write(self, session: Session, side: _Side) -> None:
        """Send the replies that may go; the expert finalises when all have been written and seen."""
        assert self._writer is not None, "running"
        while side.may_write:
            assert side.latest is not None, "something to reply to"
            number = side.to_write.pop(0)
            text = f"{mark(side.case.number, number)}\nBonjour, voici la suite de nos échanges.\n"
            reply = self._writer.reply(side.latest, text)
            _enclose(reply, side.case, number)
            session.send(reply.as_bytes(), [address.addr_spec for address in reply["to"].addresses])
            side.written += 1
        due = len(side.case.replies) - len(side.case.replies_of(self.account.address))
        ready = side.latest is not None and not side.to_write and len(side.seen) == due
        if side.case.expert is self.account and ready and not side.asked:
            side.asked = True
            self._command(session, side, f"Finaliser {side.reference}")


def _enclose(message: EmailMessage, case: Case, number: int) -> None:
    content = case.enclosed(number)
    if content:
        message.add_attachment(content, maintype="image", subtype="jpeg", filename=f"photo-{number}.jpg")


def play(served: Served, plan: Plan, seconds: float) -> list[Player]:
    """Play the whole plan, a thread for each client; returns them when all have ended."""
    stopping = threading.Event()
    deadline = time.monotonic() + seconds
    players = [Player(served, account, plan, deadline, stopping) for account in plan.accounts]
    threads = [threading.Thread(target=player.run, name=player.account.address) for player in players]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return players
