"""The tariff table: acts by date, territory, role and profession, read from TOML and checked whole."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from teleexpertise.plaintext import folded

__all__ = ["Act", "Role", "TariffFault", "Tariffs", "Territory", "load_tariffs", "territory_of"]


class TariffFault(ValueError):
    """A tariff table that cannot be used; the text names the act and what is wrong with it."""


class Role(StrEnum):
    """Whose act it is."""

    EXPERT = "expert"
    REQUESTER = "requester"


class Territory(StrEnum):
    """Where the amounts differ."""

    METROPOLE = "metropole"
    OVERSEAS = "outre-mer"


def territory_of(department: str) -> Territory:
    """The territory of a department code, or of a FINESS number, which begins with it: 971 to 988 are
    overseas; unknown counts as metropolitan.
    """
    return Territory.OVERSEAS if department.startswith(("97", "98")) else Territory.METROPOLE


_Cents = Annotated[int, Field(ge=0, le=10_000_000)]


class Act(BaseModel):
    """One row of the table.

    ``limits`` are acts a year for one patient and one professional of that profession; ``yearly_cap`` is what
    one professional gets in a year in all. ``patients`` "listed" restricts it to those in the situations that
    the source names: for avenant 6 ALD, rare disease, under-dense zone, nursing home, detention; for dentists
    nursing home, disability, suspected oral cancer or rare disease. ``answers`` ties a requester's act to the
    expert's. ``asked_by`` are the professions whose request it certainly answers, () for all.
    A ``lump_sum`` is paid once a year by the insurance and not claimed act by act. Amounts are cents.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    code: str = Field(pattern=r"^[A-Z][A-Z0-9]{1,4}$")
    cnam: int
    role: Annotated[Role, Field(strict=False)]
    label: str = Field(min_length=1)
    from_: date = Field(alias="from")
    until: date | None = None
    professions: Annotated[tuple[str, ...], Field(min_length=1, strict=False)]
    amount: Annotated[dict[Annotated[Territory, Field(strict=False)], _Cents], Field(min_length=1)]
    limits: dict[str, Annotated[int, Field(ge=1)]]
    patients: Annotated[str, Field(pattern=r"^(all|listed)$")] = "all"
    answers: str = ""
    asked_by: Annotated[tuple[str, ...], Field(strict=False)] = ()
    yearly_cap: _Cents | None = None
    lump_sum: bool = False
    source: str = Field(min_length=1)

    @property
    def for_listed(self) -> bool:
        """Whether it is for patients in the situations of its source alone."""
        return self.patients == "listed"

    def on(self, day: date) -> bool:
        """Whether the row holds on a day, both ends included."""
        return self.from_ <= day and (self.until is None or day <= self.until)


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    professions: dict[str, Annotated[tuple[str, ...], Field(min_length=1, strict=False)]]
    act: Annotated[tuple[Act, ...], Field(min_length=1, strict=False)]


def _words(text: str) -> str:
    """Folded, with everything that is no letter or digit as one space."""
    return " ".join("".join(c if c.isalnum() else " " for c in folded(text)).split())


@dataclass(frozen=True, slots=True)
class Tariffs:
    """All acts in force at any time, and the words by which professions are known (folded word ->
    profession), the longest word first.
    """

    acts: tuple[Act, ...]
    words: Mapping[str, str]

    def profession(self, text: str) -> str:
        """The profession that an account's words begin with, the longest match first; '' for another one."""
        stated = _words(text)
        for word, profession in self.words.items():
            if stated == word or stated.startswith(f"{word} "):
                return profession
        return ""

    def acts_for(self, role: Role, profession: str, day: date) -> tuple[Act, ...]:
        """The rows that a profession may bill on a day in a role, in the order of the table."""
        return tuple(
            act for act in self.acts if act.role is role and profession in act.professions and act.on(day)
        )


def load_tariffs(text: str) -> Tariffs:
    """Read and check the table. Raises :class:`TariffFault`.

    Two rows for the same code, role, profession and answered act must never hold on one day: which one counts
    would be a guess.
    """
    try:
        table = _Table.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise TariffFault(f"not TOML: {error}") from error
    except ValidationError as error:
        raise TariffFault("; ".join(map(_problem, error.errors()))) from error
    for position, act in enumerate(table.act):
        _check(act, table)
        for other in table.act[position + 1 :]:
            _check_overlap(act, other)
    words = {_words(word): name for name, spellings in table.professions.items() for word in spellings}
    if len(words) != sum(map(len, table.professions.values())):
        raise TariffFault("professions: a word stands for two professions or twice")
    return Tariffs(table.act, {word: words[word] for word in sorted(words, key=len, reverse=True)})


def _problem(error: Any) -> str:
    return f"{'.'.join(map(str, error['loc']))}: {error['msg'].lower()}"


def _check(act: Act, table: _Table) -> None:
    unknown = ({*act.professions, *act.limits, *act.asked_by} - table.professions.keys()) | (
        act.limits.keys() - set(act.professions)
    )
    if unknown:
        raise TariffFault(f"{act.code} from {act.from_}: unknown profession {', '.join(sorted(unknown))}")
    if act.until is not None and act.until < act.from_:
        raise TariffFault(f"{act.code} from {act.from_}: ends before it begins")
    if act.answers and act.answers not in {other.code for other in table.act if other.role is Role.EXPERT}:
        raise TariffFault(f"{act.code} from {act.from_}: answers an unknown act {act.answers}")


def _check_overlap(act: Act, other: Act) -> None:
    same = (act.code, act.role, act.answers) == (other.code, other.role, other.answers)
    shared = set(act.professions) & set(other.professions)
    if same and shared and (act.on(other.from_) or other.on(act.from_)):
        raise TariffFault(f"{act.code} for {min(shared)}: two rows hold on {max(act.from_, other.from_)}")
