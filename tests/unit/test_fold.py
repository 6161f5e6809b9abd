"""The fold: what a record says, and what it refuses."""

from dataclasses import replace
from datetime import date, timedelta

import pytest

from teleexpertise.conversation import NotOpened, apply, fold
from teleexpertise.events import (
    Author,
    Billed,
    Cancelled,
    Completed,
    Declined,
    Exchanged,
    Held,
    MemberJoined,
    MemberLeft,
    Place,
    Redirected,
    ReportMade,
    Requeued,
    Resumed,
    Side,
    TakenUp,
    dump_event,
    load_event,
)
from teleexpertise.patients import Patient, age
from teleexpertise.states import IllegalStep, State
from tests.support.cases import (
    CLOSE_UP,
    CONVERSATION,
    EXPERT,
    GUEST,
    OVERVIEW,
    REQUESTER,
    START,
    author,
    completed,
    conversation,
    opened,
    record,
)


def test_a_record_begins_with_its_request() -> None:
    with pytest.raises(NotOpened):
        fold(CONVERSATION, [])
    with pytest.raises(NotOpened):
        fold(CONVERSATION, [record(1, TakenUp())])


def test_a_conversation_is_not_opened_twice() -> None:
    with pytest.raises(IllegalStep):
        conversation(opened())


def test_the_request_is_the_first_exchange() -> None:
    found = conversation(opening=opened(images=2))
    assert found.state is State.REQUESTED
    assert [exchange.seq for exchange in found.exchanges] == [1]
    assert found.exchanges[0].side is Side.REQUESTER
    assert found.active() == (REQUESTER, EXPERT)
    assert found.promised_at == START + timedelta(minutes=1, days=7)


def test_photos_of_the_expert_are_no_elements_of_the_request() -> None:
    wanted = opened(items=(OVERVIEW,))
    assert conversation((Side.EXPERT, Exchanged(side=Side.EXPERT, images=1)), opening=wanted).missing
    assert not conversation((Side.GUEST, Exchanged(side=Side.GUEST, images=1)), opening=wanted).missing


def test_what_is_asked_is_forgotten_when_the_wait_ends() -> None:
    held = Held(reason="prerequis-manquants", asked=("Vue d'ensemble",))
    assert conversation(held).asked == ("Vue d'ensemble",)
    for end in (Requeued(), Resumed(), completed(), Declined(reason="non"), Cancelled(reason="non")):
        assert conversation(held, end).asked == ()


def test_asking_again_replaces_what_was_asked() -> None:
    assert conversation(Held(reason="a", asked=("x",)), Held(reason="b", asked=("y",))).asked == ("y",)


def test_an_experts_question_counts_as_an_answer() -> None:
    held = Held(reason="demande", asked=("Antécédents",))
    assert conversation((Side.EXPERT, held)).expert_has_written
    assert not conversation((Side.REQUESTER, held)).expert_has_written


def test_a_delegate_of_the_expert_speaks_for_the_expert() -> None:
    secretary = Author("secretariat@demo.mssante.example", "Secrétariat", EXPERT.address, EXPERT.name)
    held = record(2, Held(reason="demande"), secretary)
    assert fold(CONVERSATION, [record(1, opened()), held]).expert_has_written
    assert secretary.shown == "Secrétariat pour Dr Rémy PERRET"


def test_a_second_finalisation_is_the_second_version() -> None:
    first, second = completed("Bénin."), completed("Bénin, contrôle à six mois.")
    found = conversation((Side.EXPERT, first), ReportMade(version=1, filename="a.pdf", sha256="0"), second)
    assert (found.version, found.reports) == (2, (1,))
    assert found.completion is not None
    assert found.completion.conclusion == "Bénin, contrôle à six mois."


def test_a_closing_keeps_its_author_and_reason() -> None:
    found = conversation((Side.EXPERT, Declined(reason="Hors de mon domaine.")))
    assert (found.state, found.closing_reason) == (State.DECLINED, "Hors de mon domaine.")
    assert found.closed_by == author(Side.EXPERT)
    assert found.closed_at == START + timedelta(minutes=2)


def test_a_late_mail_is_an_exchange_and_changes_no_state() -> None:
    found = conversation(completed(), Exchanged(side=Side.REQUESTER, late=True))
    assert found.state is State.COMPLETED
    assert found.exchanges[-1].late


def test_members_come_and_go_and_come_back() -> None:
    joined, left = MemberJoined(party=GUEST), MemberLeft(address=GUEST.address)
    assert conversation(joined).member(GUEST.address) == GUEST
    assert conversation(joined, left).member(GUEST.address) is None
    back = conversation(joined, left, joined)
    assert back.active() == (REQUESTER, EXPERT, GUEST)
    assert [member.since for member in back.members] == [1, 1, 4]


def test_a_redirected_request_keeps_its_address() -> None:
    found = conversation(Redirected(url="https://outil.example/"))
    assert (found.state, found.redirect_url) == (State.REDIRECTED, "https://outil.example/")


def test_a_completed_conversation_takes_no_other_step() -> None:
    done = conversation(completed())
    for event in (Cancelled(reason=""), Declined(reason=""), Held(reason=""), TakenUp(), Resumed()):
        with pytest.raises(IllegalStep):
            apply(done, record(3, event))


def test_mandatory_elements_are_filled_in_the_experts_order() -> None:
    found = conversation(opening=opened(items=(OVERVIEW, CLOSE_UP), images=1))
    assert found.missing == ("Vue rapprochée",)


@pytest.mark.parametrize("data", [None, 3, [], {}, {"kind": "unknown"}, {"kind": "held"}, {"reason": "x"}])
def test_anything_else_is_no_event(data: object) -> None:
    with pytest.raises(ValueError, match="validation error"):
        load_event(data)


@pytest.mark.parametrize(
    ("today", "years"), [(date(2026, 3, 1), 64), (date(2026, 5, 3), 64), (date(2026, 5, 4), 65)]
)
def test_age_counts_full_years(today: date, years: int) -> None:
    assert age(opened().patient, today) == years
    assert age(Patient(anonymous=True), today) is None


def test_an_anonymous_patient_has_no_label() -> None:
    assert opened().patient.label == "DURAND Zoé"
    assert Patient(anonymous=True).label == ""


def test_a_finalisation_from_before_acts_were_kept_still_loads() -> None:
    old = dump_event(completed())
    for name in ("level", "cumulated", "requester_place", "expert_place", "billed"):
        del old[name]
    loaded = load_event(old)
    assert isinstance(loaded, Completed)
    assert (loaded.level, loaded.cumulated, loaded.expert_place, loaded.billed) == ("", False, None, ())
    places = replace(
        loaded, expert_place=Place("430000018", "43"), billed=(Billed(role="expert", act="TE2"),)
    )
    assert load_event(dump_event(places)) == places
