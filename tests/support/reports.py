"""Sample reports with synthetic pictures, for the tests of the printer and for looking at the pages."""

from __future__ import annotations

import hashlib
import io
from datetime import timedelta
from typing import Any

from PIL import Image, ImageDraw

from teleexpertise.report import Report, ReportAttachment, ReportExchange
from tests.support.samples import (
    ACTING,
    AUTHOR,
    CONCLUSION,
    EXPERT,
    NOW,
    PATIENT,
    QUESTION,
    REF,
    REQUESTER,
    SERVICE,
)

#: EXIF tag of the orientation; 6 means that the camera was held upright and the picture must be turned.
ORIENTATION = 0x0112


def photo(width: int, height: int, *, orientation: int = 1, form: str = "JPEG") -> bytes:
    """A picture with a mark in its upper left corner, as a camera would store it."""
    image = Image.new("RGB", (width, height), "#e8c4a8")
    ImageDraw.Draw(image).rectangle((0, 0, width // 4, height // 4), fill="#1b7a8c")
    exif = image.getexif()
    exif[ORIENTATION] = orientation
    exif[0x010F] = "Secret Camera Maker"
    output = io.BytesIO()
    image.save(output, form, exif=exif)
    return output.getvalue()


def attachment(filename: str, content_type: str, content: bytes) -> ReportAttachment:
    """An attachment with its own size and hash."""
    digest = hashlib.sha256(content).hexdigest()
    return ReportAttachment(
        filename=filename, content_type=content_type, size=len(content), sha256=digest, content=content
    )


def sample(**changes: Any) -> Report:
    """A finalised report; ``changes`` replace fields."""
    values: dict[str, Any] = {
        "reference": REF,
        "version": 1,
        "generated_at": NOW,
        "state": "completed",
        "requester": REQUESTER,
        "expert": EXPERT,
        "patient": PATIENT,
        "asked_at": NOW - timedelta(days=2),
        "asked_by": AUTHOR,
        "question": QUESTION,
        "urgency": "48-72 heures",
        "consent": True,
        "organisation": SERVICE.name,
        "answered_at": NOW - timedelta(days=1),
        "finalised_at": NOW,
        "finaliser": ACTING,
        "phone": "04 99 99 99 99",
        "answers": (("Ancienneté de la lésion", "quatre mois"),),
        "attachments": (
            attachment("ensemble.jpg", "image/jpeg", photo(640, 480)),
            attachment("regle.jpg", "image/jpeg", photo(640, 480, orientation=6)),
            attachment("fichue.jpg", "image/jpeg", b"\xff\xd8\xff broken"),
        ),
        "exchanges": (
            ReportExchange(
                number=2, at=NOW - timedelta(days=1), author=ACTING, text="Merci de préciser le phototype."
            ),
            ReportExchange(
                number=3,
                at=NOW - timedelta(hours=20),
                author=AUTHOR,
                text="Phototype II.\nFiche jointe.",
                attachments=(attachment("fiche.pdf", "application/pdf", b"%PDF-1.4"),),
            ),
            ReportExchange(number=4, at=NOW, author=ACTING, text="Complément tardif.", late=True),
            ReportExchange(number=5, at=NOW, author=AUTHOR, text="words nobody can read", encrypted=True),
        ),
        "conclusion": CONCLUSION,
        "outcome": "Consultation rapprochée",
        "act": "TE2",
        "addressees": ("Dr Nadège ARSAC",),
    }
    return Report(**{**values, **changes})
