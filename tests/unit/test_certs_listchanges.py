"""What a new trust list changes, and which one must not replace the one in force by itself."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest

from certs.listchanges import compare, replacement_fault
from certs.names import DistinguishedName
from certs.operators import TrustEntry, TrustList, read_trust_list, render_trust_list

NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
A, B = (DistinguishedName.from_text(f"CN=mx.{name}.example,O=GIP {name},C=FR") for name in "ab")


def made(domains: Mapping[str, list[DistinguishedName]], generated: datetime = NOW) -> TrustList:
    entries = [TrustEntry(domain, name) for domain, names in domains.items() for name in names]
    return read_trust_list(render_trust_list(entries, generated))


def many(number: int, generated: datetime = NOW) -> TrustList:
    return made({f"d{index:03}.example": [A] for index in range(number)}, generated)


def test_equal_lists_have_no_difference() -> None:
    changes = compare(many(3), many(3, NOW + timedelta(days=1)))
    assert not changes
    assert changes.lines == ()


def test_every_kind_of_change_has_its_lines() -> None:
    held = made({"went.example": [A], "renamed.example": [A], "same.example": [A, B]})
    offered = made({"came.example": [A, B], "renamed.example": [B], "same.example": [B, A]})
    assert compare(held, offered).lines == (
        f"+ came.example  {A.text}",
        f"+ came.example  {B.text}",
        "- went.example",
        f"~ renamed.example  + {B.text}",
        f"~ renamed.example  - {A.text}",
    )


@pytest.mark.parametrize(
    ("held", "offered", "accepted"),
    [
        (100, 90, True),
        (100, 89, False),
        (2, 1, True),  # one domain may always go, or small lists could never lose any
        (3, 1, False),
        (1, 100, True),
    ],
)
def test_a_list_that_lost_too_much_is_not_believed(held: int, offered: int, accepted: bool) -> None:
    fault = replacement_fault(many(held), many(offered), NOW, 10)
    assert (fault is None) is accepted
    assert accepted or fault == f"lacks {held - offered} of {held} domains"


def test_domains_that_are_replaced_count_as_lost() -> None:
    other = made({f"e{index:03}.example": [A] for index in range(100)})
    assert replacement_fault(many(100), other, NOW, 10) == "lacks 100 of 100 domains"


@pytest.mark.parametrize(
    ("age", "accepted"),
    [
        (timedelta(0), True),
        (timedelta(seconds=1), False),
        (timedelta(days=-1), True),  # newer than the one held, and not beyond a day ahead of the clock
        (timedelta(days=-1, seconds=-1), False),
    ],
)
def test_a_list_from_before_the_one_in_force_or_from_the_future_is_not_believed(
    age: timedelta, accepted: bool
) -> None:
    assert (replacement_fault(many(3), many(3, NOW - age), NOW, 10) is None) is accepted


def test_the_first_list_must_not_be_from_the_future_either() -> None:
    assert replacement_fault(None, many(3), NOW, 10) is None
    assert "future" in (replacement_fault(None, many(3, NOW + timedelta(days=400)), NOW, 10) or "")
