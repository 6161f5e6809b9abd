"""Processes that make reports: they end with the gateway, however it ends, and are replaced when one dies."""

from __future__ import annotations

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

    def __init__(self, count: int) -> None:
        self._count = count
        self._pool = _pool(count)

    def submit(
        self, work: Callable[_Arguments, _Result], /, *args: _Arguments.args, **kwargs: _Arguments.kwargs
    ) -> Future[_Result]:
        """Have the work done in one of the processes."""
        try:
            return self._pool.submit(_bounded, work, *args, **kwargs)
        except BrokenProcessPool:
            self._pool = _pool(self._count)
            return self._pool.submit(_bounded, work, *args, **kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the processes, after their work where ``wait``."""
        self._pool.shutdown(wait=wait, cancel_futures=cancel_futures)


def _pool(count: int) -> ProcessPoolExecutor:
    # Forked, a process would hold the gateway's sockets and locks.
    return ProcessPoolExecutor(count, multiprocessing.get_context("spawn"), initializer=_begin)


def _bounded(
    work: Callable[_Arguments, _Result], /, *args: _Arguments.args, **kwargs: _Arguments.kwargs
) -> _Result:
    """Do the work; a process that takes too long is ended by its alarm, and the work fails with it."""
    signal.alarm(_MOST_SECONDS)
    try:
        return work(*args, **kwargs)
    finally:
        signal.alarm(0)


def _begin() -> None:
    """In a new process: Ctrl-C at the terminal is for the gateway, and without it there is no work."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_AS, (_MOST_OCTETS, _MOST_OCTETS))
    threading.Thread(target=_leave_with_parent, daemon=True).start()


def _leave_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(0)
