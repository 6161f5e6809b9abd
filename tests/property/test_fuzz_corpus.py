"""Inputs that the fuzzer found worth keeping: each is answered as declared, in less than a second."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fuzz.__main__ import MEMORY_OCTETS, Tally, counted, jobs, slug, tried
from tests.fuzz.mutation import mutated_lines, mutated_octets, mutated_values
from tests.fuzz.targets import Target, targets
from tests.fuzz.trust import trust_targets

CORPUS = sorted((Path(__file__).parents[1] / "fuzz" / "corpus").glob("*.bin"))


@pytest.fixture(scope="module")
def known() -> dict[str, Target]:
    return {slug(target.name): target for target in (*trust_targets(), *targets())}


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.stem)
def test_what_was_found_once_is_answered_as_declared(path: Path, known: dict[str, Target]) -> None:
    target = known[path.name.partition("--")[0]]
    assert tried(target, path.read_bytes(), Tally()) == ""


def test_the_corpus_is_there_and_small() -> None:
    assert len(CORPUS) >= 80
    assert sum(path.stat().st_size for path in CORPUS) < 256 * 1024


def test_a_million_inputs_are_shared_out_among_all_that_decides_about_trust(known: dict[str, Target]) -> None:
    counted = [target for target in known.values() if target.share]
    assert {target.mutate for target in counted} == {mutated_lines, mutated_octets, mutated_values}
    todo = jobs(counted, 1_000_000)
    assert sum(job.inputs for job in todo) == 1_000_000
    assert {job.target for job in todo} == set(range(len(counted)))
    assert len({(job.target, job.number) for job in todo}) == len(todo)


def refused(octets: bytes) -> None:
    raise KeyError(octets[:1])


def swollen(octets: bytes) -> bytes:
    return bytes(2 * MEMORY_OCTETS)


def crashed(octets: bytes) -> None:
    os._exit(3)


@pytest.mark.parametrize(
    ("read", "told"),
    [(refused, "KeyError at"), (swollen, "MemoryError at"), (crashed, "a process ended with 3")],
)
def test_the_fuzzer_tells_what_breaks_and_keeps_it_small(
    read: Callable[[bytes], object], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = Target("to break", (b"some octets",), read, share=1.0)
    assert counted([target], 20, 2, 1, tmp_path) > 0
    assert told in capsys.readouterr().out
    kept = [path.read_bytes() for path in tmp_path.glob("to-break--*.bin")]
    assert kept == ([] if read is crashed else [b""])


def test_the_fuzzer_ends_what_takes_a_second() -> None:
    def slow(octets: bytes) -> None:
        until = time.process_time() + 1.1
        while time.process_time() < until:
            pass

    assert tried(Target("slow", (b"x",), slow), b"x", Tally()) == "slower than a second"
