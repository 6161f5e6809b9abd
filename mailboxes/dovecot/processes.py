"""Finding and ending the processes of one Dovecot instance, whoever started them."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

_POLL_SECONDS: Final = 0.05
_MASTER_SECONDS: Final = 0.5
_KILL_SECONDS: Final = 2.0


def instance_processes(instance: str, uid: int) -> Iterator[int]:
    """Yield the ids of the living processes of the Dovecot ``instance`` that run as ``uid``.

    A master is known by the configuration file on its command line, a child by its title
    ``dovecot-<instance>/...``, which it keeps when its master is gone. A zombie is not living: it waits for
    its parent only.
    """
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if entry.stat().st_uid == uid and _belongs(entry, instance) and not _is_zombie(entry):
                yield int(entry.name)
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue  # it ended while we looked, or is another's


async def end_instance(instance: str, uid: int, grace: float) -> bool:
    """End all processes of the instance.

    Its master is asked first (SIGTERM) and ends idle children in good order; login processes that carry
    sessions would outlive it for hours, so after a moment all are asked, and after ``grace`` seconds killed.
    Returns False when something is still alive then, as a process stuck in the kernel is.
    """

    def living() -> list[int]:
        return list(instance_processes(instance, uid))

    def masters() -> list[int]:
        return [pid for pid in living() if _is_master(pid)]

    return (
        await _end(masters, signal.SIGTERM, living, _MASTER_SECONDS)
        or await _end(living, signal.SIGTERM, living, grace)
        or await _end(living, signal.SIGKILL, living, _KILL_SECONDS)
    )


async def wait_for_exit(pid: int) -> None:
    """Return when the child process ``pid`` has ended, without reaping it; at once when it is gone
    already.
    """
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    try:
        loop.add_reader(descriptor, ended.set)
        await ended.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


async def _end(
    addressed: Callable[[], list[int]],
    number: signal.Signals,
    living: Callable[[], list[int]],
    seconds: float,
) -> bool:
    """Send a signal and wait so long for all to be gone; return whether they are."""
    for pid in addressed():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
    deadline = asyncio.get_running_loop().time() + seconds
    while living():
        if asyncio.get_running_loop().time() > deadline:
            return False
        await asyncio.sleep(_POLL_SECONDS)
    return True


def _belongs(entry: Path, instance: str) -> bool:
    """Tell by the command line whether the process in ``/proc/<pid>`` is of the instance."""
    program, *arguments = (entry / "cmdline").read_bytes().split(b"\0")
    if program.startswith(f"dovecot-{instance}/".encode()):
        return True
    return _runs_dovecot(program) and any(f"/{instance}-".encode() in argument for argument in arguments)


def _is_master(pid: int) -> bool:
    """Tell whether a process of an instance is its master."""
    try:
        return _runs_dovecot(Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0])
    except (FileNotFoundError, ProcessLookupError):
        return False


def _runs_dovecot(program: bytes) -> bool:
    """Tell whether the first word of a command line is Dovecot's master program."""
    return program.rpartition(b"/")[2] == b"dovecot"


def _is_zombie(entry: Path) -> bool:
    """Tell whether the process has ended and only its parent has not noticed (proc(5), state Z or X)."""
    status = (entry / "stat").read_bytes()
    return status.rpartition(b")")[2].split()[0] in (b"Z", b"X")
