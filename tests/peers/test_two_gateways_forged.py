"""X-TLE fields that must not be believed: nothing changes, nobody's mail is lost, and the reason is noted."""

from __future__ import annotations

import smtplib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import pytest

from certs.dkim import load_dkim_signer, sign_dkim
from gateway.services import Services
from teleexpertise.claims import Claim, claim_fields
from teleexpertise.mirrors import Mirror
from teleexpertise.states import State
from tests.support import region
from tests.support.envelopes import confidential
from tests.support.forging import Forger
from tests.support.gateway import Client, read, refusal_text
from tests.support.neighbours import (
    HERE,
    THERE,
    Neighbours,
    deployment,
    disbelieved,
    held,
    mirror,
    neighbours,
)
from tests.support.operators import opened
from tests.support.threads import FOLDER, Thread, open_thread

pytestmark = pytest.mark.timeout(120)


@dataclass(frozen=True, slots=True)
class Stage:
    """A conversation held there and mirrored here, one held here, and who writes what is forged."""

    both: Neighbours
    thread: Thread
    ours: Thread
    genuine: tuple[bytes, str]

    @property
    def doctor(self) -> Client:
        return self.both.doctor

    @property
    def holder(self) -> Forger:
        return Forger(self.both.there.settings)

    @property
    def third(self) -> Forger:
        return Forger(self.both.third)

    @property
    def mirror(self) -> Mirror:
        found = mirror(self.both.here, self.thread.ref, THERE)
        assert found is not None
        return found

    @property
    def claim(self) -> Claim:
        """What would close the mirrored conversation, were it believed."""
        known = self.mirror
        return Claim(
            id=known.id,
            ref=known.ref,
            event="cloture",
            seq=known.seq + 1,
            state=State.CANCELLED,
            to=(self.doctor.address,),
        )

    def keywords(self) -> set[str]:
        """The states that the mirrored conversation's mails show; one of ours may have the same reference."""
        mark = f"\r\nX-TLE-Id: {self.mirror.id}\r\n".encode()
        found = [flags for raw, flags in self.doctor.raw_mails(FOLDER) if mark in raw]
        return {flag for flags in found for flag in flags if flag.startswith("tle_")}

    def mirrored(self) -> dict[str, tuple[str, int]]:
        """State and number of everything that others hold, and of what is held here."""

        async def look(services: Services) -> dict[str, tuple[str, int]]:
            async with services.store.reading() as tx:
                ids = await tx.mirrors.list()
                events = {str(each): len(await tx.mirrors.events(each)) for each in ids}
                kept = {str(each): await tx.mirrors.projection(each) for each in ids}
            return {name: (str(value), events[name]) for name, value in kept.items()}

        found: dict[str, tuple[str, int]] = self.both.here.ask(look)
        return {**found, "ours": held(self.both.here, self.ours.ref)[1:]}


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with neighbours() as both:
        thread = opened(both.doctor, both.expert, both.there.service)
        thread.question(both.doctor)
        thread.tell(both.expert, "Bien reçu.")
        both.quiet()

        async def first(services: Services) -> tuple[bytes, str]:
            async with services.store.reading() as tx:
                (identifier,) = await tx.mirrors.by_ref(thread.ref)
                event = next(e for e in await tx.mirrors.events(identifier) if e.event == "question")
                row = await tx.messages.get(event.message)
                raw = await tx.messages.get_raw(event.message)
            assert row is not None
            assert raw is not None
            return raw, str(row.envelope["mail_from"])

        ours = open_thread(both.here)
        both.quiet()
        yield Stage(both, thread, ours, both.here.ask(first))


def by_own_user(stage: Stage) -> None:
    nurse = stage.both.here.client(region.NURSE)
    mail = nurse.compose(stage.doctor.address, "Fini", "La demande est annulée.")
    for name, value in claim_fields(stage.claim):
        mail[name] = value
    nurse.send(mail)


def generated(**changes: object) -> Callable[[Stage], None]:
    """A mail of the holder's service with something wrong."""

    def send(stage: Stage) -> None:
        raw = stage.holder.generated(stage.claim, **changes)  # type: ignore[arg-type]
        stage.holder.deliver(stage.both.here, raw, [stage.doctor.address])

    return send


def altered(old: str, new: str) -> Callable[[Stage], None]:
    """A signed mail whose outer header somebody changed on the way."""

    def send(stage: Stage) -> None:
        raw = stage.holder.generated(stage.claim)
        assert old.encode() in raw.partition(b"\r\n\r\n")[0]
        stage.holder.deliver(
            stage.both.here, raw.replace(old.encode(), new.encode(), 1), [stage.doctor.address]
        )

    return send


def with_fields(change: Callable[[dict[str, str]], object]) -> Callable[[Stage], None]:
    """A mail whose signed fields are others."""

    def send(stage: Stage) -> None:
        fields = dict(claim_fields(stage.claim))
        change(fields)
        raw = stage.holder.generated(stage.claim, inside=list(fields.items()))
        stage.holder.deliver(stage.both.here, raw, [stage.doctor.address])

    return send


def only_outside(stage: Stage) -> None:
    raw = stage.holder.generated(stage.claim, inside=[], outside=claim_fields(stage.claim))
    stage.holder.deliver(stage.both.here, raw, [stage.doctor.address])


def third_about_anothers(stage: Stage) -> None:
    stage.third.deliver(stage.both.here, stage.third.generated(stage.claim), [stage.doctor.address])


def about_ours(stage: Stage) -> None:
    identifier, _, seq = held(stage.both.here, stage.ours.ref)
    claim = replace(stage.claim, id=identifier, ref=stage.ours.ref, seq=seq + 1)
    stage.holder.deliver(stage.both.here, stage.holder.generated(claim), [stage.doctor.address])


def passed_on(by: str = "holder", author: str = "", **changes: object) -> Callable[[Stage], None]:
    """A person's mail passed on by a peer with something wrong."""

    def send(stage: Stage) -> None:
        forger: Forger = getattr(stage, by)
        writer = author or f"remy.perret@{forger.domain}"
        raw = forger.passed_on(stage.claim, writer, **changes)  # type: ignore[arg-type]
        forger.deliver(stage.both.here, raw, [stage.doctor.address], writer)

    return send


def reply_to_the_holder(stage: Stage) -> None:
    """The third operator signs for itself and points at the holder's conversation."""
    writer = f"remy.perret@{stage.third.domain}"
    raw = replace_reply(stage.third, stage.claim, writer, stage.mirror.reply_to)
    stage.third.deliver(stage.both.here, raw, [stage.doctor.address], writer)


def replace_reply(forger: Forger, claim: Claim, writer: str, address: str) -> bytes:
    """A passed-on mail whose signed Reply-To is somebody else's."""
    raw = forger.passed_on(claim, writer, signed=False)
    own = f"Reply-To: teleexpertise+jeton@{forger.domain}".encode()
    assert own in raw
    raw = raw.replace(own, f"Reply-To: {address}".encode())
    (one,) = forger.settings.dkim.signing
    signer = load_dkim_signer(forger.domain, one.selector, one.key.read_bytes())
    return sign_dkim(raw, signer, datetime.now(UTC)) + raw


FORGED: dict[str, tuple[Callable[[Stage], None], str]] = {
    "a user of ours": (by_own_user, "own-user"),
    "unsigned": (generated(signed=False), "unsigned"),
    "one more field outside": (generated(outside=[("X-TLE-Note", "x")]), "field-uncovered"),
    "a field for the mailbox outside": (generated(outside=[("X-TLE-Place", "INBOX")]), "field-uncovered"),
    "a field twice": (generated(outside=[("X-TLE-State", "cancelled")]), "field-duplicated"),
    "another state outside": (altered("X-TLE-State: cancelled", "X-TLE-State: declined"), "field-uncovered"),
    "another reply address outside": (
        altered("Reply-To: teleexpertise+jeton", "Reply-To: teleexpertise+autre"),
        "headers-differ",
    ),
    "all fields outside": (only_outside, "field-uncovered"),
    "no number": (with_fields(lambda fields: fields.pop("X-TLE-Seq")), "field-missing"),
    "a number that is none": (with_fields(lambda f: f.update({"X-TLE-Seq": "1e9"})), "field-malformed"),
    "a state that is none": (with_fields(lambda f: f.update({"X-TLE-State": "new"})), "field-malformed"),
    "for nobody": (with_fields(lambda fields: fields.pop("X-TLE-To")), "field-missing"),
    "for somebody else": (
        with_fields(lambda f: f.update({"X-TLE-To": f"nadia.roux@{HERE}"})),
        "not-addressed",
    ),
    "a third operator": (third_about_anothers, "other-holder"),
    "a conversation of ours": (about_ours, "own-conversation"),
    "a person without signature": (passed_on(signed=False), "unsigned"),
    "a person and one more field": (passed_on(outside=[("X-TLE-Note", "x")]), "field-uncovered"),
    "a person and a second state": (passed_on(outside=[("X-TLE-State", "declined")]), "field-duplicated"),
    "a person's fields outside": (
        passed_on(fields=[], outside=[("X-TLE-Id", "6f1c2a52-6ab1-4ef0-9c0a-5a3f1f0c7d11")]),
        "signature-not-passed",  # what is oversigned cannot be added
    ),
    "a person, by another domain's key": (passed_on(domain="tiers.mssante.example"), "signature-not-passed"),
    "a person of a third operator": (passed_on("third"), "other-holder"),
    "a third operator about the holder's address": (reply_to_the_holder, "other-domain"),
}


def told(stage: Stage) -> list[str]:
    return [line.result for line in disbelieved(stage.both.here)]


@pytest.mark.parametrize("kind", FORGED)
def test_what_is_forged_changes_nothing_and_arrives_as_ordinary_mail(stage: Stage, kind: str) -> None:
    send, reason = FORGED[kind]
    stage.both.here.settled()
    known, before = stage.mirrored(), told(stage)
    inbox, folder = len(stage.doctor.mails()), len(stage.doctor.mails(FOLDER))
    send(stage)
    stage.both.here.settled()
    assert told(stage) == [*before, reason]
    assert stage.mirrored() == known
    assert len(stage.doctor.mails(FOLDER)) == folder
    assert len(stage.doctor.mails()) == inbox + 1, "the mail itself is not lost"
    arrived = stage.doctor.mails()[-1]
    assert not [name for name in arrived if name.lower().startswith("x-tle-") and name != "X-TLE-Delivery"]
    assert stage.keywords() == {"tle_in_progress"}


def test_a_genuine_mail_replayed_to_somebody_else_makes_nobody_a_member(stage: Stage) -> None:
    raw, mail_from = stage.genuine
    other = stage.both.here.client(region.STRANGER)
    known, before = stage.mirrored(), told(stage)
    stage.holder.deliver(stage.both.here, raw, [other.address], mail_from)
    stage.both.here.settled()
    assert told(stage) == [*before, "not-addressed"]
    assert stage.mirrored() == known
    assert not other.mails(FOLDER)
    assert [m for m in other.mails() if m["message-id"] == read(raw)["message-id"]]


def test_one_transaction_to_a_member_and_somebody_else_files_it_for_the_member_alone(stage: Stage) -> None:
    other = stage.both.here.client(region.NURSE)
    claim = replace(stage.claim, event="question", state=State.IN_PROGRESS)
    raw = stage.holder.generated(claim)
    before = told(stage)
    stage.holder.deliver(stage.both.here, raw, [other.address, stage.doctor.address])
    stage.both.here.settled()
    assert told(stage) == [*before, "not-addressed"]
    assert stage.mirror.active() == (stage.doctor.address,)
    mail_id = read(raw)["message-id"]
    assert [m["x-tle-ref"] for m in other.mails() if m["message-id"] == mail_id] == [None]
    assert [m["x-tle-ref"] for m in stage.doctor.mails(FOLDER) if m["message-id"] == mail_id] == [claim.ref]


def test_what_was_not_believed_is_listed_and_counted(stage: Stage) -> None:
    by_own_user(stage)
    stage.both.here.settled()
    command = deployment(stage.both.here.settings)
    reasons = told(stage)
    listed = command.json("audit", "list", "--action", "disbelieve", "--limit", "1000")
    assert [line["result"] for line in listed] == reasons
    counted = command.json("audit", "list", "--action", "disbelieve", "--count")
    assert {line["result"]: line["lines"] for line in counted} == Counter(reasons)
    assert "own-user" in command.done("audit", "list", "--count")
    assert "own-user" in command.done("explain", listed[-1]["target"])
    assert "disbelieve" in command.done("audit", "list")


def test_a_key_that_cannot_be_had_delays_no_mail_and_the_next_news_bring_the_state(stage: Stage) -> None:
    forger, doctor = stage.holder, stage.doctor
    claim = forger.claim(to=(doctor.address,), state=State.REQUESTED)
    forger.deliver(stage.both.here, forger.generated(claim), [doctor.address])
    writer = f"remy.perret@{forger.domain}"
    said = replace(claim, event="message", seq=3, state=State.IN_PROGRESS)
    raw = forger.passed_on(said, writer, selector="inconnu")
    before = told(stage)
    forger.deliver(stage.both.here, raw, [doctor.address], writer)
    stage.both.here.settled()
    assert told(stage) == [*before, "signature-not-passed"]
    assert [m for m in doctor.mails() if m["message-id"] == read(raw)["message-id"]]
    found = mirror(stage.both.here, claim.ref, THERE)
    assert found is not None
    assert found.state is State.REQUESTED
    news = replace(said, event="etat", seq=4)
    forger.deliver(stage.both.here, forger.generated(news), [stage.both.here.service], "")
    stage.both.here.settled()
    found = mirror(stage.both.here, claim.ref, THERE)
    assert found is not None
    assert (found.state, found.seq, found.active()) == (State.IN_PROGRESS, 4, (doctor.address,))
    assert told(stage) == [*before, "signature-not-passed"]


def test_a_sealed_mail_of_the_service_is_believed_by_its_domains_signature_alone(stage: Stage) -> None:
    """We cannot open it, so we cannot see the organisation's signature within."""
    doctor, claim = stage.doctor, stage.holder.claim(to=(stage.doctor.address,))
    certificate = confidential().certificate_pem
    before = told(stage)
    bare = stage.holder.sealed(claim, certificate, signed=False)
    stage.holder.deliver(stage.both.here, bare, [doctor.address])
    stage.both.here.settled()
    assert told(stage) == [*before, "unsigned"]
    assert mirror(stage.both.here, claim.ref, THERE) is None
    sealed = stage.holder.sealed(claim, certificate)
    stage.holder.deliver(stage.both.here, sealed, [doctor.address])
    stage.both.here.settled()
    found = mirror(stage.both.here, claim.ref, THERE)
    assert found is not None
    assert found.active() == (doctor.address,)
    assert [m for m in doctor.mails(FOLDER) if m["message-id"] == read(sealed)["message-id"]]


@pytest.mark.parametrize("to", [(), (f"personne@{HERE}",), ("nadia.roux@ailleurs.mssante.example",)])
def test_news_about_nobody_of_ours_make_no_record(stage: Stage, to: tuple[str, ...]) -> None:
    before, known = told(stage), stage.mirrored()
    news = stage.holder.claim(to=to, event="etat")
    stage.holder.deliver(stage.both.here, stage.holder.generated(news), [stage.both.here.service], "")
    stage.both.here.settled()
    assert told(stage) == [*before, "not-addressed"]
    assert stage.mirrored() == known


def test_a_third_operator_cannot_hand_in_the_holders_mail(stage: Stage) -> None:
    raw, _ = stage.genuine
    known = stage.mirrored()
    with pytest.raises(smtplib.SMTPDataError) as refusal:
        stage.third.deliver(stage.both.here, raw, [stage.doctor.address])
    assert refusal_text(refusal.value).startswith("550 5.7.1")
    assert stage.mirrored() == known


def test_a_number_of_the_third_operator_is_its_own_conversation(stage: Stage) -> None:
    """The same reference at two holders is two conversations; neither touches the other."""
    before = stage.mirror
    claim = stage.third.claim(to=(stage.doctor.address,), ref=stage.thread.ref)
    stage.third.deliver(stage.both.here, stage.third.generated(claim), [stage.doctor.address])
    found = mirror(stage.both.here, stage.thread.ref, "tiers.mssante.example")
    assert found is not None
    assert found.id == claim.id
    assert stage.mirror == before


def test_mail_of_somebody_who_is_no_member_is_no_answer(stage: Stage) -> None:
    stranger = stage.both.here.client(region.STRANGER)
    before = stage.mirror
    mail = stranger.compose(stage.mirror.reply_to, f"Re: {stage.thread.ref}", "Moi aussi.")
    stranger.send(mail)
    stranger.wait(lambda m: m.get_content_type() == "multipart/report")
    assert stage.mirror == before
    assert not stranger.mails(FOLDER)
