"""The rules: TOML tables keyed by name, read in order, conditions typed and checked when loaded.

A rule is::

    [rules.dermatologie-sans-image]
    on = "request"
    when = "'dermatologie' in expert_specialties and images == 0"
    do = [{ ask = "Merci de joindre au moins une photographie nette." }]

``on`` names a :class:`~teleexpertise.facts.Trigger` (or a list of them), ``when`` is a condition of the
library ``rule-engine`` over the vocabulary of ``facts.SYMBOLS`` (absent: always), ``do`` lists what
happens (``repertoire.py`` lists what is possible on which trigger), ``stop = true`` ends the reading.
``rules`` of an operator's file come after the default ones unless ``before`` names one of those; a table
with the name of a default rule replaces it, and ``enabled = false`` switches it off.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import Any, TypeVar

from teleexpertise.actions import (
    Action,
    Answer,
    DeliverLetter,
    FileReport,
    HandOver,
    MakeReport,
    Notify,
    Post,
    Reader,
    Voice,
)
from teleexpertise.conditions import Condition, ConditionError, compile_condition
from teleexpertise.errors import RuleError
from teleexpertise.facts import Trigger
from teleexpertise.repertoire import Doing, objection, words_of
from teleexpertise.spelling import nearest

__all__ = ["Accept", "Ask", "Move", "Operation", "Rule", "RuleBook", "load_rules"]


_Choice = TypeVar("_Choice", bound=StrEnum)


class Move(StrEnum):
    """Steps that a rule may take by itself (the others come with what was accepted)."""

    TAKEN_UP = "taken_up"
    HELD = "held"
    RESUMED = "resumed"
    REQUEUED = "requeued"
    REDIRECTED = "redirected"


@dataclass(frozen=True, slots=True)
class Accept:
    """Record what was proposed: the request, the mail, the closing."""


@dataclass(frozen=True, slots=True)
class Ask:
    """Post a request for elements into the thread and hold the conversation."""

    text: str


Operation = Accept | Ask | Move | Action


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule, compiled. ``condition`` is ``None`` for a rule without ``when``; ``why`` is for people."""

    name: str
    on: frozenset[Trigger]
    when: str
    condition: Condition | None
    do: tuple[Operation, ...]
    stop: bool
    why: str = ""

    def matches(self, values: Mapping[str, Any]) -> bool:
        """Whether the condition holds for these values; raises :class:`ConditionError` without an answer."""
        return self.condition is None or self.condition.holds(values)


@dataclass(frozen=True, slots=True)
class RuleBook:
    """All rules in the order in which they are read; ``version`` is a short hash of their sources."""

    rules: tuple[Rule, ...]
    version: str

    def on(self, trigger: Trigger) -> tuple[Rule, ...]:
        """The rules of one trigger, in order."""
        return tuple(rule for rule in self.rules if trigger in rule.on)


_KEYS = ("on", "when", "do", "stop", "enabled", "before", "why")
_FLAGS: Mapping[str, Operation] = {
    "accept": Accept(),
    "deliver": DeliverLetter(),
    "report": MakeReport(),
    "file": FileReport(),
    "hand_over": HandOver(),
}
_WORDS = (*_FLAGS, "move", "ask", "answer", "post", "notify")
#: What may stand beside a verb in its table.
_OPTIONS: Mapping[str, tuple[str, ...]] = {"post": ("voice", "attach", "to"), "notify": ("to",)}


def _condition(name: str, text: Any) -> Condition | None:
    if not isinstance(text, str):
        raise RuleError(f"rule {name}: when wants a text, not {text!r}")
    try:
        return compile_condition(text) if text else None
    except ConditionError as error:
        raise RuleError(f"rule {name}: {error}") from error


def _text(name: str, word: str, value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise RuleError(f"rule {name}: {word} wants a text, not {value!r}")
    return value


def _known(name: str, word: str, value: Any, known: Sequence[str]) -> str:
    text = _text(name, word, value)
    if text not in known:
        raise RuleError(f"rule {name}: {word} = {text!r} is not known; {nearest(text, known)}")
    return text


def _choice(name: str, word: str, value: Any, kind: type[_Choice]) -> _Choice:
    return kind(_known(name, word, value, [str(member) for member in kind]))


def _operation(name: str, table: Any) -> Operation:
    """One table of ``do``: exactly one verb, ``post`` and ``notify`` with their options beside it."""
    if not isinstance(table, dict) or not table:
        raise RuleError(f"rule {name}: each entry of do is a table such as {{ accept = true }}")
    verbs = [word for word in table if word in _WORDS]
    options = [word for word in table if word not in _WORDS]
    if not verbs:
        raise RuleError(f"rule {name}: do has no verb in {sorted(table)}; {nearest(options[0], _WORDS)}")
    if len(verbs) > 1:
        raise RuleError(f"rule {name}: {verbs[0]} and {verbs[1]} are two things; write a table for each")
    verb, value = verbs[0], table[verbs[0]]
    if verb not in _OPTIONS and options:
        raise RuleError(f"rule {name}: {verb} has no option {options[0]!r}")
    for option in options:
        if option not in _OPTIONS[verb]:
            hint = nearest(option, _OPTIONS[verb])
            raise RuleError(f"rule {name}: {verb} has no option {option!r}; {hint}")
    if verb in _FLAGS:
        if value is not True:
            raise RuleError(f"rule {name}: {verb} wants true")
        return _FLAGS[verb]
    match verb:
        case "move":
            return _choice(name, verb, value, Move)
        case "ask":
            return Ask(_text(name, verb, value))
        case "answer":
            return Answer(template=_known(name, verb, value, words_of(verb)))
        case "notify":
            return Notify(subject=_known(name, verb, value, words_of(verb)), to=_readers(name, table))
        case _:
            return _post(name, table)


def _post(name: str, table: Mapping[str, Any]) -> Post:
    attach = _several(table, "attach")
    if not isinstance(attach, list) or any(kind not in ("documents", "letter") for kind in attach):
        raise RuleError(f"rule {name}: attach lists 'documents' and 'letter', not {attach!r}")
    return Post(
        template=_known(name, "post", table["post"], words_of("post")),
        voice=_choice(name, "voice", table.get("voice", "service"), Voice),
        documents="documents" in attach,
        letter="letter" in attach,
        to=_readers(name, table),
    )


def _several(table: Mapping[str, Any], option: str) -> Any:
    """What an option lists; one word may stand without brackets."""
    value = table.get(option, [])
    return [value] if isinstance(value, str) else value


def _readers(name: str, table: Mapping[str, Any]) -> tuple[Reader, ...]:
    to = _several(table, "to")
    if not isinstance(to, list) or ("to" in table and not to):
        raise RuleError(f"rule {name}: to lists {', '.join(map(repr, map(str, Reader)))}, not {to!r}")
    return tuple(_choice(name, "to", word, Reader) for word in to)


def _doings(tables: Sequence[Mapping[str, Any]]) -> tuple[Doing, ...]:
    """The entries of ``do``, found right before, in the words of the table of what is possible."""
    found: list[Doing] = []
    for table in tables:
        verb = next(word for word in table if word in _WORDS)
        free = verb == "ask" or verb in _FLAGS
        found.append((verb, "" if free else table[verb]))
        found += [(option, word) for option in ("attach", "to") for word in _several(table, option)]
    return tuple(found)


def _flag(name: str, table: Mapping[str, Any], key: str, default: bool) -> bool:
    value = table.get(key, default)
    if not isinstance(value, bool):
        raise RuleError(f"rule {name}: {key} wants true or false")
    return value


def _checked(name: str, table: Any) -> Mapping[str, Any]:
    if not isinstance(table, dict):
        raise RuleError(f"rule {name}: is no table")
    for key in table:
        if key not in _KEYS:
            raise RuleError(f"rule {name}: unknown key {key!r}; {nearest(key, _KEYS)}")
    for key in table.keys() & {"why", "before"}:
        _text(name, key, table[key])
    return table


def _rule(name: str, table: Mapping[str, Any]) -> Rule:
    triggers = table.get("on", [])
    triggers = [triggers] if isinstance(triggers, str) else triggers
    if not isinstance(triggers, list) or not triggers:
        raise RuleError(f'rule {name}: on names what the rule listens to, for instance "message"')
    operations = table.get("do", [])
    if not isinstance(operations, list):
        raise RuleError(f"rule {name}: do wants a list of tables")
    when = table.get("when", "")
    rule = Rule(
        name=name,
        on=frozenset(_choice(name, "on", trigger, Trigger) for trigger in triggers),
        when=when,
        condition=_condition(name, when),
        do=tuple(_operation(name, entry) for entry in operations),
        stop=_flag(name, table, "stop", default=False),
        why=table.get("why", ""),
    )
    for trigger in sorted(rule.on):
        sentence = objection(trigger, _doings(operations), stop=rule.stop)
        if sentence:
            raise RuleError(f"rule {name}: {sentence}")
    return rule


def _tables(source: str) -> dict[str, Any]:
    try:
        data = tomllib.loads(source)
    except tomllib.TOMLDecodeError as error:
        raise RuleError(f"rules file: {error}") from error
    extra = set(data) - {"rules"}
    if extra:
        raise RuleError(f"rules file: unknown table {sorted(extra)[0]!r}; rules stand in [rules.<name>]")
    rules = data.get("rules", {})
    if not isinstance(rules, dict):
        raise RuleError("rules file: rules stand in [rules.<name>]")
    return rules


def _put(book: dict[str, Rule], rule: Rule, before: str | None) -> dict[str, Rule]:
    """The book with one more rule: in front of ``before``, else in the place of its namesake, else last."""
    if before is None:
        return {**book, rule.name: rule}
    others = {name: known for name, known in book.items() if name != rule.name}
    if before not in others:
        hint = nearest(before, others)
        raise RuleError(f"rule {rule.name}: before = {before!r} names no rule; {hint}")
    names = list(others)
    names.insert(names.index(before), rule.name)
    return {name: others.get(name, rule) for name in names}


def load_rules(sources: Sequence[str]) -> RuleBook:
    """Read rule files (TOML texts, the default rules first); raises :class:`RuleError`."""
    book: dict[str, Rule] = {}
    for source in sources:
        for name, entry in _tables(source).items():
            table = _checked(name, entry)
            if _flag(name, table, "enabled", default=True):
                book = _put(book, _rule(name, table), table.get("before"))
            elif book.pop(name, None) is None and "on" not in table:
                # A rule written out may wait switched off; a bare name can only mean one known before.
                raise RuleError(f"rule {name}: enabled = false names no rule; {nearest(name, book)}")
    version = sha256("\x00".join(sources).encode()).hexdigest()[:12]
    return RuleBook(rules=tuple(book.values()), version=version)
