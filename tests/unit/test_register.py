"""What a patient's folder is called after a correction, beside those of others."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from gateway.register import folder_name
from teleexpertise.patients import Patient

JEANNE = Patient(birth_name="Dupont", first_names="Jeanne Marie", birth_date=date(1957, 2, 3), sex="F")
NAME = "DUPONT Jeanne 1957-02-03"


@pytest.mark.parametrize(
    ("taken", "current", "name"),
    [
        ((), "", NAME),
        ((NAME,), "", f"{NAME} (2)"),
        ((NAME, f"{NAME} (2)"), "", f"{NAME} (3)"),
        # a name that fits stays, with its number, whatever became of the others
        ((), NAME, NAME),
        ((), f"{NAME} (2)", f"{NAME} (2)"),
        ((NAME,), f"{NAME} (12)", f"{NAME} (12)"),
        # one that does not fit goes
        ((), "DUPOND Jeanne 1957-02-03", NAME),
        ((NAME,), "DUPOND Jeanne 1957-02-03 (2)", f"{NAME} (2)"),
        ((), f"{NAME} bis", NAME),
        ((), f"{NAME} ()", NAME),
        ((), f"{NAME} (2", NAME),
    ],
)
def test_a_folder_keeps_a_name_that_fits_and_its_number(
    taken: tuple[str, ...], current: str, name: str
) -> None:
    assert folder_name(JEANNE, taken, current) == name


@pytest.mark.parametrize("long", ["É" * 200, "x" * 500, "日" * 90])
def test_long_names_keep_the_date_and_stay(long: str) -> None:
    name = folder_name(replace(JEANNE, birth_name=long), ())
    assert "1957-02-03" in name
    assert folder_name(replace(JEANNE, birth_name=long), (name,), name) == name
    assert folder_name(replace(JEANNE, birth_name=long), (name,)) == f"{name} (2)"
