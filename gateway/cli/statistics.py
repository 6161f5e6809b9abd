"""``gateway stats``: delays, volumes and punctuality of experts' services, as a table, JSON or a picture."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from gateway.cli.context import Failure, Invocation, as_json, example, json_option, now, say, show_table
from gateway.cli.exports import DAY, accounts_wanted, new_file
from gateway.exports.asked import gather_asked
from gateway.exports.plot import NotDrawn, as_png, plot
from gateway.services import Services
from teleexpertise.activity import Delays, Elsewhere, Figures, Group, figures
from teleexpertise.billing.tariffs import Role

__all__ = ["stats"]

_COLUMNS = (
    "",
    "asked",
    "finalised",
    "answer median",
    "answer 90 %",
    "finalised median",
    "finalised 90 %",
    "in time",
)


@click.command(
    epilog=example(
        "stats --from 2026-01-01 --to 2026-12-31",
        "stats --account avis.dermatologie@ch.mssante.example --plot activite.svg",
        "stats --establishment 430000018 --plot activite.png --json",
        "stats --account nadege.arsac@ch.mssante.example --role requester",
    ),
)
@click.option(
    "--account", "accounts", multiple=True, metavar="ADDRESS", help="Only asked of ADDRESS; may be repeated."
)
@click.option("--establishment", metavar="FINESS", help="Only asked of accounts of this establishment.")
@click.option(
    "--role",
    type=click.Choice([str(role) for role in Role]),
    default=str(Role.EXPERT),
    help="What these accounts were asked (expert, the default), or what they asked (requester).",
)
@click.option("--from", "first", type=DAY, help="First day of the requests.")
@click.option("--to", "last", type=DAY, help="Last day.")
@click.option(
    "--plot",
    "picture",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write a picture by month to FILE (.svg or .png), which must not exist.",
)
@json_option
@click.pass_obj
def stats(
    invocation: Invocation,
    accounts: tuple[str, ...],
    establishment: str | None,
    role: str,
    first: datetime | None,
    last: datetime | None,
    picture: Path | None,
    json_: bool,
) -> None:
    """Count requests by specialty, requester's department and month, and measure how soon they were answered.

    Delays run from the request to the expert's first answer (a refusal is one) and to the finalisation. "In
    time" is the share answered within the promised delay, of the requests answered or overdue. Requests that
    another operator holds count by what it told; what it did not tell is said below. No patient is named.
    """
    begins, ends = first.date() if first else None, last.date() if last else None
    if begins and ends and ends < begins:
        raise click.UsageError("--to is before --from")
    if picture is not None and picture.suffix.lower() not in (".svg", ".png"):
        raise click.UsageError("--plot wants a file that ends in .svg or .png")

    async def work(services: Services) -> Figures:
        async with services.store.reading() as tx:
            addresses = await accounts_wanted(tx, accounts, establishment)
            gathered = await gather_asked(services, tx, addresses, Role(role))

        def within(moment: datetime) -> bool:
            day = moment.astimezone(services.zone).date()
            return (begins is None or begins <= day) and (ends is None or day <= ends)

        wanted = [one for one in gathered.asked if within(one.asked_at)]
        found = figures(wanted, now(), services.zone, sum(map(within, gathered.untold)))
        if picture is not None:
            _write(picture, plot(found, services.texts.words))
        return found

    found = invocation.run(work)
    if json_:
        as_json(_data(found))
    else:
        _show(found)
        if picture is not None:
            say(f"{picture}: written")


def _write(path: Path, svg: str) -> None:
    """Write the picture, in pixels where the file's name says so. Raises :class:`Failure`."""
    with new_file(path) as part:
        try:
            part.write_bytes(as_png(svg) if path.suffix.lower() == ".png" else svg.encode("utf-8"))
        except OSError as error:
            raise Failure(f"{path}: {error.strerror}") from error
        except NotDrawn as error:
            raise Failure(f"{path}: {error}") from error


def _data(found: Figures) -> dict[str, Any]:
    def one(group: Group) -> dict[str, Any]:
        return {**asdict(group), "share": group.share}

    return {
        "whole": one(found.whole),
        "specialties": [one(group) for group in found.specialties],
        "departments": [one(group) for group in found.departments],
        "months": [one(group) for group in found.months],
        "elsewhere": asdict(found.elsewhere),
    }


def _show(found: Figures) -> None:
    for title, groups in (
        ("all", (found.whole,)),
        ("specialty", found.specialties),
        ("department", found.departments),
        ("month", found.months),
    ):
        rows = [_row(group, "all" if title == "all" else "unknown") for group in groups]
        show_table((title, *_COLUMNS[1:]), rows, f"{title}: none")
    _show_elsewhere(found.elsewhere)


def _show_elsewhere(found: Elsewhere) -> None:
    """One line for what other operators hold, and one for each thing that they did not tell."""
    if found.counted:
        say(f"held by other operators, counted above: {found.counted}")
    for count, what in (
        (found.specialty, "specialty not told, in no row of specialties"),
        (found.department, "department not told, in no row of departments"),
        (found.answer, "moment of the answer not told, in no delay and no share"),
    ):
        if count:
            say(f"  of these, {what}: {count}")
    if found.untold:
        say(f"held by other operators that told no facts, counted nowhere above: {found.untold}")


def _row(group: Group, unnamed: str) -> tuple[object, ...]:
    share = "-" if group.share is None else f"{100 * group.share:.0f} % of {group.due}"
    delays = (*_hours(group.answer), *_hours(group.finalisation))
    return (group.name or unnamed, group.asked, group.finalised, *delays, share)


def _hours(delay: Delays) -> Iterable[str]:
    return ("-" if hours is None else f"{hours:.1f} h" for hours in (delay.median, delay.ninetieth))
