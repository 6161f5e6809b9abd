"""Invented numbers with right keys: nobody's, on ranges that are given to nobody."""

from __future__ import annotations

from datetime import date

from stdnum import luhn

from teleexpertise.identifiers import nir_key

__all__ = ["am", "finess", "ins", "rpps"]


def _keyed(digits: str) -> str:
    return digits + luhn.calc_check_digit(digits)


def rpps(number: int) -> str:
    """An RPPS number, 11 digits."""
    return _keyed(f"1099{number:06d}")


def am(department: str, number: int) -> str:
    """The number of a private practitioner at the health insurance, 9 digits."""
    return _keyed(f"{_place(department)}9{number:05d}")


def finess(department: str, number: int) -> str:
    """The number of an establishment, 9 characters; in Corsica it keeps the letter."""
    if department.startswith("2"):
        return f"{department}99{number:05d}"
    return _keyed(f"{_place(department)}99{number:04d}")


def ins(sex: str, born: date, department: str, number: int) -> str:
    """An INS of the shape of a NIR, 15 characters with its key; two numbers never make the same."""
    commune, order = divmod(number, 999)
    place = f"{department}{commune % 90 + 1:02d}" if len(department) == 3 else f"{department}{commune:03d}"
    body = f"{'2' if sex == 'F' else '1'}{born:%y%m}{place}{order + 1:03d}"
    return body + nir_key(body)


def _place(department: str) -> str:
    """The two digits that numbers begin with: those of Corsica are the old 20."""
    return "20" if department.startswith("2") and not department.isdigit() else department[:2]
