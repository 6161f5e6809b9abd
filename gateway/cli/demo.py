"""``gateway demo``: one whole tele-expertise through the running gateway, shown as both sides see it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import click
from rich.console import Console
from rich.rule import Rule
from rich.text import Text

from gateway.cli.context import Failure, Invocation, as_json, example, json_option, plain
from gateway.demo.player import play
from gateway.demo.steps import Performance, Sent, Sight, Step, load_story, outcome_lines
from teleexpertise.forms.marks import BEGIN, END, NOTE_SIGN
from teleexpertise.plaintext import one_space
from teleexpertise.texts import Words, load_words

__all__ = ["demo"]

_COLUMNS = 100
_LINES = 12


@click.command(
    epilog=example("demo", "demo --out /tmp/demonstration"),
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Folder for the mails (.eml) and the report (.pdf); absent: 'demo' beside the settings.",
)
@json_option
@click.pass_obj
def demo(invocation: Invocation, out: Path | None, json_: bool) -> None:
    """Play one whole tele-expertise through the running gateway, as mail clients would.

    Exit code: 0 every step was seen by both sides, 1 one was not (it is named), 3 no gateway is running.
    """
    settings = invocation.settings()
    folder = out or invocation.path.parent / "demo"
    display = _Display(Console(width=_COLUMNS, highlight=False), load_story().words, load_words())
    performance = play(settings, folder, (lambda _: None) if json_ else display.step)
    if json_:
        as_json(asdict(performance))
    else:
        display.end(performance)
    if performance.missed:
        raise Failure(outcome_lines(performance, display.words)[0])


@dataclass(slots=True)
class _Display:
    """Steps on a terminal of 100 columns, mails cut after some lines."""

    console: Console
    words: Mapping[str, str]
    states: Words
    number: int = 0

    def step(self, step: Step) -> None:
        self.number += 1
        self.console.print()
        self.console.print(Rule(style="dim"))
        self.console.print(Text(f"{self.number}. {step.title}", style="bold"))
        for sent in step.sent:
            self._sent(sent)
        shown = {_same(sent.text) for sent in step.sent}
        for sight in step.seen:
            self._sight(sight, shown)
            shown.add(_same(sight.text))

    def end(self, performance: Performance) -> None:
        line, files = outcome_lines(performance, self.words)
        self.console.print()
        if not performance.missed:
            self.console.print(Text(line, style="bold green"), soft_wrap=True)
        self.console.print(Text(files), soft_wrap=True)

    def _sent(self, sent: Sent) -> None:
        self._line(f"{self.words[sent.side]} {self.words['sent']}", sent.sender, "bold cyan")
        self._fields((("to", sent.to), ("subject", sent.subject), ("attached", ", ".join(sent.attachments))))
        self._text(sent.text, sent.file)

    def _sight(self, sight: Sight, shown: Collection[str]) -> None:
        where = f"{sight.mailbox} · {sight.folder}"
        self._line(f"{self.words[sight.side]} {self.words['seen']}", where, "bold magenta")
        state = self.states.of("states", sight.state) if sight.state else ""
        self._fields(
            (
                ("from", sight.sender),
                ("subject", sight.subject),
                ("state", state),
                ("attached", ", ".join(sight.attachments)),
            )
        )
        if _same(sight.text) in shown:
            self._indented(Text(self.words["same"], style="dim"), 6)
        else:
            self._text(sight.text, sight.file)

    def _line(self, who: str, what: str, style: str) -> None:
        self.console.print(Text.assemble((f"  {_shown(who)} ", style), _shown(what)), soft_wrap=True)

    def _fields(self, fields: Iterable[tuple[str, str]]) -> None:
        for name, value in fields:
            if value:
                self._indented(Text.assemble((f"{self.words[name]} : ", "dim"), _shown(value)), 4)

    def _text(self, text: str, file: str) -> None:
        lines = _excerpt(text)
        body = Text("\n".join(lines[:_LINES]))
        if len(lines) > _LINES:
            body.append("\n" + self.words["more"].format(count=len(lines) - _LINES, file=file), style="dim")
        if lines:
            self._indented(body, 6)

    def _indented(self, text: Text, columns: int) -> None:
        for line in text.wrap(self.console, _COLUMNS - columns):
            line.rstrip()
            self.console.print(Text(" " * columns) + line, soft_wrap=True)


def _shown(text: str) -> str:
    """One line for a terminal: French spaces are spaces there."""
    return plain(one_space(text))


def _same(text: str) -> str:
    """What is left of a text when it was only broken into other lines."""
    return "".join(text.split())


def _excerpt(text: str) -> list[str]:
    """The lines worth showing: of a form its fields, of another mail all that is not empty."""
    lines = [_shown(line).strip() for line in text.splitlines()]
    bare = [line.lstrip("> ") for line in lines]
    for number, line in enumerate(bare):
        if BEGIN.match(line):
            rest = bare[number + 1 :]
            return [line for line in rest if line and not line.startswith(NOTE_SIGN) and not END.match(line)]
    return [line for line, words in zip(lines, bare, strict=True) if words]
