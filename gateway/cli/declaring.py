"""``gateway expert set``: the declaration of an account field by field, by the checks of the mail form."""

from __future__ import annotations

import mimetypes
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import click

from gateway.cli.context import Failure, Invocation, as_json, example, json_option, now, operator, plain, say
from gateway.cli.expert_words import SENTENCES
from gateway.cli.showing_experts import described, print_declaration, print_waiting
from gateway.declarations import declared_by, read_declaration, save_declaration
from gateway.errors import GatewayError
from gateway.pipeline.absences import waiting_for
from gateway.pipeline.unit import Unit
from gateway.services import Services
from teleexpertise.absences import Waiting
from teleexpertise.declaring import Declaration, file_may_be_handed_out, preferences_values
from teleexpertise.forms import Form, Value, preferences_form, validate
from teleexpertise.people import Document, IdentityPolicy, NirPolicy, NoticeMode

__all__ = ["Changes", "Declared", "declare", "set_declaration"]

_IDENTITY = {"required": IdentityPolicy.REQUIRED, "anonymous": IdentityPolicy.ANONYMOUS_ALLOWED}
_NIR = {"mandatory": NirPolicy.MANDATORY, "optional": NirPolicy.OPTIONAL, "none": NirPolicy.NOT_ASKED}
#: Options that give a line of the form by another name than their own.
_FIELDS = {
    "delay": "delay_days",
    "specialty": "specialties",
    "department": "departments",
    "item": "items",
    "billing_number": "billing_number",
}
#: Line of the form -> the option that gives it, where the names differ.
_OPTIONS = {field: option for option, field in _FIELDS.items()} | {"documents": "attach", "listed": "listed"}
_DAY = r"(\d{4})-(\d\d)-(\d\d)|(\d{1,2})/(\d{1,2})/(\d{4})"
_RANGE = re.compile(rf"(?:{_DAY})\.\.(?:{_DAY})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Changes:
    """What is to be changed: lines of the form as typed, files to hand out, names of files to take back.

    ``deputy`` ``None`` leaves the deputy of the absence as it is.
    """

    lines: Mapping[str, Value]
    attach: Sequence[Path] = ()
    detach: Sequence[str] = ()
    deputy: str | None = None


@dataclass(frozen=True, slots=True)
class Declared:
    """A declaration as it holds now, whether it changed, doubts, and what its absence finds waiting."""

    declaration: Declaration
    changed: bool
    warnings: tuple[str, ...]
    waiting: Waiting


class NotDeclared(GatewayError):
    """A declaration with something wrong: nothing was saved. ``problems`` are sentences by option."""

    def __init__(self, problems: Mapping[str, str]) -> None:
        super().__init__("; ".join(f"{option}: {sentence}" for option, sentence in problems.items()))
        self.problems = problems


# -- the command


@click.command(
    "set",
    epilog=example(
        "expert set avis.dermatologie@ch.example --listed --delay 2 --specialty Dermatologie \\\n"
        '      --department 43 --department 07 --description "Lésions suspectes" \\\n'
        '      --item "photo obligatoire : Vue rapprochée" --attach fiche.pdf',
        "expert set avis.dermatologie@ch.example --absence 2026-08-01..2026-08-15 --deputy lea@ch.example",
        "expert set avis.dermatologie@ch.example --tool-url '' --nir none",
    ),
)
@click.argument("address")
@click.option("--listed/--unlisted", default=None, help="Whether the directory shows the account.")
@click.option("--description", help="What is answered; mandatory for who is listed.")
@click.option("--limits", help="What is not answered, and for whom: limits and territory.")
@click.option("--delay", metavar="DAYS", help="Longest delay, 1 to 365 days.")
@click.option("--specialty", multiple=True, help="Specialty or a word for it; may be repeated.")
@click.option("--department", multiple=True, help="Department, code or name; may be repeated.")
@click.option("--tool-url", metavar="URL", help="Another tool, to which requesters are sent.")
@click.option("--identity", type=click.Choice(list(_IDENTITY)), help="Whether patients must be named.")
@click.option("--nir", type=click.Choice(list(_NIR)), help="Whether their NIR or INS is asked for.")
@click.option("--prerequisites", help="What to prepare, in free text.")
@click.option(
    "--item",
    multiple=True,
    metavar="LINE",
    help="Checklist, 'photo obligatoire : Vue rapprochée'; may be repeated; or 'liste usuelle'.",
)
@click.option(
    "--attach",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File to hand out to requesters; may be repeated.",
)
@click.option("--detach", multiple=True, metavar="NAME", help="File to hand out no more; may be repeated.")
@click.option("--billing-number", help="AM number, or FINESS and specialty code (430000018/05).")
@click.option("--absence", metavar="FROM..TO", help="Days away, both included.")
@click.option("--deputy", metavar="ADDRESS", help="Account that answers during the absence.")
@click.option("--notice", type=click.Choice([str(mode) for mode in NoticeMode]), help="How news are told.")
@click.option(
    "--files-reports/--no-files-reports", default=None, help="Whether reports are filed by patient."
)
@json_option
@click.pass_obj
def set_declaration(
    invocation: Invocation,
    /,
    address: str,
    attach: tuple[Path, ...],
    detach: tuple[str, ...],
    deputy: str | None,
    json_: bool,
    **given: Any,
) -> None:
    """Declare what an account answers as an expert, and how: by option, all of them or, for a mistake, none.

    What is not named stays. An option that may be repeated replaces the list; '' empties a text or a list.
    The checks are those of the mail form `Préférences`.
    """
    lines = _lines(given)
    if not lines and not attach and not detach and deputy is None:
        raise click.UsageError("nothing to change: name an option")
    changes = Changes(lines, attach, detach, deputy)
    try:
        found = declare(invocation, address, changes)
    except NotDeclared as refused:
        if json_:
            as_json({"address": address, "done": "refused", "problems": dict(refused.problems)})
        for option, sentence in refused.problems.items():
            click.echo(f"gateway: {plain(f'{option}: {sentence}')}", err=True)
        raise Failure("nothing was saved") from refused
    declared = found.declaration
    told = {
        "address": declared.account.address,
        "done": "saved" if found.changed else "unchanged",
        "warnings": found.warnings,
    }
    if json_:
        as_json({**told, "waiting": asdict(found.waiting), **described(declared)})
        return
    say(f"{told['address']}: {told['done']}")
    for warning in found.warnings:
        say(f"to be checked: {warning}")
    print_declaration(declared)
    print_waiting(declared, found.waiting)


def _lines(given: Mapping[str, Any]) -> dict[str, Value]:
    """The lines of the form that the options give."""
    lines: dict[str, Value] = {}
    for option, value in given.items():
        if value is None or value == ():
            continue
        match option:
            case "identity":
                lines[option] = str(_IDENTITY[value])
            case "nir":
                lines[option] = str(_NIR[value])
            case "specialty" | "department":
                lines[_FIELDS[option]] = ", ".join(value)
            case "item":
                lines["items"] = "\n".join(value)
            case "absence":
                lines[option] = _days(value)
            case _:
                lines[_FIELDS.get(option, option)] = value
    return lines


def _days(typed: str) -> str:
    """The line of the form for ``FROM..TO``; what is no such thing stays as it is and is refused there."""
    found = _RANGE.fullmatch("".join(typed.split()))
    if found is None:
        return typed
    year, month, day, *first = found.groups()[:6]
    later_year, later_month, later_day, *last = found.groups()[6:]
    begins = f"{day}/{month}/{year}" if year else "/".join(first)
    ends = f"{later_day}/{later_month}/{later_year}" if later_year else "/".join(last)
    return f"du {begins} au {ends}"


# -- the work


def declare(invocation: Invocation, address: str, changes: Changes) -> Declared:
    """Change a declaration, whole or not at all; the one that holds now.

    Raises :class:`NotDeclared`, and ``GatewayError`` for no active account.
    """

    async def work(services: Services) -> Declared:
        async with services.store.transaction() as tx:
            return await _declared(Unit(services, tx, now()), address.strip().lower(), changes)

    return invocation.run(work)


async def _declared(unit: Unit, address: str, changes: Changes) -> Declared:
    before = await declared_by(unit, address)
    if before is None:
        raise GatewayError(f"there is no active account {address}")
    form = preferences_form(unit.services.forms, before.account, [])
    form = replace(form, sentences={**form.sentences, **SENTENCES})
    today = unit.today
    problems: dict[str, str] = {}
    values = _values(before, changes, today, problems)
    documents = _documents(before, changes, form, problems)
    checked = validate(form, values, today)
    declared = await read_declaration(unit, before, form, documents, checked.values)
    found = {**declared.problems, **checked.problems}
    problems |= {_option(field): sentence for field, sentence in found.items()}
    if problems:
        raise NotDeclared(problems)
    changed = await save_declaration(unit, before, declared, operator())
    doubts = tuple(f"{_option(field)}: {said}" for field, said in checked.warnings.items())
    expert = declared.expert
    return Declared(
        declared, changed, doubts, await waiting_for(unit, expert) if expert is not None else Waiting()
    )


def _option(field: str) -> str:
    return "--" + _OPTIONS.get(field, field).replace("_", "-")


def _values(before: Declaration, changes: Changes, today: date, problems: dict[str, str]) -> dict[str, Value]:
    """All lines of the form: as saved, with those that are given."""
    saved = preferences_values(before.account, before.expert, today)
    values = saved | dict(changes.lines)
    values.pop("documents")
    absence, deputy = str(values["absence"]), changes.deputy
    if "absence" in changes.lines and deputy is None and saved["absence"] and before.expert:
        deputy = (
            before.expert.absence.deputy if before.expert.absence else None
        )  # other days, the same deputy
    if deputy is None or not (absence or deputy):
        return values
    if not absence:
        if changes.deputy:
            problems["--deputy"] = "goes with an absence: --absence FROM..TO"
        return values
    days = absence.partition(",")[0]
    values["absence"] = f"{days}, remplacé par {deputy}" if deputy else days
    return values


def _documents(before: Declaration, changes: Changes, form: Form, problems: dict[str, str]) -> list[Document]:
    """The files handed out from now on: one that is attached takes the place of its namesake."""
    kept = list(before.expert.documents) if before.expert else []
    for name in changes.detach:
        staying = [document for document in kept if document.filename != name]
        if len(staying) == len(kept):
            names = ", ".join(document.filename for document in kept) or "none"
            problems["--detach"] = f"{name!r} is not handed out; there: {names}"
        kept = staying
    for path in changes.attach:
        if not file_may_be_handed_out(path.name):
            problems["--attach"] = form.say("file_kind", typed=repr(path.name))
            continue
        try:
            content = path.read_bytes()
        except OSError as error:
            problems["--attach"] = f"{path}: {error.strerror}"
            continue
        kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        document = Document(filename=path.name, content_type=kind, content=content)
        places = [place for place, each in enumerate(kept) if each.filename == path.name]
        if places:
            kept[places[0]] = document
        else:
            kept.append(document)
    return kept
