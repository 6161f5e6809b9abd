"""The default rules: what follows from what happens, over whole conversations."""

import pytest

from teleexpertise.actions import Answer, DeliverLetter, FileReport, MakeReport, Notify, Post, Tag, Voice
from teleexpertise.conversation import Conversation
from teleexpertise.events import (
    Declined,
    Exchanged,
    Held,
    MemberLeft,
    Opened,
    Redirected,
    ReportMade,
    Requeued,
    Resumed,
    Side,
    TakenUp,
)
from teleexpertise.facts import Trigger
from teleexpertise.states import State
from tests.support.cases import GUEST, OVERVIEW, Play, completed, opened, proposals, rules

DERMATOLOGY = """
[rules.dermatologie-sans-image]
on = ["request", "message"]
when = \"\"\"
    'dermatologie' in expert_specialties and images_total == 0
    and side == 'requester' and not closed\"\"\"
do = [{ ask = "Merci de joindre au moins une photographie nette." }]
"""


def state(play: Play) -> State:
    assert isinstance(play.now, Conversation)
    return play.now.state


def kinds(play: Play) -> list[str]:
    return [entry.event.kind for entry in play.records]


def test_a_request_opens_the_thread_on_both_sides() -> None:
    decision = Play().request()
    assert [type(event) for event in decision.events] == [Opened]
    assert decision.actions == (
        Post(template="ouverture", voice=Voice.EXPERT, documents=True),
        Post(template="question", voice=Voice.REQUESTER, letter=True),
        Answer(template="confirmation"),
        Notify(subject="request"),
    )
    assert (decision.before, decision.after) == (State.NEW, State.REQUESTED)


def test_a_vital_emergency_opens_nothing() -> None:
    decision = Play().request(opened(urgency="vitale", items=(OVERVIEW,)))
    assert decision.events == ()
    assert decision.actions == (Answer(template="urgence-vitale"),)
    assert decision.after is State.NEW


def test_a_vital_emergency_goes_before_another_tool() -> None:
    decision = Play().request(opened(urgency="vitale"), tool_url="https://outil.example/")
    assert decision.actions == (Answer(template="urgence-vitale"),)


def test_an_expert_with_another_tool_redirects() -> None:
    play = Play()
    decision = play.request(tool_url="https://outil.example/")
    assert decision.events[1:] == (Redirected(url="https://outil.example/"),)
    assert decision.actions == (Answer(template="redirection"),)
    assert state(play) is State.REDIRECTED


SENT_AWAY = """
[rules.ailleurs]
on = "request"
before = "ouverture"
do = [{ answer = "redirection" }]
stop = true
"""


def test_a_rule_may_send_a_request_away_unopened() -> None:
    decision = Play(rules("[rules.autre-outil]\nenabled = false", SENT_AWAY)).request(
        tool_url="https://outil.example/"
    )
    assert (decision.events, decision.actions) == ((), (Answer(template="redirection"),))


@pytest.mark.parametrize(
    "careless",
    [SENT_AWAY, SENT_AWAY.replace("[{ answer", '[{ accept = true }, { move = "redirected" }, { answer')],
)
def test_nobody_is_sent_to_a_tool_that_the_expert_does_not_name(careless: str) -> None:
    play = Play(rules(careless))
    decision = play.request()
    assert state(play) is State.REQUESTED
    assert Answer(template="redirection") not in decision.actions
    line = next(line for line in decision.trace if line.rule == "ailleurs")
    assert (line.fired, line.why) == (False, "refused: the expert names no other tool")


def test_a_missing_photo_holds_the_request_from_the_start() -> None:
    play = Play()
    decision = play.request(opened(items=(OVERVIEW,)))
    assert decision.events[1:] == (Held(reason="prerequis-manquants", asked=("Vue d'ensemble",)),)
    assert state(play) is State.ON_HOLD


def test_the_photo_puts_the_request_back_before_the_expert() -> None:
    play = Play()
    play.request(opened(items=(OVERVIEW,)))
    decision = play.mail(Side.REQUESTER, images=1)
    assert decision.events[1:] == (Requeued(),)
    assert Tag() in decision.actions
    play.mail(Side.EXPERT)
    assert kinds(play)[-2:] == ["exchanged", "taken_up"]
    assert state(play) is State.IN_PROGRESS


def test_the_photo_goes_on_where_the_expert_had_written_before() -> None:
    play = Play()
    play.request(opened(items=(OVERVIEW,)))
    play.mail(Side.EXPERT)
    assert state(play) is State.ON_HOLD
    assert play.mail(Side.REQUESTER, images=1).events[1:] == (Resumed(),)
    assert state(play) is State.IN_PROGRESS


def test_a_guest_may_bring_the_photo_but_a_guests_words_end_no_wait() -> None:
    play = Play()
    play.request(opened(items=(OVERVIEW,)))
    play.mail(Side.GUEST)
    assert state(play) is State.ON_HOLD
    play.mail(Side.GUEST, images=1)
    assert state(play) is State.REQUESTED


def test_a_reply_without_the_photo_is_told_what_is_missing() -> None:
    play = Play()
    play.request(opened(items=(OVERVIEW,)))
    decision = play.mail(Side.REQUESTER)
    assert Post(template="elements-manquants") in decision.actions
    assert Tag() not in decision.actions
    assert state(play) is State.ON_HOLD


def test_a_photo_of_the_expert_is_not_the_one_that_is_missing() -> None:
    play = Play()
    play.request(opened(items=(OVERVIEW,)))
    play.mail(Side.EXPERT, images=1)
    assert state(play) is State.ON_HOLD


def test_the_expert_asks_and_any_answer_goes_on() -> None:
    play = Play()
    play.request()
    asked = Held(reason="demande de l'expert", asked=("Antécédents familiaux",))
    decision = play.act(Trigger.ASK, asked, Side.EXPERT)
    assert decision.actions == (
        Post(template="complement", voice=Voice.EXPERT),
        Answer(template="confirmation-commande"),
        Notify(subject="missing"),
        Tag(),
    )
    assert play.now is not None
    assert play.now.asked == ("Antécédents familiaux",)
    play.mail(Side.REQUESTER)
    assert state(play) is State.IN_PROGRESS


def test_every_mail_is_delivered_as_it_is() -> None:
    play = Play()
    play.request()
    for side in (Side.EXPERT, Side.REQUESTER, Side.GUEST):
        decision = play.mail(side)
        assert decision.actions[:2] == (DeliverLetter(), Notify(subject="answer"))
    assert kinds(play) == ["opened", "exchanged", "taken_up", "exchanged", "exchanged"]


def test_finalising_makes_the_report_and_the_report_is_posted_and_filed() -> None:
    play = Play()
    play.request()
    assert play.finalise().actions == (MakeReport(), Answer(template="confirmation-cloture"), Tag())
    made = ReportMade(version=1, filename="compte-rendu.pdf", sha256="0" * 64)
    decision = play.act(Trigger.REPORT, made, Side.EXPERT)
    assert decision.actions == (
        Post(template="rapport", voice=Voice.EXPERT),
        FileReport(),
        Notify(subject="report"),
    )
    assert play.now is not None
    assert play.now.reports == (1,)


def test_a_second_finalisation_makes_version_two() -> None:
    play = Play()
    play.request()
    play.finalise()
    assert MakeReport() in play.finalise().actions
    assert play.now is not None
    assert play.now.version == 2


@pytest.mark.parametrize("first", [Trigger.FINALISE, Trigger.DECLINE, Trigger.CANCEL])
@pytest.mark.parametrize("second", [Trigger.FINALISE, Trigger.DECLINE, Trigger.CANCEL])
def test_of_two_closings_the_first_holds(first: Trigger, second: Trigger) -> None:
    closings = dict(proposals())
    play = Play()
    play.request()
    play.act(first, closings[first], Side.EXPERT)
    before = play.now
    decision = play.act(second, closings[second], Side.REQUESTER)
    if (first, second) == (Trigger.FINALISE, Trigger.FINALISE):
        assert not decision.conflict
        return
    assert decision.conflict
    assert (decision.events, decision.actions) == ((), (Answer(template="conflit"),))
    assert decision.trace[-1].why.startswith("refused: ")
    assert play.now == before


def test_a_question_after_the_end_is_answered_as_a_conflict() -> None:
    play = Play()
    play.request()
    play.finalise()
    assert play.act(Trigger.ASK, Held(reason="demande"), Side.EXPERT).conflict


@pytest.mark.parametrize("trigger", [Trigger.FINALISE, Trigger.DECLINE, Trigger.CANCEL])
@pytest.mark.parametrize("side", list(Side))
def test_late_mail_is_delivered_and_changes_no_state(trigger: Trigger, side: Side) -> None:
    play = Play()
    play.request(opened(items=(OVERVIEW,)))
    play.act(trigger, dict(proposals())[trigger], Side.EXPERT)
    closed = state(play)
    decision = play.mail(side, images=1)
    assert decision.actions == (DeliverLetter(), Notify(subject="answer"))
    assert decision.events == (Exchanged(side=side, images=1, late=True),)
    assert state(play) is closed


def test_a_removed_member_is_told_first() -> None:
    play = Play()
    play.request()
    play.act(Trigger.INVITE, dict(proposals())[Trigger.INVITE], Side.REQUESTER)
    decision = play.act(Trigger.REMOVE, MemberLeft(address=GUEST.address), Side.REQUESTER)
    assert decision.actions == (Post(template="retrait"), Answer(template="confirmation-commande"))
    assert play.now is not None
    assert play.now.member(GUEST.address) is None


@pytest.mark.parametrize("trigger", [Trigger.ABSENCE, Trigger.BOUNCE, Trigger.INVITE])
def test_absence_bounce_and_invitation_change_no_state(trigger: Trigger) -> None:
    play = Play()
    play.request()
    decision = play.act(trigger, dict(proposals())[trigger], Side.EXPERT)
    assert decision.before is decision.after
    assert len(decision.events) == len(decision.actions) == 1


def test_dermatology_without_an_image_is_a_few_lines() -> None:
    play = Play(rules(DERMATOLOGY))
    decision = play.request()
    text = "Merci de joindre au moins une photographie nette."
    assert decision.actions[-1] == Post(template="elements-manquants", text=text)
    assert decision.events[-1] == Held(reason="dermatologie-sans-image", asked=(text,))
    play.mail(Side.REQUESTER)
    assert state(play) is State.ON_HOLD
    play.mail(Side.REQUESTER, images=1)
    assert state(play) is State.REQUESTED


def test_the_dermatology_rule_leaves_others_alone() -> None:
    assert len(Play(rules(DERMATOLOGY)).request(opened(images=1)).events) == 1
    assert len(Play(rules(DERMATOLOGY)).request(opened(specialties=("Cardiologie",))).events) == 1


def test_a_rule_whose_move_is_not_possible_loses_no_mail() -> None:
    careless = '[rules.toujours]\non = "message"\ndo = [{ ask = "Encore une photo." }]'
    play = Play(rules(careless))
    play.request()
    play.finalise()
    decision = play.mail(Side.REQUESTER)
    assert not decision.conflict
    assert decision.actions == (DeliverLetter(), Notify(subject="answer"))
    assert decision.trace[-1].fired is False
    assert decision.trace[-1].why == "refused: no step held from state completed"


def test_a_condition_without_an_answer_does_not_fire_and_says_so() -> None:
    careless = '[rules.part]\non = "message"\nwhen = "images / documents > 1"\ndo = [{ notify = "reminder" }]'
    play = Play(rules(careless))
    play.request()
    decision = play.mail(Side.REQUESTER)
    assert decision.trace[-1].fired is False
    assert "no answer: arithmetic error" in decision.trace[-1].why
    assert DeliverLetter() in decision.actions


def test_accepting_and_delivering_twice_happens_once() -> None:
    again = '[rules.encore]\non = "message"\ndo = [{ accept = true }, { deliver = true }]'
    play = Play(rules(again))
    play.request()
    decision = play.mail(Side.REQUESTER)
    assert [type(event) for event in decision.events] == [Exchanged]
    assert decision.actions.count(DeliverLetter()) == 1


def test_rules_see_what_rules_before_them_did() -> None:
    after = """
    [rules.suite]
    on = "message"
    when = "state == 'in_progress' and side == 'expert'"
    do = [{ notify = "reminder" }]
    """
    play = Play(rules(after))
    play.request()
    decision = play.mail(Side.EXPERT)
    assert decision.events[-1] == TakenUp()
    assert Notify(subject="reminder") in decision.actions


def test_the_trace_tells_of_every_rule_that_was_read() -> None:
    decision = Play().request(opened(items=(OVERVIEW,)))
    assert [(line.rule, line.fired) for line in decision.trace] == [
        ("urgence-vitale", False),
        ("autre-outil", False),
        ("ouverture", True),
        ("prerequis-manquants", True),
    ]
    assert [line.why for line in decision.trace][2:] == ["always", "missing_count > 0"]
    assert decision.symbols["state"] == "new"


def test_finalising_names_the_rules_that_decided() -> None:
    play = Play()
    play.request()
    assert play.finalise().rules_version == play.book.version
    assert play.act(Trigger.DECLINE, Declined(reason=""), Side.EXPERT).rules_version == play.book.version
    assert completed().kind == "completed"
