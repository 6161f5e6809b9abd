"""``python -m tests.fuzz``: mutate what parsers read; keep what breaks one.

What decides about trust gets ``--count`` inputs (a million), shared out among its targets and the processor's
cores; the other parsers get ``--seconds`` together. A parser breaks by an exception that it does not declare,
by more than a second of processor time, or by more memory than its process may have. Exit 0 when none broke,
1 otherwise. The same ``--seed`` gives the same edits; keys and certificates are made anew each time. An input
that breaks one is made as small as it goes on breaking; put it into ``tests/fuzz/corpus`` with the mending,
where ``make test`` replays it.
"""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import os
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from multiprocessing.connection import Connection, wait
from pathlib import Path
from random import Random
from types import FrameType
from typing import Any

from tests.fuzz.targets import Target, targets
from tests.fuzz.trust import trust_targets

SLOW_SECONDS = 1.0
KILLED_SECONDS = 10.0
SMALLER_SECONDS = 20.0
SILENT_SECONDS = 300
MEMORY_OCTETS = 512 * 1024 * 1024
JOB_INPUTS = 2_000
PROGRESS_INPUTS = 100_000
MOST_KEPT = 5


class TooSlow(BaseException):
    """The parser was ended; no ``except Exception`` of its own may stop that."""


@dataclass(slots=True)
class Tally:
    """What became of the inputs of one parser; ``broken`` counts failures by their place or reason."""

    read: int = 0
    refused: int = 0
    slowest: float = 0.0
    broken: dict[str, int] = field(default_factory=dict)

    def add(self, other: Tally) -> None:
        """Count what happened in another process, too."""
        self.read += other.read
        self.refused += other.refused
        self.slowest = max(self.slowest, other.slowest)
        for why, times in other.broken.items():
            self.broken[why] = self.broken.get(why, 0) + times


@contextmanager
def limited() -> Iterator[None]:
    """End what uses more than ``KILLED_SECONDS`` of processor time."""

    def end(_: int, __: FrameType | None) -> None:
        raise TooSlow

    before = signal.signal(signal.SIGVTALRM, end)
    signal.setitimer(signal.ITIMER_VIRTUAL, KILLED_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def tried(target: Target, octets: bytes, tally: Tally) -> str:
    """Let the parser read once; '' when it answered as declared, else why not."""
    why = ""
    begun = time.process_time()
    try:
        with limited():
            target.read(octets)
    except target.declared:
        tally.refused += 1
    except TooSlow:
        why = f"ended after {KILLED_SECONDS:.0f} s"
    except Exception as error:  # noqa: BLE001 - finding those is what this is for
        last = traceback.extract_tb(error.__traceback__)[-1]
        why = f"{type(error).__name__} at {Path(last.filename).name}:{last.lineno}"
    seconds = time.process_time() - begun
    tally.read += 1
    tally.slowest = max(tally.slowest, seconds)
    return why or ("slower than a second" if seconds > SLOW_SECONDS else "")


def broken(target: Target, octets: bytes, tally: Tally, folder: Path) -> None:
    """Let the parser read once; keep the first inputs that break it in one way, made small."""
    why = tried(target, octets, tally)
    if not why:
        return
    tally.broken[why] = tally.broken.get(why, 0) + 1
    if tally.broken[why] <= MOST_KEPT:
        small = smaller(target, octets, why)
        folder.mkdir(parents=True, exist_ok=True)
        reason = "".join(letter if letter.isalnum() else "-" for letter in why)
        (folder / f"{slug(target.name)}--{reason}-{sha256(small).hexdigest()[:8]}.bin").write_bytes(small)


def slug(name: str) -> str:
    """A target's name as the names of its files in the corpus begin."""
    return "-".join("".join(letter if letter.isalnum() else " " for letter in name).split())


def smaller(target: Target, octets: bytes, why: str) -> bytes:
    """Leave out piece after piece as long as the parser breaks in the same way."""
    until = time.monotonic() + SMALLER_SECONDS
    piece = max(1, len(octets) // 2)
    while piece and time.monotonic() < until:
        start = 0
        while start < len(octets) and time.monotonic() < until:
            less = octets[:start] + octets[start + piece :]
            if tried(target, less, Tally()) == why:
                octets = less
            else:
                start += piece
        piece //= 2
    return octets


def fuzzed(target: Target, seconds: float, chance: Random, folder: Path) -> Tally:
    """Feed one parser for some seconds."""
    tally = Tally()
    until = time.monotonic() + seconds
    fresh = list(target.seeds)
    while time.monotonic() < until:
        broken(target, fresh.pop() if fresh else target.mutate(chance, target.seeds), tally, folder)
    return tally


@dataclass(frozen=True, slots=True)
class Job:
    """A part of a target's inputs; ``number`` makes its chance another than that of the other parts."""

    target: int
    number: int
    inputs: int


def jobs(chosen: Sequence[Target], count: int) -> list[Job]:
    """All inputs in parts that both cores take in turn."""
    whole = sum(target.share for target in chosen)
    found = []
    for place, target in enumerate(chosen):
        inputs = round(count * target.share / whole)
        parts = range(0, inputs, JOB_INPUTS)
        found += [Job(place, start, min(JOB_INPUTS, inputs - start)) for start in parts]
    return found


def worked(
    chosen: Sequence[Target], mine: Sequence[Job], seed: int, folder: Path, answers: Connection
) -> None:
    """Do some jobs in a process of its own, within its memory; tell of each."""
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY_OCTETS, size + MEMORY_OCTETS))
    logging.disable()  # libraries warn of what they are fed
    for job in mine:
        target, tally = chosen[job.target], Tally()
        chance = Random(f"{seed} {target.name} {job.number}")
        fresh = list(target.seeds) if job.number == 0 else []
        for _ in range(job.inputs):
            broken(target, fresh.pop() if fresh else target.mutate(chance, target.seeds), tally, folder)
        answers.send((job, tally, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024))
    answers.close()


def counted(chosen: Sequence[Target], count: int, workers: int, seed: int, folder: Path) -> int:
    """Feed the targets their inputs in several processes; return in how many ways they broke."""
    todo = jobs(chosen, count)
    Random(seed).shuffle(todo)
    context = multiprocessing.get_context("fork")  # the targets hold keys, which are not sent but inherited
    processes: dict[Connection, Any] = {}
    for place in range(workers):
        receiver, sender = context.Pipe(duplex=False)
        mine = todo[place::workers]
        process = context.Process(target=worked, args=(chosen, mine, seed, folder, sender), daemon=True)
        process.start()
        sender.close()
        processes[receiver] = process
    tallies = [Tally() for _ in chosen]
    memory = faults = 0
    while processes:
        ready = [one for one in wait(list(processes), timeout=SILENT_SECONDS) if isinstance(one, Connection)]
        if not ready:
            faults += 1
            print(f"    BROKEN: no word from a process for {SILENT_SECONDS} s")
            for process in processes.values():
                process.kill()
            break
        for receiver in ready:
            try:
                job, tally, megabytes = receiver.recv()
            except EOFError:
                process = processes.pop(receiver)
                process.join()
                if process.exitcode:
                    faults += 1
                    print(f"    BROKEN: a process ended with {process.exitcode}")
                continue
            tallies[job.target].add(tally)
            done = sum(each.read for each in tallies)
            if done // PROGRESS_INPUTS > (done - job.inputs) // PROGRESS_INPUTS:
                print(f"    {done} inputs", file=sys.stderr, flush=True)
            memory = max(memory, megabytes)
    faults += sum(tell(target, tally) for target, tally in zip(chosen, tallies, strict=True))
    print(f"{'together':34}{sum(tally.read for tally in tallies):8}  memory of a process at most {memory} MB")
    return faults


def tell(target: Target, tally: Tally) -> int:
    """Print a target's line; return in how many ways it broke."""
    print(f"{target.name:34}{tally.read:8}{tally.refused:9}{tally.slowest:8.3f} s", flush=True)
    for why, times in tally.broken.items():
        print(f"    BROKEN {times} times: {why}")
    return len(tally.broken)


def main(arguments: Sequence[str] | None = None) -> int:
    """Fuzz all parsers, or those whose names contain the words given; print a line for each."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("only", nargs="*", help="parsers whose names contain one of these words")
    parser.add_argument("--count", type=int, default=1_000_000, help="inputs of all trust parsers together")
    parser.add_argument("--seconds", type=float, default=60, help="time for all other parsers together")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes for the counted")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path(tempfile.gettempdir()) / "tle-fuzz")
    options = parser.parse_args(arguments)
    every = [*trust_targets(), *targets()]
    chosen = [t for t in every if not options.only or any(word in t.name for word in options.only)]
    if not chosen:
        parser.error("no such parser")
    faults = 0
    print(f"{'parser':34}{'inputs':>8}{'refused':>9}{'slowest':>10}  seed {options.seed}", flush=True)
    shared_out = [target for target in chosen if target.share]
    if shared_out and options.count:
        faults += counted(shared_out, options.count, options.workers, options.seed, options.out)
    timed = [target for target in chosen if not target.share]
    logging.disable()
    for target in timed if options.seconds else ():
        chance = Random(f"{options.seed} {target.name}")
        faults += tell(target, fuzzed(target, options.seconds / len(timed), chance, options.out))
    print(f"inputs that break a parser are in {options.out}" if faults else "nothing broke")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
