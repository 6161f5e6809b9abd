"""What the processes that print run. It is loaded in each of them: nothing here knows the gateway."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from zoneinfo import ZoneInfo

from teleexpertise.documents.facts import DocumentFacts, MissingFields
from teleexpertise.documents.tlmcr import make_cda
from teleexpertise.report import Report

__all__ = ["MadeReport", "print_documents", "print_report"]


@lru_cache(maxsize=1)
def _printer(zone: str) -> Callable[[Report], bytes]:
    # Here and not above: the gateway names this work without doing it, and WeasyPrint and the readers of
    # pictures take half a second and 35 MB.
    from gateway.workers.rasters import PdfPages
    from teleexpertise.report.printing import ReportPrinter

    printer = ReportPrinter(ZoneInfo(zone))
    return lambda report: printer.pdf(report, PdfPages())


def print_report(report: Report, zone: str) -> bytes:
    """Render in this process, dates in a named time zone; the printer is made once per process."""
    return _printer(zone)(report)


@dataclass(frozen=True, slots=True)
class MadeReport:
    """The report of one version: the PDF, and the CDA around the same octets or why there is none."""

    pdf: bytes
    cda: bytes | MissingFields

    @property
    def cda_sha256(self) -> str:
        """The hash of the CDA in hex, '' where there is none."""
        return sha256(self.cda).hexdigest() if isinstance(self.cda, bytes) else ""


def print_documents(report: Report, zone: str, facts: DocumentFacts) -> MadeReport:
    """Render in this process both forms of a report."""
    pdf = print_report(report, zone)
    return MadeReport(pdf, make_cda(facts, pdf))
