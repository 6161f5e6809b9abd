"""The printer of reports: HTML by Jinja2, PDF/A-1b by WeasyPrint, nothing fetched from anywhere."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from datetime import tzinfo
from importlib.resources import files

from weasyprint import CSS, HTML
from weasyprint.css import ColorProfile
from weasyprint.urls import URLFetcher, URLFetcherResponse

from teleexpertise.report.enclosures import Enclosure, Rasterise, enclosures
from teleexpertise.report.finishing import finish
from teleexpertise.report.letters import drawable_pattern, with_drawable_letters
from teleexpertise.report.model import Report, ReportAttachment
from teleexpertise.texts import load_words
from teleexpertise.texts.environment import french_environment
from teleexpertise.texts.typography import clean

__all__ = ["ImagesOnly", "ReportPrinter"]


class ImagesOnly(URLFetcher):  # type: ignore[misc]  # WeasyPrint is untyped
    """Answers for the pictures of one report, from memory, and refuses every other address."""

    def __init__(self, pictures: Mapping[str, bytes]) -> None:
        super().__init__(allowed_protocols=())
        self._pictures = pictures

    def fetch(self, url: str, headers: object = None) -> URLFetcherResponse:
        """The picture; raises ``ValueError`` for any other address, which WeasyPrint then leaves out."""
        try:
            picture = self._pictures[url]
        except KeyError:
            raise ValueError("a report fetches nothing") from None
        return URLFetcherResponse(url, io.BytesIO(picture), {"Content-Type": "image/jpeg"})


class ReportPrinter:
    """Renders reports. Built once; the same report gives the same octets on the same machine."""

    def __init__(self, zone: tzinfo) -> None:
        """Dates are shown in ``zone``."""
        self._template = french_environment(
            "teleexpertise.report", load_words(), zone, html=True
        ).get_template("report")
        self._style = files("teleexpertise.report").joinpath("templates", "report.css").read_text("utf-8")
        self._undrawable = drawable_pattern()
        self._colours = files("weasyprint.pdf").joinpath("sRGB2014.icc").read_bytes()

    def pdf(self, report: Report, rasterise: Rasterise | None = None) -> bytes:
        """The report as PDF/A-1b (``ISO 19005-1``, what ``IHE XDS-SD`` wants), A4; attached PDFs are drawn by
        ``rasterise``, without it they are listed only.
        """
        report = clean(report)
        pictures = enclosures(report, rasterise)
        page = self._page(report, pictures)
        identifier = hashlib.sha256(f"{report.reference} {report.version}".encode()).digest()[:16]
        sources = {source: content for shown in pictures.values() for source, content in shown.sheets}
        document = HTML(string=page, base_url=None, url_fetcher=ImagesOnly(sources))
        octets: bytes = document.write_pdf(
            stylesheets=[CSS(string=self._style)],
            pdf_variant="pdf/a-1b",
            # Readers read it aloud in order; that it is tagged well enough for level A is not claimed.
            pdf_tags=True,
            finisher=finish,
            pdf_identifier=identifier,
            # The same profile that WeasyPrint takes for PDF/A, but it leaves the file open (70.0).
            color_profiles={"paper": self._profile()},
            output_intent="paper",
        )
        return octets

    def _page(self, report: Report, pictures: Mapping[str, Enclosure]) -> str:
        """The page; one whose words cannot all be drawn says so: a sentence may hide behind one mark."""
        page = self._template.render(report=report, pictures=pictures, key=_key, undrawn=False)
        if self._undrawable.search(page) is None:
            return page
        page = self._template.render(report=report, pictures=pictures, key=_key, undrawn=True)
        return with_drawable_letters(page, self._undrawable)

    def _profile(self) -> ColorProfile:
        return ColorProfile(
            io.BytesIO(self._colours), "sRGB2014.icc", "relative-colorimetric", (["r"], ["g"], ["b"])
        )


def _key(attachment: ReportAttachment) -> str:
    return attachment.sha256
