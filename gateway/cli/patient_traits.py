"""What the patient commands share: traits as options, checked, and people as they are printed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from typing import Any, TypeVar

import click

from gateway.cli.context import now, operator
from gateway.errors import GatewayError
from gateway.store import PatientRow, Store
from teleexpertise.identifiers import Identifier, nir_disagreements, read_cog, read_ins, read_ins_oid
from teleexpertise.names import leads
from teleexpertise.patients import Patient

__all__ = [
    "checked",
    "corrected",
    "identifier",
    "listed",
    "note_shown",
    "number_in_place",
    "patient_option",
    "standing",
    "trait_options",
    "traits_of",
    "who",
]

_Command = TypeVar("_Command", bound=Callable[..., Any])

patient_option = click.option(
    "--patient", "named", is_flag=True, help="Also who the patient is; the audit trail notes it."
)
_DAY = click.DateTime(formats=["%Y-%m-%d", "%d/%m/%Y"])


def trait_options(*, required: bool) -> Callable[[_Command], _Command]:
    """The options of all identity traits; those without which nobody is entered are ``required``."""
    options = (
        click.option("--birth-name", required=required, help="Birth name."),
        click.option("--first-names", required=required, help="All birth first names."),
        click.option("--first-first-name", help="The first of them, where that is more than one word."),
        click.option(
            "--birth-date", required=required, type=_DAY, metavar="DATE",
            help="Birth date, 1957-02-03 or 03/02/1957.",
        ),
        click.option("--sex", required=required, type=click.Choice(["F", "M"]), help="Sex."),
        click.option(
            "--birth-order", type=click.IntRange(0, 9), metavar="RANK",
            help="Rank in a multiple birth, 0 for none.",
        ),
        click.option("--birth-place", metavar="COG", help="COG code of the commune or country of birth."),
        click.option("--used-name", help="Name of daily life, '' for none."),
        click.option("--used-first-names", help="First names of daily life, '' for none."),
        click.option("--ins", help="INS, 15 characters; '' for none."),
        click.option("--ins-oid", metavar="OID", help="OID of the INS."),
        click.option(
            "--qualified/--not-qualified", default=None,
            help="Whether the national service gave INS and traits.",
        ),
        click.option(
            "--ipp", "numbers", multiple=True, metavar="PLACE=IPP",
            help="Number in an establishment ('PLACE=' removes it); may be repeated.",
        ),
    )  # fmt: skip

    def decorated(command: _Command) -> _Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorated


def corrected(known: Patient, traits: dict[str, Any]) -> Patient:
    """The patient after a correction. Identity that changes is qualified no longer unless that is said."""
    after = replace(known, **traits)
    if not after.ins:
        if traits.get("ins_oid"):
            raise GatewayError("--ins-oid goes with --ins")
        after = replace(after, ins_oid="")
    if after.first_first_name and not leads(after.first_first_name, after.first_names):
        raise GatewayError("--first-first-name is not what --first-names begins with")
    if after.qualified and not after.ins:
        raise GatewayError("without INS an identity is not qualified")
    if known.qualified and "qualified" not in traits and after != known:
        after = replace(after, qualified=False)
    wrong = nir_disagreements(after.ins, after.sex, after.birth_date)
    if after.qualified and wrong:
        raise GatewayError(f"this INS says otherwise ({', '.join(wrong)}): not qualified")
    return after


def checked(changes: dict[str, Any]) -> dict[str, Any]:
    """The new traits, typed. Raises :class:`GatewayError` that names the option."""
    traits = dict(changes)
    for name in ("birth_name", "first_names", "first_first_name", "used_name", "used_first_names"):
        if name in traits:
            traits[name] = " ".join(traits[name].split())
            if len(traits[name]) > 100 or not traits[name].isprintable():
                raise GatewayError(f"--{name.replace('_', '-')} wants a name of at most 100 letters")
    for name in ("birth_name", "first_names"):
        if traits.get(name) == "":
            raise GatewayError(f"--{name.replace('_', '-')} cannot be empty")
    if "birth_date" in traits:
        traits["birth_date"] = born = traits["birth_date"].date()
        if born > now().date():
            raise GatewayError("--birth-date is to come")
    for name, read in (("ins", read_ins), ("ins_oid", read_ins_oid), ("birth_place", read_cog)):
        if name in traits:
            traits[name] = identifier(f"--{name.replace('_', '-')}", read, traits[name])
    return traits


def identifier(option: str, read: Any, text: str | None) -> str | None:
    """An identifier; '' and ``None`` stay so. What is wrong is named by its code, never repeated."""
    if not text:
        return text
    found: Identifier = read(text)
    if not found.valid:
        raise GatewayError(f"{option} is not valid ({found.problem})")
    return found.value


def number_in_place(text: str) -> tuple[str, str]:
    """Establishment and number of ``--ipp``. Raises :class:`GatewayError`."""
    place, sign, value = (part.strip() for part in text.partition("="))
    if not sign or not place or not (place + value).isprintable() or len(text) > 200:
        raise GatewayError("--ipp wants PLACE=NUMBER")
    return place, value


async def note_shown(store: Store, patients: Sequence[int]) -> None:
    """Note in the audit trail whose identities were shown."""
    async with store.transaction() as tx:
        for number in patients:
            await tx.audit.write(now(), operator(), "show patient", f"patient {number}", "shown")


def standing(row: PatientRow) -> str:
    """How far an identity is known, without a trait of it."""
    if not row.patient.ins:
        return "without INS"
    return "qualified" if row.patient.qualified else "INS, not qualified"


def who(known: Patient) -> str:
    """All traits in one line."""
    used = " ".join(filter(None, (known.used_name, known.used_first_names)))
    return ", ".join(
        filter(
            None,
            (
                known.label,
                f"first name {known.first_first_name}" if known.first_first_name else "",
                f"used {used}" if used else "",
                known.sex,
                f"born {known.birth_date or '?'}" + (f" in {known.birth_place}" if known.birth_place else ""),
                f"rank {known.birth_order} of a multiple birth" if known.birth_order else "",
                f"INS {known.ins or '-'}",
            ),
        )
    )


def traits_of(known: Patient) -> dict[str, Any]:
    """All traits as JSON data."""
    traits = asdict(known)
    del traits["anonymous"]
    return traits


def listed(row: PatientRow, named: bool) -> dict[str, Any]:
    """A patient as JSON data; who it is only where ``named``."""
    bare: dict[str, Any] = {
        "id": row.id,
        "ins_known": bool(row.patient.ins),
        "qualified": row.patient.qualified,
        "created_at": row.created_at,
    }
    return bare | ({"patient": traits_of(row.patient)} if named else {})
