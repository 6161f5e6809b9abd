"""``gateway demo``: one whole tele-expertise through the running gateway, shown as both sides see it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import click
from rich.console import Console
from rich.padding import Padding
from rich.rule import Rule
from rich.text import Text

from gateway.cli.context import Failure, Invocation, as_json, example, json_option, plain
from gateway.demo.player import play
from gateway.demo.steps import Performance, Sent, Sight, Step, load_story, outcome_lines
from teleexpertise.texts import Words, load_words

__all__ = ["demo"]

_COLUMNS = 100
_LINES = 9


@click.command(epilog=example("demo", "demo --out /tmp/demonstration"))
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
        self.console.print(Rule(Text(f"{self.number}. {step.title}", style="bold"), align="left"))
        for sent in step.sent:
            self._sent(sent)
        shown = {sent.text.strip() for sent in step.sent}
        for sight in step.seen:
            self._sight(sight, shown)
            shown.add(sight.text.strip())

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

    def _sight(self, sight: Sight, shown: Iterable[str]) -> None:
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
        if sight.text.strip() in shown:
            self.console.print(Padding(Text(self.words["same"], style="dim"), (0, 0, 0, 4)))
        else:
            self._text(sight.text, sight.file)

    def _line(self, who: str, what: str, style: str) -> None:
        self.console.print(Text.assemble((f"  {plain(who)} ", style), plain(what)), soft_wrap=True)

    def _fields(self, fields: Iterable[tuple[str, str]]) -> None:
        for name, value in fields:
            if value:
                label = (f"{self.words[name]} : ", "dim")
                self.console.print(Padding(Text.assemble(label, plain(value)), (0, 0, 0, 4)))

    def _text(self, text: str, file: str) -> None:
        lines = [plain(line) for line in text.splitlines() if line.strip(" >")]
        body = Text("\n".join(lines[:_LINES]))
        if len(lines) > _LINES:
            body.append("\n" + self.words["more"].format(count=len(lines) - _LINES, file=file), style="dim")
        if lines:
            self.console.print(Padding(body, (0, 0, 0, 6)))
