"""The processes of reports: what hangs or takes all memory fails alone, and the next report is made."""

import time
from collections.abc import Iterator
from concurrent.futures.process import BrokenProcessPool

import pytest

from gateway.workers.printers import Printers

MEGABYTE = 1024**2


@pytest.fixture
def printers() -> Iterator[Printers]:
    made = Printers(1, seconds=1, octets=512 * MEGABYTE)
    yield made
    made.shutdown()


def test_work_without_end_ends_its_process_alone(printers: Printers) -> None:
    with pytest.raises(BrokenProcessPool):
        printers.submit(time.sleep, 3600).result(60)
    assert printers.submit(len, "abc").result(60) == 3


def test_work_without_bound_fails_alone(printers: Printers) -> None:
    with pytest.raises(MemoryError):
        printers.submit(bytearray, 600 * MEGABYTE).result(60)
    assert printers.submit(bytearray, 3).result(60) == bytearray(3)
