"""``gateway rules``: what on which event under which condition happens, checked before it is used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from gateway.cli.context import Invocation, as_json, example, json_option, say, show_table
from gateway.rulebook import load_rulebook
from teleexpertise.actions import Answer, DeliverLetter, FileReport, HandOver, MakeReport, Notify, Post, Tag
from teleexpertise.facts import Trigger
from teleexpertise.rules import Accept, Ask, Move, Operation, Rule, RuleBook

__all__ = ["rules"]


@click.group()
def rules() -> None:
    """The rules that decide: check a file of them, list those in use."""


@rules.command(epilog=example("rules check", "rules check my-rules.toml --json"))
@click.argument("file", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@json_option
@click.pass_obj
def check(invocation: Invocation, file: Path | None, json_: bool) -> None:
    """Check the rules of the deployment, or the default rules with those of FILE.

    A mistake is told with its rule, its key and the nearest known word, and exits with 1.
    """
    book = _book(invocation, file)
    if json_:
        as_json({"valid": True, "version": book.version, "rules": [_described(rule) for rule in book.rules]})
        return
    _show(book.rules)
    say(f"valid: {len(book.rules)} rules, version {book.version}")


@rules.command("list", epilog=example("rules list --on message"))
@click.option(
    "--on", "trigger", type=click.Choice([str(each) for each in Trigger]), help="Only rules on this."
)
@json_option
@click.pass_obj
def list_rules(invocation: Invocation, trigger: str | None, json_: bool) -> None:
    """List the rules in use in the order in which they are read, with what they do."""
    book = _book(invocation, None)
    chosen = book.on(Trigger(trigger)) if trigger else book.rules
    if json_:
        as_json([_described(rule) for rule in chosen])
        return
    for rule in chosen:
        say(f"{rule.name}  on {_triggers(rule)}")
        say(f"    when {_condition(rule)}")
        say(f"    do   {', '.join(map(_operation, rule.do)) or 'nothing'}{'; stop' if rule.stop else ''}")


def _book(invocation: Invocation, file: Path | None) -> RuleBook:
    settings = invocation.settings()
    if file is not None:
        own = settings.rules.model_copy(update={"file": file})
        settings = settings.model_copy(update={"rules": own})
    return load_rulebook(settings)


def _show(found: tuple[Rule, ...]) -> None:
    rows = [(rule.name, _triggers(rule), _condition(rule)) for rule in found]
    show_table(("rule", "on", "when"), rows, "no rule")


def _condition(rule: Rule) -> str:
    return " ".join(rule.when.split()) or "always"


def _triggers(rule: Rule) -> str:
    return ", ".join(sorted(rule.on))


def _described(rule: Rule) -> dict[str, Any]:
    return {
        "name": rule.name,
        "on": sorted(rule.on),
        "when": rule.when,
        "do": [_operation(operation) for operation in rule.do],
        "stop": rule.stop,
        "why": rule.why,
    }


def _operation(operation: Operation) -> str:
    """An operation in the words of the rules file."""
    match operation:
        case Accept():
            return "accept"
        case Move():
            return f"move {operation}"
        case Ask():
            return "ask"
        case Answer():
            return f"answer {operation.template}"
        case Post():
            return f"post {operation.template}"
        case Notify():
            return f"notify {operation.subject}"
        case DeliverLetter():
            return "deliver"
        case HandOver():
            return "hand_over"
        case MakeReport():
            return "report"
        case FileReport():
            return "file"
        case Tag():
            return "tag"
