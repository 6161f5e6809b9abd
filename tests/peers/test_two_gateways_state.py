"""Two gateways of two operators run one conversation: each keeps a record of its own, and both end alike."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from email.message import EmailMessage
from functools import partial

import pytest

from gateway.services import Services
from gateway.store import OutboxState
from gateway.workers.timekeeping import on_the_clock
from teleexpertise.mirrors import fold_mirror
from teleexpertise.people import Absence, NoticeMode
from teleexpertise.states import State
from tests.support import region
from tests.support.deployment import mails_to
from tests.support.forging import Forger
from tests.support.forms import quoted, typed_into
from tests.support.gateway import (
    TestGateway,
    eventually,
    octets_after_header,
    read,
    text_of,
    words_of,
)
from tests.support.neighbours import HERE, THERE, THIRD, Neighbours, deployment, held, mirror, neighbours
from tests.support.operators import operator_session, own_certificate, resident
from tests.support.pairs import Pair
from tests.support.threads import FOLDER, answered, attachments, open_thread, photo

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def both() -> Iterator[Neighbours]:
    with neighbours() as made:
        yield made


@pytest.fixture(params=["here asks there", "there asks here"])
def pair(both: Neighbours, request: pytest.FixtureRequest) -> Pair:
    return Pair(both.here, both.there) if "here asks" in request.param else Pair(both.there, both.here)


def test_after_each_step_both_records_say_the_same(pair: Pair) -> None:
    thread, doctor, expert = pair.thread, pair.doctor, pair.expert
    assert pair.alike("requested").active() == (doctor.address,)

    said = thread.say(expert, "Exérèse à prévoir ; depuis quand ?")
    mine = thread.copy_of(doctor, said)
    raw = next(raw for raw, _ in thread.raw_seen_by(doctor) if str(said["message-id"]).encode() in raw)
    assert octets_after_header(raw) == octets_after_header(said.as_bytes())
    assert mine["x-tle-state"] == "in_progress"
    pair.alike("in_progress")

    pair.fill(expert, "Compléments", Éléments_demandés="Vue rapprochée avec règle")
    pair.alike("on_hold")

    # Her own mail moves the state there and does not come back: the holder tells the gateway.
    sent = thread.say(doctor, "La voici.", photo("regle.jpg"))
    thread.copy_of(expert, sent)
    pair.alike("in_progress")

    thread.finalise(expert, "Première conclusion.")
    _, first = thread.report(doctor)
    assert first.startswith(b"%PDF-")
    pair.alike("completed")
    again = answered(expert, pair.form(expert, "Finaliser"), {"Conclusion": "Corrigée."})
    expert.answer_to(expert.send(again))
    thread.report(doctor, 2)
    found = pair.alike("completed")
    assert found.seq == held(pair.holder, pair.ref)[2]


def test_the_expert_declines(both: Neighbours) -> None:
    pair = Pair(both.here, both.there)
    pair.fill(pair.expert, "Décliner", Motif="Hors de mon champ.")
    told = pair.thread.wait(pair.doctor, lambda mail: mail["x-tle-event"] == "cloture")
    assert "Hors de mon champ." in words_of(told)
    found = pair.alike("declined")
    assert found.told is not None
    assert found.told.declined_at is not None, "the figures of who asked count the refusal's delay"


def test_the_requester_cancels_at_the_holder(both: Neighbours) -> None:
    pair = Pair(both.there, both.here)
    pair.fill(pair.doctor, "Annuler", Motif="Le patient a consulté.")
    pair.alike("cancelled")


async def _prefer(services: Services, address: str, mode: NoticeMode) -> None:
    async with services.store.transaction() as tx:
        account = await tx.accounts.get(address)
        assert account is not None
        await tx.accounts.save(replace(account, notice=mode))


@pytest.fixture(scope="module")
def asked(both: Neighbours) -> Pair:
    """One conversation that the tests below share; none of them closes it."""
    made = Pair(both.here, both.there)
    made.alike("requested")
    made.thread.tell(made.expert, "Bien reçu.")
    made.alike("in_progress")
    return made


def test_a_notice_without_patient_data_announces_the_answer_in_the_inbox(asked: Pair) -> None:
    thread, doctor = asked.thread, asked.doctor
    said = thread.tell(asked.expert, "Une question encore.")
    notice = doctor.wait(lambda mail: str(mail["in-reply-to"] or "").strip() == said["message-id"])
    assert notice["from"].addresses[0].addr_spec == asked.asker.service
    assert "une nouvelle réponse vous attend" in words_of(notice)
    assert thread.values["Nom de naissance"] not in str(notice)
    assert "Une question encore" not in str(notice)
    # By a reply to the notice the answer reaches the conversation as well.
    answer = doctor.send(doctor.reply(notice, "Depuis mai."))
    thread.copy_of(asked.expert, answer)


def test_an_answer_is_filed_once_and_read_in_the_acting_account(asked: Pair) -> None:
    thread, doctor = asked.thread, asked.doctor
    question = thread.question(doctor)
    reply = doctor.reply(question, "Le docteur me charge de répondre.")
    asked.secretary.send_bytes(reply.as_bytes(), [str(reply["to"].addresses[0].addr_spec)])
    thread.copy_of(doctor, reply)
    asked.asker.settled()
    copies = [
        (read(raw), flags)
        for raw, flags in doctor.raw_mails(FOLDER)
        if str(reply["message-id"]).encode() in raw.partition(b"\r\n\r\n")[0]
        and read(raw)["message-id"] == reply["message-id"]
    ]
    ((copy, flags),) = copies
    assert "\\Seen" in flags
    assert copy["sender"].address.addr_spec == asked.secretary.address
    assert not [m for m in asked.secretary.mails(FOLDER) if m["message-id"] == reply["message-id"]]
    assert thread.copy_of(asked.expert, reply)["from"].addresses[0].addr_spec == doctor.address
    shown = deployment(asked.asker.settings).json("conversation", "show", f"{asked.ref}@{asked.domain}")
    (event,) = [each for each in shown["events"] if each["mail_id"] == reply["message-id"]]
    assert (event["flow"], event["author"]) == ("sent", f"{region.SECRETARY.name} pour {region.GP.name}")


def test_a_delegate_with_an_own_from_is_the_holders_to_judge(asked: Pair) -> None:
    """The holder knows no delegation of ours: it refuses, the author hears of it, nothing is recorded."""
    secretary = asked.secretary
    reply = secretary.reply(asked.thread.question(asked.doctor), "De ma part.")
    before = asked.mirror()
    secretary.send(reply)
    secretary.wait(lambda mail: mail.get_content_type() == "multipart/report")
    assert asked.mirror() == before


def test_somebody_invited_here_joins_and_leaves_in_both_records(asked: Pair) -> None:
    thread, doctor = asked.thread, asked.doctor
    guest = asked.asker.client(resident(region.CARDIOLOGIST, asked.asker.settings.service.domain))
    invitation = doctor.reply(thread.question(doctor), "Je joins une collègue.")
    invitation["Cc"] = guest.address
    doctor.send(invitation)
    thread.wait(guest, lambda mail: mail["x-tle-event"] == "invitation")
    eventually(lambda: guest.address in asked.mirror().active(), "the guest is a member here")
    asked.expert.send(asked.expert.compose(asked.holder.service, f"Retirer {guest.address} {asked.ref}"))
    eventually(lambda: asked.mirror().active() == (doctor.address,), "the guest has left here, too")
    asked.alike("in_progress")


def test_who_prefers_it_has_the_conversation_in_the_inbox(both: Neighbours, asked: Pair) -> None:
    doctor = asked.doctor
    address, gateway = doctor.address, asked.asker

    gateway.ask(lambda services: _prefer(services, address, NoticeMode.INBOX))
    try:
        said = asked.thread.say(asked.expert, "Directement dans la boîte de réception.")
        mail = doctor.wait(lambda mail: mail["message-id"] == said["message-id"])
        assert mail["x-tle-ref"] == asked.ref
        assert not [m for m in doctor.mails(FOLDER) if m["message-id"] == said["message-id"]]
    finally:
        gateway.ask(lambda services: _prefer(services, address, NoticeMode.NOTICE))


def test_a_guest_is_told_of_what_another_gateway_holds_once_a_day_and_who_asked_at_once(asked: Pair) -> None:
    gateway, thread, doctor = asked.asker, asked.thread, asked.doctor
    nurse = gateway.client(resident(region.NURSE, gateway.settings.service.domain))
    for client in (doctor, nurse):
        gateway.ask(partial(_prefer, address=client.address, mode=NoticeMode.DIGEST))
    try:
        invitation = doctor.reply(thread.question(doctor), "Je mets l'infirmière en copie.")
        invitation["Cc"] = nurse.address
        doctor.send(invitation)
        thread.wait(nurse, lambda mail: mail["x-tle-event"] == "invitation")
        said = thread.say(asked.expert, "Pansement humide, contrôle à J15.")
        thread.copy_of(nurse, said)
        assert doctor.wait(lambda mail: str(mail["in-reply-to"] or "").strip() == said["message-id"])
        gateway.settled()
        # What doctor herself sent to her as well is in there, and no notice.
        notices = [mail for mail in nurse.mails("INBOX") if mail["auto-submitted"]]
        assert not [mail for mail in notices if asked.ref in str(mail["subject"])]
        for _ in range(2):  # the second time nothing is left to tell
            (digest,) = gateway.ask(partial(_digests_a_day_later, address=nurse.address))
        assert f"{asked.ref} (en cours) : une nouvelle réponse" in words_of(digest)
        assert asked.ref not in str(digest["subject"])
        assert thread.values["Nom de naissance"] not in str(digest)
        assert gateway.ask(partial(_digests_a_day_later, address=doctor.address)) == []
    finally:
        for client in (doctor, nurse):
            gateway.ask(partial(_prefer, address=client.address, mode=NoticeMode.NOTICE))


async def _digests_a_day_later(services: Services, address: str) -> list[EmailMessage]:
    """The digests that are on their way to an account tomorrow."""
    moment = services.clock() + timedelta(days=1)
    await on_the_clock(replace(services, clock=lambda: moment))
    found = [mail for mail in await mails_to(services, address) if "résumé du jour" in str(mail["subject"])]
    # What was written tomorrow goes out today: the tests that follow wait for an empty queue.
    async with services.store.transaction() as tx:
        for row in await tx.outbox.list([OutboxState.PENDING], limit=1000):
            if row.next_at > services.clock():
                await tx.outbox.hold(row, "tomorrow", services.clock())
                await tx.outbox.release(row.id, services.clock())
    services.store.outbox_changed.set()
    return found


def test_the_worklist_names_the_holder(asked: Pair) -> None:
    worklist = words_of(asked.doctor.ask_service("Mes téléexpertises"))
    assert f"{asked.ref} - en cours" in worklist
    assert f"{THERE} (autre opérateur)" in worklist
    assert asked.holder.service in text_of(asked.doctor.wait("Mes téléexpertises"))
    assert asked.thread.values["Nom de naissance"] in worklist
    assert region.DERMATOLOGIST.name in worklist


def test_the_command_line_shows_and_checks_what_others_hold(asked: Pair) -> None:
    command = deployment(asked.asker.settings)
    name = f"{asked.ref}@{asked.domain}"
    listed = [each for each in command.json("conversation", "list") if each["held_by"] == asked.domain]
    assert asked.ref in [each["ref"] for each in listed]
    assert asked.domain in command.done("conversation", "list", "--member", asked.doctor.address)
    shown = command.json("conversation", "show", name)
    assert (shown["state"], shown["members"][asked.doctor.address]) == ("in_progress", True)
    assert {"received", "sent"} >= {each["flow"] for each in shown["events"]}
    text = command.done("conversation", "show", shown["id"])
    assert f"held by  {asked.domain}" in text
    assert "received question" in text
    explained = command.json("explain", name)
    assert explained["conversation"]["held_by"] == asked.domain
    assert [
        m for m in explained["messages"] if m["events"] and m["events"][0]["kind"] == "received ouverture"
    ]
    one = command.json("explain", shown["events"][0]["message"])
    assert one["conversation"]["held_by"] == asked.domain
    assert command.call("conversation", "show", name, "--patient").exit_code == 1
    assert command.call("conversation", "show", f"{asked.ref}@nobody.example").exit_code != 0
    asked.asker.settled()
    assert command.json("rebuild", "--check")["differences"] == []
    assert command.json("rebuild", "--check")["mirrors"] >= 1


def test_a_rebuild_finds_and_mends_a_state_that_the_mails_do_not_say(asked: Pair) -> None:
    asked.asker.settled()
    identifier = asked.mirror().id

    async def spoil(services: Services) -> None:
        async with services.store.transaction() as tx:
            events = await tx.mirrors.events(identifier)
            kept = fold_mirror(identifier, asked.domain, events)
            await tx.mirrors.save(replace(kept, state=State.CANCELLED))

    asked.asker.ask(spoil)
    command = deployment(asked.asker.settings)
    checked = command.call("rebuild", "--check")
    assert checked.exit_code == 1
    assert f"{asked.ref} of {asked.domain}: projection differs in state" in checked.output
    command.done("rebuild")
    assert command.json("rebuild", "--check")["differences"] == []


# -- deliveries that are lost, doubled and late ----


def received_raw(gateway: TestGateway, ref: str, event: str) -> tuple[bytes, str]:
    """The octets of a mail of the holder as they came, and its envelope sender."""

    async def find(services: Services) -> tuple[bytes, str]:
        async with services.store.reading() as tx:
            (identifier,) = await tx.mirrors.by_ref(ref)
            for each in await tx.mirrors.events(identifier):
                if each.event == event:
                    row = await tx.messages.get(each.message)
                    raw = await tx.messages.get_raw(each.message)
                    assert row is not None
                    assert raw is not None
                    return raw, str(row.envelope["mail_from"])
        raise AssertionError(event)

    return gateway.ask(find)  # type: ignore[no-any-return]


def test_a_mail_whose_250_was_lost_comes_again_and_counts_once(both: Neighbours) -> None:
    pair = Pair(both.here, both.there)
    pair.thread.tell(pair.expert, "Une fois.")
    before_state = pair.alike("in_progress")
    before = both.quiet()
    for event in ("ouverture", "question", "message"):
        raw, mail_from = received_raw(pair.asker, pair.ref, event)
        for _ in range(2):
            with operator_session(
                pair.asker.mx_port, own_certificate(pair.holder.settings).client_tls
            ) as smtp:
                smtp.ehlo()
                smtp.mail(mail_from)
                smtp.rcpt(pair.doctor.address)
                assert smtp.docmd("DATA")[0] == 354
                smtp.send(raw.replace(b"\r\n.", b"\r\n..") + b".\r\n")
                smtp.close()  # the peer dies before it hears the answer
        with operator_session(pair.asker.mx_port, own_certificate(pair.holder.settings).client_tls) as smtp:
            smtp.sendmail(mail_from, [pair.doctor.address], b"Received: from again\r\n" + raw)
    after = both.quiet()
    assert after[:6] == before[:6]
    assert pair.mirror() == before_state


def test_mails_that_overtake_one_another_leave_the_newest_state(both: Neighbours) -> None:
    """The holder's own organisation signs them; they come in the order 9, 3, 9, 5."""
    forger = Forger(both.there.settings)
    doctor, claim = both.doctor, forger.claim(to=(both.doctor.address,))
    order = [(9, "completed"), (3, "requested"), (9, "completed"), (5, "on_hold")]
    mails = {(seq, state): forger.generated(claim, seq=seq, state=state) for seq, state in order}
    for key in order:
        forger.deliver(both.here, mails[key], [doctor.address])
    found = mirror(both.here, claim.ref, THERE)
    assert found is not None
    assert (found.state, found.seq) == ("completed", 9)
    both.here.settled()
    mine = [(read(raw), flags) for raw, flags in doctor.raw_mails(FOLDER)]
    mine = [(mail, flags) for mail, flags in mine if mail["x-tle-ref"] == claim.ref]
    assert len(mine) == 3
    for mail, flags in mine:
        assert "tle_completed" in flags, "a late mail is filed with the state that holds"
        assert mail["x-tle-state"] == "completed"


def test_ten_at_once_are_ten_events(both: Neighbours) -> None:
    forger = Forger(both.there.settings)
    claim = forger.claim(to=(both.doctor.address,))
    raws = [forger.generated(claim, seq=seq, state="in_progress") for seq in range(1, 11)]
    with ThreadPoolExecutor(10) as pool:
        list(pool.map(lambda raw: forger.deliver(both.here, raw, [both.doctor.address]), raws * 2))
    found = mirror(both.here, claim.ref, THERE)
    assert found is not None
    assert found.seq == 10

    async def events(services: Services) -> int:
        async with services.store.reading() as tx:
            return len(await tx.mirrors.events(claim.id))

    assert both.here.ask(events) == 10
    both.here.settled()
    assert len([m for m in both.doctor.mails(FOLDER) if m["x-tle-id"] == str(claim.id)]) == 10


def test_two_people_of_one_operator_have_it_each_once(both: Neighbours) -> None:
    """One mail of the holder for both is one event; what one of them writes is retold to the other."""
    pair = Pair(both.here, both.there)
    nurse = both.here.client(region.NURSE)
    pair.alike("requested")
    invitation = pair.doctor.reply(pair.thread.question(pair.doctor), "Avec l'infirmière.")
    invitation["Cc"] = nurse.address
    pair.doctor.send(invitation, [str(invitation["to"].addresses[0].addr_spec)])
    pair.thread.wait(nurse, lambda mail: mail["x-tle-event"] == "invitation")
    said = pair.thread.say(pair.expert, "Bonjour à toutes deux.")
    for reader in (pair.doctor, nurse):
        assert pair.thread.copy_of(reader, said)["x-tle-state"] == "in_progress"
    mine = nurse.send(nurse.reply(pair.thread.copy_of(nurse, said), "Je passe demain."))
    pair.thread.copy_of(pair.expert, mine)
    retold = pair.thread.wait(
        pair.doctor, lambda mail: mail["x-tle-event"] == "message" and "Je passe demain." in words_of(mail)
    )
    assert retold["from"].addresses[0].addr_spec == pair.holder.service
    both.quiet()
    for reader in (pair.doctor, nurse):
        assert [m["message-id"] for m in pair.thread.seen_by(reader)].count(str(said["message-id"])) == 1
    shown = deployment(both.here.settings).json("conversation", "show", str(pair.mirror().id))
    received = [each["mail_id"] for each in shown["events"] if each["flow"] == "received"]
    assert received.count(str(said["message-id"])) == 1
    assert pair.mirror().active() == (pair.doctor.address, nurse.address)
    assert not pair.mirror().missing


def test_somebody_who_only_reads_sees_how_it_ended(both: Neighbours) -> None:
    """A guest of an operator of which nobody has written to the holder, and no addressee of the report: that
    there is a gateway is told when the first mail is handed over.
    """

    async def unlearn(services: Services) -> None:
        async with services.store.transaction() as tx:
            await tx.peers.learn(HERE, f"teleexpertise@{THIRD}", services.clock())

    both.there.ask(unlearn)
    requester = resident(region.GP, THERE)
    thread = open_thread(both.there, requester, resident(region.DERMATOLOGIST, THERE))
    guest = both.here.client(region.CARDIOLOGIST)
    invitation = thread.requester.reply(thread.question(thread.requester), "Avec une collègue d'ailleurs.")
    invitation["Cc"] = guest.address
    thread.requester.send(invitation)
    thread.wait(guest, lambda mail: mail["x-tle-event"] == "invitation")
    form = thread.form(thread.expert, "Finaliser")
    line = next(line for line in text_of(form).splitlines() if guest.address in line and "[x]" in line)
    reply = thread.expert.reply(
        form,
        quoted(
            typed_into(
                text_of(form), {"Conclusion": "Rien à faire.", "Suite proposée": "Surveillance"}
            ).replace(line, line.replace("[x]", "[ ]"))
        ),
    )
    thread.expert.answer_to(thread.expert.send(reply))
    eventually(lambda: thread.state(guest) == "completed", "the guest's mails say that it is completed")
    found = mirror(both.here, thread.ref, THERE)
    assert found is not None
    assert found.state is State.COMPLETED
    both.here.settled()
    assert not [m for m in thread.seen_by(guest) if f"{thread.ref}-v1.pdf" in attachments(m)]


def test_a_gateway_that_was_away_catches_up(both: Neighbours) -> None:
    """The one stops, the holder goes on and waits with its mails; then all of it arrives."""
    pair = Pair(both.here, both.there)
    pair.alike("requested")
    both.here.stop()
    try:
        pair.expert.send(pair.expert.reply(pair.thread.question(pair.expert), "Pendant votre absence."))
        pair.fill(pair.expert, "Décliner", Motif="Trop loin.")
        assert held(pair.holder, pair.ref)[1] == "declined"
        eventually(lambda: pair.holder.ask(resting), "each of the first mails was tried in vain")
    finally:
        both.here.start()
    pair.holder.ask(again_now)
    found = pair.alike("declined")
    assert found.seq == held(pair.holder, pair.ref)[2]
    assert found.state is State.DECLINED


async def resting(services: Services) -> bool:
    """Whether what there is to relay waits for its next attempt, or for a mail that does."""
    async with services.store.reading() as tx:
        rows = [row for row in await tx.outbox.list((OutboxState.PENDING,)) if row.action == "relay"]
    tried = {row.recipient for row in rows if row.attempts and row.claimed_until is None}
    return bool(rows) and tried == {row.recipient for row in rows}


async def again_now(services: Services) -> None:
    """Try at once what waits for its next attempt."""
    async with services.store.transaction() as tx:
        for row in await tx.outbox.list((OutboxState.PENDING,)):
            await tx.outbox.retry(row, row.last_error, services.clock())


def test_who_asked_elsewhere_hears_that_a_deputy_has_come_and_gets_their_answer(both: Neighbours) -> None:
    pair = Pair(both.here, both.there)
    pair.alike("requested")
    deputy = pair.holder.client(resident(region.CARDIOLOGIST, pair.domain))

    async def away(services: Services, days: int) -> None:
        """The expert is away from today for so many days, 0: no more; then the clock looks."""
        today = services.clock().date()
        absence = Absence(starts=today, ends=today + timedelta(days=days), deputy=deputy.address)
        async with services.store.transaction() as tx:
            expert = await tx.experts.get(pair.expert.address)
            assert expert is not None
            await tx.experts.put(replace(expert, absence=absence if days else None))
        await on_the_clock(services)

    try:
        pair.holder.ask(partial(away, days=9))
        told = pair.thread.wait(pair.doctor, "Remplacement de l'expert absent")
        assert region.CARDIOLOGIST.name in words_of(told)
        assert pair.doctor.wait(f"{pair.ref} - demandée] Absence de l'expert")
        pair.alike("requested")
        question = deputy.wait(lambda mail: mail["x-tle-ref"] == pair.ref, FOLDER)
        said = deputy.send(deputy.reply(question, "Je remplace ; à biopsier."))
        pair.thread.copy_of(pair.doctor, said)
        pair.alike("in_progress")
    finally:
        pair.holder.ask(partial(away, days=0))
