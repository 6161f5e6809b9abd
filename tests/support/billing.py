"""What tests of rating and of exports share: an invented patient and the shipped tariffs."""

from __future__ import annotations

from datetime import date

from config import read_resource
from teleexpertise.billing.tariffs import Tariffs, load_tariffs
from teleexpertise.patients import Patient

PATIENT = Patient(
    birth_name="FAUXCOMPTE",
    first_names="Bertille",
    birth_date=date(1957, 3, 2),
    sex="F",
    ins="257039999900113",
)


def shipped_tariffs() -> Tariffs:
    """The table of the product."""
    return load_tariffs(read_resource("tariffs.toml"))
