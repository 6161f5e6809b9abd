"""Addresses as people type them into the line « Ajouter » of a delegates' form."""

import pytest

from teleexpertise.delegation import named_addresses


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("", []),
        (" \n , ;", []),
        ("a@x.example", ["a@x.example"]),
        ("Dr Léa ROUX <Lea.Roux@X.example>\nb@x.example", ["lea.roux@x.example", "b@x.example"]),
        ("a@x.example, b@x.example; c@x.example", ["a@x.example", "b@x.example", "c@x.example"]),
        ("a@x.example <mailto:a@x.example>", ["a@x.example"]),
        ("a@x.example <B@x.example>", ["a@x.example", "b@x.example"]),
        ("a@x.example et b@x.example", ["a@x.example", "b@x.example"]),
        ("Léa a@x.example b@x.example", [""]),
        ("quelqu'un", [""]),
        ("a@x.example\nMerci d'avance", ["a@x.example", ""]),
    ],
)
def test_each_entry_gives_one_address_or_none(typed: str, found: list[str]) -> None:
    assert [address for _, address in named_addresses(typed)] == found
