"""``python -m tests.fuzz``: mutate what parsers read, for some seconds each; keep what breaks one.

A parser breaks by an exception that it does not declare, or by more than a second of processor time. Exit 0
when none broke, 1 otherwise. The same ``--seed`` gives the same edits, as many as there is time for; keys and
certificates are made anew each time.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from random import Random
from types import FrameType

from tests.fuzz.targets import Target, targets

SLOW_SECONDS = 1.0
KILLED_SECONDS = 10.0
LONGEST_OCTETS = 200_000
MOST_KEPT = 5

#: What parsers trip over, whatever they read.
MORSELS = (
    b"", b"\x00", b"\r", b"\n", b"\r\n", b"\r\n\r\n", b"\xff", b"\xef\xbb\xbf", b"\xc2\xa0", b"\xe2\x80\xae",
    b"=", b"==", b":", b";", b"\"", b"'", b"\\", b"(", b")", b"<", b">", b"<!--", b"&#x110000;", b"[", b"]",
    b"{", b"}", b"@", b"a@", b"--", b"--frontier", b"=?utf-8?b?w6k=?=", b"%00", b"*0*=", b"\x30\x80",
    b"\x84\xff\xff\xff\xff", b"999999999999999999999", b"-1", b"1e999", b"$now", b"not ", b" in ", b"do = [",
    b"> ", b"Re: ", b"<div>", b"e\xcc\x81",
)  # fmt: skip


class TooSlow(BaseException):
    """The parser was ended; no ``except Exception`` of its own may stop that."""


@dataclass(slots=True)
class Tally:
    """What became of the inputs of one parser; ``broken`` counts failures by their place or reason."""

    read: int = 0
    refused: int = 0
    slowest: float = 0.0
    broken: dict[str, int] = field(default_factory=dict)


def mutated(chance: Random, seeds: Sequence[bytes]) -> bytes:
    """A seed with a few edits: cut, overwritten, doubled, crossed with another, one morsel often."""
    octets = chance.choice(seeds)
    for _ in range(chance.choice((1, 1, 2, 3, 5, 8, 30))):
        start = chance.randrange(len(octets) + 1)
        end = min(len(octets), start + chance.choice((0, 1, 2, 8, 64, 1024)))
        match chance.randrange(6):
            case 0:
                piece = b""
            case 1:
                piece = chance.randbytes(end - start)
            case 2:
                piece = octets[start:end] * chance.choice((2, 3, 100))
            case 3:
                other = chance.choice(seeds)
                piece = other[chance.randrange(len(other) + 1) :][: chance.choice((4, 100, 4000))]
            case 4:
                piece = chance.choice(MORSELS) * chance.choice((1, 1, 1, 2, 50, 20_000))
            case _:
                piece = bytes([octets[start] ^ 1 << chance.randrange(8)]) if start < len(octets) else b"\x00"
                end = start + 1
        octets = (octets[:start] + piece + octets[end:])[:LONGEST_OCTETS]
    return octets


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


def fuzzed(target: Target, seconds: float, chance: Random, folder: Path) -> Tally:
    """Feed one parser for some seconds; the first inputs that break it are kept in ``folder``."""
    tally = Tally()
    until = time.monotonic() + seconds
    fresh = list(target.seeds)
    while time.monotonic() < until:
        octets = fresh.pop() if fresh else mutated(chance, target.seeds)
        why = tried(target, octets, tally)
        if not why:
            continue
        tally.broken[why] = tally.broken.get(why, 0) + 1
        if tally.broken[why] <= MOST_KEPT:
            folder.mkdir(parents=True, exist_ok=True)
            stem = "".join(c if c.isalnum() else "-" for c in f"{target.name}-{why}")
            (folder / f"{stem}-{sha256(octets).hexdigest()[:8]}.bin").write_bytes(octets)
    return tally


def main(arguments: Sequence[str] | None = None) -> int:
    """Fuzz all parsers, or those whose names contain the words given; print a line for each."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("only", nargs="*", help="parsers whose names contain one of these words")
    parser.add_argument("--seconds", type=float, default=60, help="time for all parsers together")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path(tempfile.gettempdir()) / "tle-fuzz")
    options = parser.parse_args(arguments)
    chosen = [t for t in targets() if not options.only or any(word in t.name for word in options.only)]
    if not chosen:
        parser.error("no such parser")
    broken = 0
    print(f"{'parser':34}{'inputs':>8}{'refused':>9}{'slowest':>10}  seed {options.seed}")
    for target in chosen:
        chance = Random(f"{options.seed} {target.name}")
        tally = fuzzed(target, options.seconds / len(chosen), chance, options.out)
        print(f"{target.name:34}{tally.read:8}{tally.refused:9}{tally.slowest:8.3f} s")
        for why, times in tally.broken.items():
            print(f"    BROKEN {times} times: {why}")
        broken += len(tally.broken)
    print(f"inputs that break a parser are in {options.out}" if broken else "nothing broke")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
