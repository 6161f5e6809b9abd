"""Pages of PDF attachments as pictures, by poppler's ``pdftoppm`` in a bounded process of its own."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from collections.abc import Iterator

from PIL import Image

from teleexpertise.report.images import MAX_SHEETS, SHEET_SIDE, Picture, sheet

__all__ = ["PdfPages", "drawn_pages"]

#: One document; all of one report together.
_MOST_SECONDS = 20.0
_MOST_SECONDS_TOGETHER = 60.0
_MOST_OCTETS = 1024**3
_PPM = re.compile(rb"P6\n(\d{1,5}) (\d{1,5})\n255\n")


class PdfPages:
    """Draws the first pages of the PDFs of one report. Made anew for each report: it counts its time."""

    def __init__(self, seconds: float = _MOST_SECONDS, together: float = _MOST_SECONDS_TOGETHER) -> None:
        """``seconds`` bound one document, ``together`` all of them."""
        self._most = seconds
        self._left = together

    def __call__(self, content: bytes) -> Picture | None:
        """At most six pages, or ``None`` for a PDF that is broken, asks for a password or takes too long."""
        if self._left <= 0:
            return None
        begun = time.monotonic()
        # One page more than is shown tells whether there is more.
        options = ("-cropbox", "-scale-to", str(SHEET_SIDE), "-f", "1", "-l", str(MAX_SHEETS + 1))
        try:
            drawn = drawn_pages(content, *options, seconds=min(self._most, self._left))
            sheets = tuple(sheet(page, SHEET_SIDE) for page in drawn)
        finally:
            self._left -= time.monotonic() - begun
        if not sheets:
            return None
        shown = sheets[:MAX_SHEETS]
        return Picture(
            shown, more=len(sheets) > MAX_SHEETS, document=True, pixels=len(sheets) * SHEET_SIDE**2
        )


def drawn_pages(content: bytes, *options: str, seconds: float = _MOST_SECONDS) -> Iterator[Image.Image]:
    """The pages of a PDF as ``pdftoppm`` draws them with some options, in a process that reads and writes no
    file; none where the program fails, takes longer or is not there.
    """
    limits, draw = shutil.which("prlimit"), shutil.which("pdftoppm")
    if limits is None or draw is None:
        return
    command = [
        *(limits, f"--as={_MOST_OCTETS}", f"--cpu={max(1, int(seconds))}", "--fsize=0", "--core=0"),
        *("--", draw, "-q", *options, "-"),
    ]
    try:
        done = subprocess.run(
            command,
            input=content,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
            timeout=seconds,
            check=True,
        )
    except (subprocess.SubprocessError, OSError):
        return
    yield from _pages(done.stdout)


def _pages(octets: bytes) -> Iterator[Image.Image]:
    """Pictures of consecutive PPM files (netpbm's ``P6``)."""
    at = 0
    while (header := _PPM.match(octets, at)) is not None:
        size = (int(header[1]), int(header[2]))
        begin, length = header.end(), size[0] * size[1] * 3
        if not length or begin + length > len(octets):
            return
        yield Image.frombytes("RGB", size, octets[begin : begin + length])
        at = begin + length
