"""What a holder tells of a conversation: it comes back as it went, and nothing of another form is taken."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest

from teleexpertise.events import Author, Place
from teleexpertise.patients import Patient
from teleexpertise.people import Party
from teleexpertise.told import Told, dump_told, load_told, read_told

AT = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
TOLD = Told(
    requester=Party("claire.martin@ici.example", "Dr Claire MARTIN", local=False, billing_number="431000018"),
    expert=Party("remy.perret@voisin.example", "Dr Rémy PERRET", rpps="10100000025"),
    asked_of="avis@voisin.example",
    requested_at=AT,
    patient=Patient(birth_name="FAUXCOMPTE", first_names="Zoé", birth_date=date(1957, 2, 3), sex="F"),
    insured_number="257039999900152",
    acted_at=AT,
    finalised_at=AT,
    finaliser=Author("remy.perret@voisin.example", "Dr Rémy PERRET"),
    version=1,
    expert_place=Place("430000018", "43"),
)


def octets(**changes: Any) -> bytes:
    return json.dumps(dump_told(TOLD) | changes).encode()


def test_it_comes_back_as_it_went() -> None:
    assert read_told(octets()) == TOLD == load_told(dump_told(TOLD))
    assert read_told(octets(of_a_later_version="x")) == TOLD
    assert not {"specialty", "declined_at"} & dump_told(TOLD).keys(), "as an earlier version wrote it"
    later = replace(TOLD, specialty="Dermatologie", declined_at=AT)
    assert load_told(dump_told(later)) == later
    bare = TOLD.without_people()
    assert (bare.patient, bare.insured_number, bare.expert.rpps) == (None, "", "")
    assert "FAUXCOMPTE" not in str(bare)


@pytest.mark.parametrize(
    "wrong",
    [
        b"",
        b"\xff",
        b"[]",
        b"[" * 20_000,
        b'{"requester": 1}',
        octets(asked_of="Avis@voisin.example"),
        octets(asked_of="no address"),
        octets(version=0),
        octets(version=10**9),
        octets(finalised_at=None),
        octets(requested_at="2026-03-02T09:30:00"),
        octets(requested_at="9999-12-31T23:59:00Z"),
        octets(answered_at="0001-01-01T00:00:00Z"),
        octets(answered_at="2026-03-02T09:29:59Z"),
        octets(patient=dump_told(TOLD)["patient"] | {"birth_date": "0001-01-01"}),
        octets(delay_days=-1),
        octets(level="x" * 201),
        octets(outcome="a\nb"),
        octets(specialty="a\nb"),
        octets(declined_at="2026-03-02T09:30:00"),
        octets(patient=dump_told(TOLD)["patient"] | {"sex": "X"}),
        octets(patient=dump_told(TOLD)["patient"] | {"birth_order": 10}),
        octets(filler="x" * 40_000),
    ],
)
def test_what_is_not_of_this_form_is_not_taken(wrong: bytes) -> None:
    assert read_told(wrong) is None
