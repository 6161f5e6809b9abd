"""The loader of rules: every mistake has its own sentence, and operators can change what is shipped."""

import tomllib
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from teleexpertise.actions import Answer, Notify, Post, Voice
from teleexpertise.conditions import ConditionError, compile_condition
from teleexpertise.conversation import Conversation
from teleexpertise.errors import RuleError
from teleexpertise.events import Opened, Side
from teleexpertise.facts import SYMBOLS, VALUES, Facts, SymbolKind, Trigger, symbols
from teleexpertise.repertoire import words_of
from teleexpertise.rules import Accept, Ask, Move, load_rules
from tests.support.cases import DEFAULT_RULES, OVERVIEW, author, conversation, opened, proposals, rules

NOW = datetime(2026, 3, 4, 8, 0, tzinfo=UTC)

MISTAKES = [
    ("rules = 3", "rules stand in [rules.<name>]"),
    ("[rule.x]\non = 'message'", "unknown table 'rule'"),
    ("[rules.x", "rules file: "),
    ("[rules]\nx = 1", "rule x: is no table"),
    ("[rules.x]\ndo = []", "rule x: on names what the rule listens to"),
    ("[rules.x]\non = []", "rule x: on names what the rule listens to"),
    ("[rules.x]\non = 3", "rule x: on names what the rule listens to"),
    ("[rules.x]\non = 'mesage'", "rule x: on = 'mesage' is not known; did you mean 'message'?"),
    ("[rules.x]\non = ['message', 4]", "rule x: on wants a text, not 4"),
    ("[rules.x]\non = 'message'\nwen = 'closed'", "rule x: unknown key 'wen'; did you mean 'when'?"),
    ("[rules.x]\non = 'message'\nwhen = true", "rule x: when wants a text, not True"),
    ("[rules.x]\non = 'message'\nwhen = 'closd'", "unknown symbol 'closd' in when; did you mean 'closed'?"),
    ("[rules.x]\non = 'message'\nwhen = 'closed and'", "rule x: condition 'closed and': "),
    ("[rules.x]\non = 'message'\nwhen = 'images'", "rule x: condition 'images' is neither true nor false"),
    ("[rules.x]\non = 'message'\nwhen = 'images == \"2\"'", "compares float with string, which never holds"),
    (
        "[rules.x]\non = 'message'\nwhen = 'urgency > 2'",
        "rule x: condition 'urgency > 2': data type mismatch",
    ),
    (
        "[rules.x]\non = 'message'\nwhen = 'state == \"on-hold\"'",
        "rule x: state is never 'on-hold'; did you mean 'on_hold'?",
    ),
    (
        "[rules.x]\non = 'message'\nwhen = 'side in [\"guest\", \"expret\"]'",
        "rule x: side is never 'expret'; did you mean 'expert'?",
    ),
    (
        "[rules.x]\non = 'message'\nwhen = '$random() > 0.5'",
        "rule x: condition '$random() > 0.5' uses $random",
    ),
    ("[rules.x]\non = 'message'\nwhen = '$now > d\"2026-01-01\"'", "uses $now"),
    (f"[rules.x]\non = 'message'\nwhen = '{'-' * 1900}1 > images'", "is nested too deep"),
    (f"[rules.x]\non = 'message'\nwhen = '{'not ' * 500}closed'", "rule x: a condition has at most 2000"),
    ("[rules.x]\non = 'message'\nstop = 'yes'", "rule x: stop wants true or false"),
    ("[rules.x]\non = 'message'\nenabled = 0", "rule x: enabled wants true or false"),
    (
        "[rules.x]\non = 'message'\nbefore = 'mesage'",
        "before = 'mesage' names no rule; did you mean 'message'?",
    ),
    ("[rules.x]\non = 'message'\nbefore = ['message']", "rule x: before wants a text, not ['message']"),
    ("[rules.x]\non = 'message'\nbefore = 'x'", "rule x: before = 'x' names no rule; known: "),
    ("[rules.x]\non = 'message'\nwhy = 3", "rule x: why wants a text, not 3"),
    ("[rules.x]\non = 'message'\ndo = { accept = true }", "rule x: do wants a list of tables"),
    ("[rules.x]\non = 'message'\ndo = ['accept']", "rule x: each entry of do is a table"),
    ("[rules.x]\non = 'message'\ndo = [{}]", "rule x: each entry of do is a table"),
    ("[rules.x]\non = 'message'\ndo = [{ aks = 'x' }]", "do has no verb in ['aks']; did you mean 'ask'?"),
    (
        "[rules.x]\non = 'message'\ndo = [{ ask = 'x', accept = true }]",
        "rule x: ask and accept are two things; write a table for each",
    ),
    ("[rules.x]\non = 'message'\ndo = [{ accept = false }]", "rule x: accept wants true"),
    ("[rules.x]\non = 'message'\ndo = [{ accept = 1 }]", "rule x: accept wants true"),
    (
        "[rules.x]\non = 'message'\ndo = [{ move = 'hold' }]",
        "move = 'hold' is not known; did you mean 'held'?",
    ),
    ("[rules.x]\non = 'message'\ndo = [{ move = 'completed' }]", "move = 'completed' is not known; known: "),
    ("[rules.x]\non = 'message'\ndo = [{ ask = ' ' }]", "rule x: ask wants a text, not ' '"),
    ("[rules.x]\non = 'message'\ndo = [{ answer = 3 }]", "rule x: answer wants a text, not 3"),
    (
        "[rules.x]\non = 'message'\ndo = [{ answer = 'confirmations' }]",
        "rule x: answer = 'confirmations' is not known; did you mean 'confirmation'?",
    ),
    (
        "[rules.x]\non = 'message'\ndo = [{ post = 'aide' }]",
        "rule x: post = 'aide' is not known; known: absence, ",
    ),
    (
        "[rules.x]\non = 'message'\ndo = [{ notify = 'anser' }]",
        "rule x: notify = 'anser' is not known; did you mean 'answer'?",
    ),
    ("[rules.x]\non = 'message'\ndo = [{ notify = [] }]", "rule x: notify wants a text, not []"),
    (
        "[rules.x]\non = 'message'\ndo = [{ ask = 'x', voice = 'expert' }]",
        "rule x: ask has no option 'voice'",
    ),
    (
        "[rules.x]\non = 'message'\ndo = [{ post = 'question', voce = 'expert' }]",
        "rule x: post has no option 'voce'; did you mean 'voice'?",
    ),
    (
        "[rules.x]\non = 'message'\ndo = [{ post = 'question', voice = 'exprt' }]",
        "rule x: voice = 'exprt' is not known; did you mean 'expert'?",
    ),
    (
        "[rules.x]\non = 'message'\ndo = [{ post = 'question', attach = 'photo' }]",
        "rule x: attach lists 'documents' and 'letter', not ['photo']",
    ),
    ("[rules.x]\non = 'message'\ndo = [{ post = 'question', attach = [['a']] }]", "rule x: attach lists "),
]


@pytest.mark.parametrize(("source", "sentence"), MISTAKES)
def test_each_mistake_has_its_sentence(source: str, sentence: str) -> None:
    with pytest.raises(RuleError) as refused:
        load_rules([DEFAULT_RULES, source])
    assert sentence in str(refused.value)
    assert "\n" not in str(refused.value)


def test_the_default_rules_hear_every_trigger() -> None:
    book = rules()
    assert all(book.on(trigger) for trigger in Trigger)


def test_what_a_rule_says_is_what_is_read() -> None:
    source = """
    [rules.tout]
    on = "request"
    when = "images > 1"
    do = [
        { accept = true }, { move = "held" }, { ask = "Une photo." }, { answer = "confirmation" },
        { post = "ouverture", voice = "expert", attach = ["documents", "letter"] }, { notify = "request" },
    ]
    stop = true
    """
    rule = load_rules([source]).rules[0]
    assert rule.on == {Trigger.REQUEST}
    assert rule.stop
    assert rule.do == (
        Accept(),
        Move.HELD,
        Ask("Une photo."),
        Answer(template="confirmation"),
        Post(template="ouverture", voice=Voice.EXPERT, documents=True, letter=True),
        Notify(subject="request"),
    )


def names(*operator: str) -> list[str]:
    return [rule.name for rule in rules(*operator).rules]


def test_an_operators_rule_comes_last_or_before_the_one_it_names() -> None:
    assert names("[rules.mienne]\non = 'message'")[-1] == "mienne"
    found = names("[rules.mienne]\non = 'message'\nbefore = 'ouverture'")
    assert found[found.index("mienne") + 1] == "ouverture"


def test_a_rule_of_the_same_name_replaces_in_place() -> None:
    book = rules("[rules.message]\non = 'message'\nwhen = 'not closed'")
    assert [rule.name for rule in book.rules] == names()
    assert next(rule for rule in book.rules if rule.name == "message").when == "not closed"


def test_a_replacing_rule_can_move_too() -> None:
    found = names("[rules.message]\non = 'message'\nbefore = 'ouverture'")
    assert found[found.index("message") + 1] == "ouverture"
    assert len(found) == len(names())


def test_a_rule_is_switched_off_by_one_line() -> None:
    assert names("[rules.absence]\nenabled = false") == [name for name in names() if name != "absence"]


def test_switching_off_what_does_not_exist_is_a_mistake() -> None:
    with pytest.raises(
        RuleError, match="rule abscence: enabled = false names no rule; did you mean 'absence'"
    ):
        names("[rules.abscence]\nenabled = false")


def test_a_rule_written_out_may_wait_switched_off() -> None:
    assert "mienne" not in names("[rules.mienne]\non = 'message'\nenabled = false")


def test_the_version_follows_the_sources() -> None:
    assert rules().version == rules().version
    assert rules().version != rules("[rules.absence]\nenabled = false").version


def test_every_mail_that_a_rule_may_send_has_its_words(root: Path) -> None:
    texts = root / "teleexpertise" / "texts"
    assert {*words_of("answer"), *words_of("post")} <= {
        path.stem for path in (texts / "templates").glob("*.j2")
    }
    words = tomllib.loads((texts / "words.toml").read_text(encoding="utf-8"))
    assert set(words_of("notify")) == set(words["notice_subjects"])


def typed(kind: SymbolKind, name: str) -> str:
    word = VALUES.get(name, ("x",))[0]
    return {
        SymbolKind.TEXT: f"{name} == '{word}'",
        SymbolKind.NUMBER: f"{name} >= 1",
        SymbolKind.TRUTH: f"not {name}",
        SymbolKind.TEXTS: f"'x' in {name}",
    }[kind]


CASES: list[tuple[Conversation | None, Facts]] = [
    (None, Facts(trigger=Trigger.REQUEST, author=author(Side.REQUESTER), proposed=opened(items=(OVERVIEW,)))),
    *(
        (conversation(), Facts(trigger=trigger, author=author(Side.EXPERT), proposed=event, side=Side.EXPERT))
        for trigger, event in proposals()
    ),
]


@pytest.mark.parametrize(("known", "facts"), CASES, ids=[facts.trigger for _, facts in CASES])
def test_every_symbol_has_its_value_and_type_in_every_case(known: Conversation | None, facts: Facts) -> None:
    values = symbols(known, facts, NOW)
    assert set(values) == set(SYMBOLS)
    types = {SymbolKind.TEXT: str, SymbolKind.TRUTH: bool, SymbolKind.TEXTS: list}
    for name, (kind, _) in SYMBOLS.items():
        if kind is SymbolKind.NUMBER:
            assert type(values[name]) in (int, float), name
        else:
            assert type(values[name]) is types[kind], name
        assert compile_condition(typed(kind, name)).holds(values) in (True, False)


def test_words_of_limited_symbols_are_those_that_come() -> None:
    assert set(VALUES) <= set(SYMBOLS)
    for known, facts in CASES:
        values = symbols(known, facts, NOW)
        assert all(values[name] in words for name, words in VALUES.items())


def test_the_hour_is_that_of_the_zone_in_which_now_is_given() -> None:
    known, facts = CASES[1]
    assert symbols(known, facts, NOW)["hour"] == 8
    assert symbols(known, facts, NOW.astimezone(ZoneInfo("Europe/Paris")))["hour"] == 9


def test_symbols_count_what_this_mail_brings() -> None:
    held = conversation(opening=opened(items=(OVERVIEW,)))
    _, reply = proposals()[0]
    facts = Facts(trigger=Trigger.MESSAGE, author=author(Side.REQUESTER), proposed=reply)
    values = symbols(held, facts, NOW)
    assert (values["images"], values["images_total"], values["missing"]) == (1, 1, [])
    assert values["age_hours"] == pytest.approx(46.48, abs=0.01)
    assert values["expert_specialties"] == ["dermatologie"]
    assert isinstance(held.opening, Opened)


@pytest.mark.parametrize("text", ["missing[0] == 'x'", "images / documents > 1", "urgency.to_int > 3"])
def test_a_condition_without_an_answer_is_one_exception(text: str) -> None:
    values = symbols(*CASES[1], NOW) | {"images": 1, "missing": []}
    with pytest.raises(ConditionError, match="no answer: "):
        compile_condition(text).holds(values)
