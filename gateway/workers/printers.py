"""Processes that make reports: they end with the gateway, however it ends, and are replaced when one dies."""

from __future__ import annotations

import logging
import multiprocessing
import os
import resource
import signal
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import ParamSpec, TypeVar

__all__ = ["Printers"]

#: A report of sixty pictures takes a tenth of both: what takes more would keep every other report waiting.
_MOST_SECONDS = 180
_MOST_OCTETS = 3 * 1024**3

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


class Printers(Executor):
    """An executor of ``count`` processes, each started when it is first needed.

    Work under way in a process that dies fails with ``BrokenProcessPool``; later work gets a new process.
    """

    def __init__(self, count: int, seconds: int = _MOST_SECONDS, octets: int = _MOST_OCTETS) -> None:
        """``seconds`` bound each piece of work, ``octets`` the address space of a process."""
        self._count = count
        self._seconds = seconds
        self._octets = octets
        self._pool = self._new_pool()

    def submit(
        self, work: Callable[_Arguments, _Result], /, *args: _Arguments.args, **kwargs: _Arguments.kwargs
    ) -> Future[_Result]:
        """Have the work done in one of the processes."""
        try:
            return self._pool.submit(_bounded, self._seconds, work, *args, **kwargs)
        except BrokenProcessPool:
            self._pool = self._new_pool()
            return self._pool.submit(_bounded, self._seconds, work, *args, **kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the processes, after their work where ``wait``."""
        self._pool.shutdown(wait=wait, cancel_futures=cancel_futures)

    def _new_pool(self) -> ProcessPoolExecutor:
        # Forked, a process would hold the gateway's sockets and locks.
        spawned = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(self._count, spawned, initializer=_begin, initargs=(self._octets,))


def _bounded(
    seconds: int, work: Callable[_Arguments, _Result], /, *args: _Arguments.args, **kwargs: _Arguments.kwargs
) -> _Result:
    """Do the work; a process that takes too long is ended by its alarm, and the work fails with it."""
    signal.alarm(seconds)
    try:
        return work(*args, **kwargs)
    finally:
        signal.alarm(0)


def _begin(octets: int) -> None:
    """In a new process: Ctrl-C at the terminal is for the gateway, and without it there is no work."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_AS, (octets, octets))
    # Memory that is left to a core file would be patients' pictures.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # Libraries cite what they read: what goes wrong here comes back as an exception.
    logging.disable(logging.CRITICAL)
    threading.Thread(target=_leave_with_parent, daemon=True).start()


def _leave_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(0)
