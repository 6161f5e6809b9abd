"""Independent judges of PDF: qpdf (structure), Apache PDFBox Preflight (PDF/A-1b), Ghostscript (drawing)."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

_JARS = (
    *("preflight", "pdfbox2", "fontbox2", "xmpbox", "commons-logging", "commons-io"),
    *("javax.activation", "jaxb-api"),
)
_SHARE = Path("/usr/share/java")


def _run(*command: str | Path) -> tuple[int, str]:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=110)
    return done.returncode, done.stdout + done.stderr


def needs_preflight() -> None:
    """Skip the test where Preflight or a Java runtime is not installed."""
    missing = [jar for jar in _JARS if not (_SHARE / f"{jar}.jar").exists()]
    if missing or shutil.which("java") is None:
        pytest.skip(f"Apache PDFBox Preflight is not installed ({', '.join(missing) or 'java'})")


def preflight(*files: Path) -> str:
    """'' where every file is PDF/A-1b (ISO 19005-1), else what Preflight says against them."""
    jars = ":".join(str(_SHARE / f"{jar}.jar") for jar in _JARS)
    said = ""
    for file in files:
        _, text = _run("java", "-Xmx512m", "-cp", jars, "org.apache.pdfbox.preflight.Validator_A1b", file)
        if "is a valid PDF/A-1b file" not in text:
            said += text
    return said


def structure_faults(file: Path) -> str:
    """'' where qpdf finds no fault in the file, else its words."""
    code, text = _run("qpdf", "--check", file)
    return "" if code == 0 and "No syntax or stream encoding errors" in text else text


def drawing_faults(file: Path) -> str:
    """'' where Ghostscript draws every page without a warning, else its words."""
    code, text = _run("gs", "-q", "-dNOPAUSE", "-dBATCH", "-dSAFER", "-sDEVICE=nullpage", file)
    return "" if code == 0 and not text.strip() else text or f"exit {code}"
