"""Logging: identifiers, never content (subjects, bodies, names, patients' addresses)."""

from __future__ import annotations

import logging
import sys

import structlog

from config import Settings

__all__ = ["configure_logging"]


def configure_logging(settings: Settings) -> None:
    """Write events to standard error, for people or as JSON lines."""
    level = getattr(logging, settings.logging.level.upper())
    renderer: structlog.types.Processor
    if settings.logging.format == "json":
        renderer = structlog.processors.JSONRenderer(ensure_ascii=False)
    else:
        renderer = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    # Libraries that tell of connections and of content: nothing of it below a warning.
    for library in ("mail.log", "aioimaplib", "weasyprint", "fontTools"):
        logging.getLogger(library).setLevel(logging.WARNING)
    # The path validator writes the names of certificates into its warnings; we tell the reason ourselves.
    logging.getLogger("pyhanko_certvalidator").setLevel(logging.CRITICAL + 1)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
