"""What a rule may do where: each pair of trigger and verb is refused when loaded, or can be performed."""

from collections.abc import Iterator
from zoneinfo import ZoneInfo

import pytest

from gateway.pipeline.links import Links
from gateway.pipeline.views import Case, build
from teleexpertise.actions import Action, Answer, FileReport, MakeReport, Notify, Post
from teleexpertise.conversation import Conversation
from teleexpertise.errors import RuleError
from teleexpertise.events import AnyEvent, MemberJoined, Side
from teleexpertise.facts import Facts, Trigger
from teleexpertise.people import Document
from teleexpertise.repertoire import ENDINGS, REPERTOIRE, words_of
from teleexpertise.rules import load_rules
from teleexpertise.texts import Texts, contexts, load_words
from tests.support.cases import GUEST, OVERVIEW, START, Play, author, completed, opened, proposals
from tests.support.samples import ADDRESS, SERVICE

TEXTS = Texts(SERVICE, ZoneInfo("Europe/Paris"))
LINKS = Links(ADDRESS, load_words())
FLAGS = ("accept", "deliver", "hand_over", "report", "file")
WORDED = ("move", "answer", "post", "attach", "notify")
TOOL = "https://outil.example/"

#: What comes with each trigger, as the gateway has it then.
COMES = {Trigger.REQUEST: opened(items=(OVERVIEW,)), **dict(proposals())}
BROUGHT: dict[Trigger, dict[str, object]] = {
    Trigger.REQUEST: {
        "documents": (Document(filename="fiche.pdf", content_type="application/pdf", content=b"%PDF"),)
    },
    Trigger.INVITE: {"person": GUEST},
    Trigger.REMOVE: {"person": GUEST},
    Trigger.REPORT: {"filename": "TLE-2026-000123-v1.pdf"},
    Trigger.ABSENCE: {"text": "Absente jusqu'à lundi."},
    Trigger.BOUNCE: {"recipient": GUEST.address, "sent_at": START, "diagnostic": "550 5.1.1"},
    Trigger.INTEGRATION: {"recipient": GUEST.address, "sent_at": START, "code": "902"},
}


def pairs() -> Iterator[tuple[Trigger, str, str]]:
    for trigger in Trigger:
        yield from ((trigger, verb, "") for verb in (*FLAGS, "ask"))
        yield from ((trigger, verb, word) for verb in WORDED for word in words_of(verb))


def possible(trigger: Trigger, verb: str, word: str) -> bool:
    words = REPERTOIRE[trigger].get(verb)
    return words is not None and (not word or word in words)


def entry(trigger: Trigger, verb: str, word: str) -> str:
    """One table of ``do``, as a rules file has it."""
    if verb == "attach":
        template = (REPERTOIRE[trigger].get("post") or words_of("post"))[0]
        return f'{{ post = "{template}", attach = "{word}" }}'
    value = "true" if verb in FLAGS else f'"{word or "Une photographie nette."}"'
    return f"{{ {verb} = {value} }}"


def rule(trigger: Trigger, *entries: str, stop: bool = False) -> str:
    return f'[rules.x]\non = "{trigger}"\ndo = [{", ".join(entries)}]\nstop = {str(stop).lower()}'


def beside(verb: str, word: str) -> list[str]:
    """What a rule must say before this."""
    if word == "urgence-vitale":
        return []
    return [
        "{ accept = true }",
        *(['{ move = "redirected" }'] if word == "redirection" else []),
        *(['{ post = "rapport" }'] if verb == "file" else []),
    ]


@pytest.mark.parametrize(("trigger", "verb", "word"), [pair for pair in pairs() if not possible(*pair)])
def test_what_is_not_possible_is_refused_with_what_is(trigger: Trigger, verb: str, word: str) -> None:
    with pytest.raises(RuleError) as refused:
        load_rules([rule(trigger, "{ accept = true }", entry(trigger, verb, word), stop=word in ENDINGS)])
    verbs = REPERTOIRE[trigger]
    if verb == "attach" and "post" not in verbs:
        verb = "post"
    shown = f'{verb} = "{word}"' if verb in verbs else verb
    there = ", ".join(verbs.get(verb, verbs))
    assert str(refused.value) == f'rule x: {shown} is not possible on "{trigger}"; there: {there}'


@pytest.mark.parametrize(("trigger", "verb", "word"), [pair for pair in pairs() if possible(*pair)])
def test_what_is_possible_can_be_performed(trigger: Trigger, verb: str, word: str) -> None:
    source = rule(trigger, *beside(verb, word), entry(trigger, verb, word), stop=word in ENDINGS)
    play = Play()
    if trigger is not Trigger.REQUEST:
        play.request(opened(items=(OVERVIEW,)))
        play.act(Trigger.INVITE, MemberJoined(party=GUEST), Side.REQUESTER)
    if trigger is Trigger.REPORT:
        play.act(Trigger.FINALISE, completed(), Side.EXPERT)
    play.book = load_rules([source])
    facts = Facts(
        trigger=trigger,
        author=author(Side.EXPERT),
        proposed=COMES[trigger],
        tool_url=TOOL if "redirect" in word else "",
    )
    decision = play.happens(facts)
    assert decision.trace[-1].fired or verb == "move", "rules cannot move from every state"
    for action in decision.actions:
        perform(action, play.now, trigger)


def perform(action: Action, conversation: Conversation | None, trigger: Trigger) -> None:
    if isinstance(action, Answer) and conversation is None:
        assert action.template in ENDINGS
        return
    assert conversation is not None, "nothing else happens without a conversation"
    match action:
        case Post(template=template, text=text) | Answer(template=template, text=text):
            case = Case(
                conversation=conversation,
                author=author(Side.EXPERT),
                now=START,
                links=LINKS,
                **{"text": text, **BROUGHT.get(trigger, {})},  # type: ignore[arg-type]
            )
            body = TEXTS.render(build(template, case))
            assert body.subject
            assert "None" not in body.text
        case Notify(subject=subject):
            assert contexts.NoticeEvent(subject)
        case MakeReport() | FileReport():
            assert conversation.completion is not None


@pytest.mark.parametrize(("trigger", "event"), proposals())
@pytest.mark.parametrize("closing", [Trigger.FINALISE, Trigger.DECLINE, Trigger.CANCEL, None])
def test_what_comes_after_the_end_can_be_answered(
    closing: Trigger | None, trigger: Trigger, event: AnyEvent
) -> None:
    play = Play()
    play.request(tool_url="" if closing else TOOL)
    if closing:
        play.act(closing, COMES[closing], Side.EXPERT)
    decision = play.act(trigger, event, Side.REQUESTER)
    if decision.conflict:
        assert decision.actions == (Answer(template="conflit"),)
        perform(decision.actions[0], play.now, trigger)


ALONE = [
    (
        rule(Trigger.DECLINE, '{ post = "cloture" }'),
        'post = "cloture" on "decline" tells of what was recorded',
    ),
    (rule(Trigger.MESSAGE, "{ deliver = true }"), 'deliver on "message" tells of what was recorded'),
    (rule(Trigger.REQUEST, '{ notify = "request" }'), 'notify = "request" on "request" tells of what was'),
    (rule(Trigger.FINALISE, "{ report = true }"), "it wants { accept = true } beside it"),
    (rule(Trigger.REPORT, "{ accept = true }", "{ file = true }"), 'put { post = "rapport" } before it'),
    (
        rule(Trigger.REPORT, "{ accept = true }", "{ file = true }", '{ post = "rapport" }'),
        'put { post = "rapport" } before it',
    ),
    (rule(Trigger.REQUEST, '{ answer = "urgence-vitale" }'), "nothing was opened: it wants stop = true"),
    (rule(Trigger.REQUEST, '{ answer = "redirection" }'), "nothing was opened: it wants stop = true"),
    (
        rule(Trigger.REQUEST, "{ accept = true }", '{ answer = "urgence-vitale" }', stop=True),
        "it goes without accept",
    ),
    (
        rule(Trigger.REQUEST, "{ accept = true }", '{ answer = "redirection" }', stop=True),
        'wants { move = "redirected" } beside it',
    ),
    (rule(Trigger.MESSAGE, stop=True), "it wants { accept = true }, { deliver = true }"),
    (rule(Trigger.MESSAGE, "{ accept = true }", stop=True), 'what came on "message" would be lost'),
    (rule(Trigger.REQUEST, stop=True), 'what came on "request" would be lost'),
    (rule(Trigger.ABSENCE, stop=True), "it wants { accept = true }"),
    ('[rules.x]\non = ["message", "request"]\ndo = [{ accept = true }, { deliver = true }]', 'on "request"'),
]


@pytest.mark.parametrize(("source", "sentence"), ALONE)
def test_what_must_stand_beside_it_is_said(source: str, sentence: str) -> None:
    with pytest.raises(RuleError) as refused:
        load_rules([source])
    assert sentence in str(refused.value)
    assert str(refused.value).startswith("rule x: ")
