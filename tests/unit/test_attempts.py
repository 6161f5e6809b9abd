"""Guessing passwords is slow: a key that failed too often waits until its oldest failure is past."""

from datetime import UTC, datetime, timedelta

from gateway.pipeline.attempts import Attempts

START = datetime(2026, 11, 22, 9, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def test_the_last_allowed_failure_blocks_and_the_window_frees() -> None:
    attempts = Attempts(most=3, window=10 * MINUTE)
    for minute in range(3):
        assert not attempts.blocked("a@x.example", START + minute * MINUTE)
        attempts.failed("a@x.example", START + minute * MINUTE)
    assert attempts.blocked("a@x.example", START + 3 * MINUTE)
    assert not attempts.blocked("b@x.example", START + 3 * MINUTE)
    assert not attempts.blocked("a@x.example", START + 10 * MINUTE)


def test_a_right_password_forgets_the_wrong_ones() -> None:
    attempts = Attempts(most=2)
    attempts.failed("a@x.example", START)
    attempts.succeeded("a@x.example")
    attempts.failed("a@x.example", START)
    assert not attempts.blocked("a@x.example", START)


def test_an_attacker_with_many_names_does_not_fill_the_memory() -> None:
    attempts = Attempts()
    for number in range(10_050):
        attempts.failed(f"{number}@x.example", START)
    assert len(attempts._failures) == 10_000
