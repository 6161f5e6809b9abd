"""Operators that were turned away: the first lines are written, a scanner's thousand are counted."""

from datetime import UTC, datetime, timedelta

from gateway.pipeline.strangers import Strangers

NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)


def test_an_address_gets_few_lines_an_hour_and_the_next_tells_of_the_others() -> None:
    strangers = Strangers(per_reason=2)
    told = [strangers.note("192.0.2.1", "expired", NOW) for _ in range(5)]
    assert told == [0, 0, None, None, None]
    later = NOW + timedelta(hours=1)
    assert [strangers.note("192.0.2.1", "expired", later) for _ in range(3)] == [3, 0, None]
    assert strangers.total == 8


def test_another_address_and_another_reason_have_lines_of_their_own() -> None:
    strangers = Strangers(per_reason=1)
    assert strangers.note("192.0.2.1", "expired", NOW) == 0
    assert strangers.note("192.0.2.2", "expired", NOW) == 0
    assert strangers.note("192.0.2.1", "revoked", NOW) == 0
    assert strangers.note("192.0.2.1", "expired", NOW) is None


def test_an_ipv6_network_is_one_address() -> None:
    strangers = Strangers(per_reason=1)
    assert strangers.note("2001:db8:0:1::1", "expired", NOW) == 0
    assert strangers.note("2001:db8:0:1::2", "expired", NOW) is None


def test_many_addresses_together_write_no_more_than_a_bound_and_stay_in_bounds() -> None:
    strangers = Strangers(in_all=100)
    told = [strangers.note(f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}", "x", NOW) for n in range(6000)]
    assert sum(each is not None for each in told) == 100
    assert len(strangers._places) <= 4096
    assert strangers.total == 6000
