"""Reports before independent judges: Apache PDFBox Preflight (PDF/A-1b), qpdf, Ghostscript."""

from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from gateway.workers.rasters import PdfPages
from teleexpertise.patients import Patient
from teleexpertise.report import Report
from teleexpertise.report.printing import ReportPrinter
from tests.support.pdf import drawing_faults, needs_preflight, preflight, structure_faults
from tests.support.pictures import every_kind
from tests.support.reports import attachment, photo, sample

PRINTER = ReportPrinter(ZoneInfo("Europe/Paris"))
HOSTILE = "\u202egnitirw\u202c \x00\x07 שלום 👩🏽‍⚕️ مرحبا <a href='http://a.example/'>x</a> ½ ≥ œ ’"


def reports() -> dict[str, Report]:
    return {
        "final": sample(),
        "version-2-anonymous": sample(patient=Patient(anonymous=True), version=2, exchanges=()),
        "synthesis": sample(state="on_hold", finaliser=None, finalised_at=None, conclusion=""),
        "foreign-letters": sample(question=HOSTILE, conclusion=HOSTILE * 50),
        "every-kind-of-picture": sample(
            attachments=tuple(attachment(name, "text/plain", each) for name, each in every_kind().items()),
        ),
        "transparent": sample(
            attachments=(attachment("a.png", "image/png", photo(64, 64, form="PNG")),), exchanges=()
        ),
    }


@pytest.mark.parametrize("name", list(reports()))
def test_every_kind_of_report_is_pdf_a_1b_and_draws(name: str, tmp_path: Path) -> None:
    needs_preflight()
    file = tmp_path / "report.pdf"
    file.write_bytes(PRINTER.pdf(reports()[name], PdfPages()))
    assert structure_faults(file) == ""
    assert drawing_faults(file) == ""
    assert preflight(file) == ""


def test_the_judge_refuses_what_is_no_pdf_a(tmp_path: Path) -> None:
    needs_preflight()
    octets = PRINTER.pdf(sample())
    broken = tmp_path / "broken.pdf"
    broken.write_bytes(octets.replace(b"/Interpolate false", b"/Interpolate true "))
    assert "Interpolate" in preflight(broken)
    unclaimed = tmp_path / "unclaimed.pdf"
    unclaimed.write_bytes(octets.replace(b"pdfaid:part", b"pdfaid:trap"))
    assert preflight(unclaimed)
