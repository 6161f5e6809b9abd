"""Figures of activity against a plain count, and their picture as XML."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from gateway.exports.plot import plot
from teleexpertise.activity import Asked, Elsewhere, figures, percentile
from teleexpertise.states import State
from teleexpertise.texts.words import load_words

PARIS = ZoneInfo("Europe/Paris")
START = datetime(2026, 1, 31, 23, 30, tzinfo=UTC)
NOW = START + timedelta(days=60)


def asked(days: float = 0.0, answer: float | None = 1.0, **changes: object) -> Asked:
    at = START + timedelta(days=days)
    answered = None if answer is None else at + timedelta(days=answer)
    values: dict[str, object] = {
        "asked_at": at,
        "answered_at": answered,
        "finalised_at": answered,
        "delay_days": 2,
        "state": State.COMPLETED if answered else State.REQUESTED,
        "specialty": "Dermatologie",
        "department": "Haute-Loire",
    }
    return Asked(**values | changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("one", "in_time"),
    [
        (asked(answer=2), True),
        (asked(answer=2.001), False),
        (asked(answer=None), False),
        (asked(days=59, answer=None), None),
        (asked(answer=None, state=State.CANCELLED), None),
        (asked(answer=None, state=State.REDIRECTED), None),
        (asked(answer=1, state=State.DECLINED, finalised_at=None), True),
        (asked(answer=None, state=State.DECLINED, elsewhere=True, answer_told=False), None),
    ],
)
def test_who_is_in_time(one: Asked, in_time: bool | None) -> None:
    assert one.in_time(NOW) is in_time


def test_groups_months_and_shares() -> None:
    found = figures(
        [
            asked(answer=1),
            asked(days=1, answer=3, specialty="Cardiologie", department=""),
            asked(days=30, answer=None),
            asked(days=59.9, answer=None),
        ],
        NOW,
        PARIS,
    )
    # Half past eleven in the evening of 31 January UTC is February in Paris.
    assert [(group.name, group.asked) for group in found.months] == [
        ("2026-02", 2),
        ("2026-03", 1),
        ("2026-04", 1),
    ]
    assert [(group.name, group.asked) for group in found.specialties] == [
        ("Dermatologie", 3),
        ("Cardiologie", 1),
    ]
    assert found.departments[-1].name == ""
    whole = found.whole
    assert (whole.asked, whole.finalised, whole.due, whole.in_time) == (4, 2, 3, 1)
    assert whole.share == pytest.approx(1 / 3)
    assert (whole.answer.median, whole.answer.ninetieth) == (48.0, 72.0)
    nothing = figures([], NOW, PARIS)
    assert (nothing.whole.share, nothing.whole.answer.median, nothing.months) == (None, None, ())


def test_months_without_requests_stand_between_the_others() -> None:
    found = figures([asked(days=300), asked()], NOW + timedelta(days=300), PARIS)
    assert [group.name for group in found.months][:2] == ["2026-02", "2026-03"]
    assert [group.asked for group in found.months] == [1, *[0] * 8, 1]
    assert (found.months[1].share, found.months[1].answer.median) == (None, None)


def test_what_another_operator_did_not_tell_is_in_no_row_and_said_apart() -> None:
    there: dict[str, Any] = {"elsewhere": True, "finalised_at": None}
    found = figures(
        [
            asked(answer=1),
            asked(answer=1, elsewhere=True, specialty=None),
            asked(answer=None, department=None, state=State.DECLINED, answer_told=False, **there),
            asked(answer=None, state=State.COMPLETED, answer_told=False, **there),
        ],
        NOW,
        PARIS,
        untold=2,
    )
    assert (found.whole.asked, found.whole.finalised, found.whole.answer.count, found.whole.due) == (
        4,
        3,
        2,
        2,
    )
    assert [(group.name, group.asked) for group in found.specialties] == [("Dermatologie", 3)]
    assert [(group.name, group.asked) for group in found.departments] == [("Haute-Loire", 3)]
    assert found.elsewhere == Elsewhere(counted=3, untold=2, specialty=1, department=1, answer=2)
    picture = plot(found, load_words())
    assert (
        "Dont tenues par un autre opérateur : 3. Tenues ailleurs, non transmises et non comptées : 2."
        in picture
    )


@given(st.lists(st.floats(0, 1000), min_size=1, max_size=60), st.floats(0.01, 1))
def test_a_percentile_is_the_least_value_that_covers_its_share(values: list[float], share: float) -> None:
    values.sort()
    found = percentile(values, share)
    assert sum(value <= found for value in values) >= share * len(values) - 1e-9
    below = [value for value in values if value < found]
    assert len(below) < share * len(values) + 1e-9


def test_the_picture_is_xml_and_shows_each_month() -> None:
    words = load_words()
    found = figures([asked(days=day, answer=day % 5 + 0.5) for day in range(0, 58, 2)], NOW, PARIS)
    root = etree.fromstring(plot(found, words).encode())
    said = [str(element.text) for element in root.iter("{*}text")]
    assert {"2026-02", "2026-03", words.of("statistics", "median")} <= set(said)
    bars = [element for element in root.iter("{*}rect") if len(element)]
    assert len(bars) == len(found.months) * 5
    assert all(0 <= float(bar.get("height", "")) <= 171 for bar in bars)
    empty = etree.fromstring(plot(figures([], NOW, PARIS), words).encode())
    assert words.of("statistics", "nothing") in [element.text for element in empty.iter("{*}text")]
