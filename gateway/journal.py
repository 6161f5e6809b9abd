"""Logging: identifiers, never content (subjects, bodies, names, patients' addresses)."""

from __future__ import annotations

import io
import logging
import sys
from typing import TextIO, cast

import structlog

from config import Settings

__all__ = ["configure_logging"]


class _Journal(io.TextIOBase):
    """Where events are written. A log that lies on a full disk must not end the service of mail: what cannot
    be written is lost, and the next event that can be says how many lines are (``lines_lost``).

    Standard error is looked up for each line: who puts another one in its place for a while (a runner of
    commands in a test) closes it afterwards, and loggers outlive that.
    """

    def __init__(self) -> None:
        self._failed = False
        self._lost = 0

    def write(self, text: str) -> int:
        try:
            return sys.stderr.write(text)
        except OSError:
            self._failed = True
            return len(text)

    def flush(self) -> None:
        """The end of an event."""
        try:
            sys.stderr.flush()
        except OSError:
            self._failed = True
        self._lost = self._lost + 1 if self._failed else 0
        self._failed = False

    def tell_lost(
        self, _logger: object, _method: str, event: structlog.typing.EventDict
    ) -> structlog.typing.EventDict:
        """A processor: the event, with the number of those before it that were lost."""
        return {**event, "lines_lost": self._lost} if self._lost else event


def configure_logging(settings: Settings) -> None:
    """Write events to standard error, for people or as JSON lines."""
    level = getattr(logging, settings.logging.level.upper())
    renderer: structlog.types.Processor
    if settings.logging.format == "json":
        renderer = structlog.processors.JSONRenderer(ensure_ascii=False)
    else:
        renderer = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    journal = _Journal()
    # Libraries that tell of connections and of content: nothing of it below a warning.
    for library in ("mail.log", "aioimaplib", "weasyprint", "fontTools"):
        logging.getLogger(library).setLevel(logging.WARNING)
    # The path validator writes the names of certificates into its warnings; we tell the reason ourselves.
    logging.getLogger("pyhanko_certvalidator").setLevel(logging.CRITICAL + 1)
    structlog.configure(
        processors=[
            journal.tell_lost,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(cast(TextIO, journal)),
        cache_logger_on_first_use=False,
    )
