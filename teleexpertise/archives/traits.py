"""The traits that metadata state beside the INS (``sourcePatientInfo``), held against those of a document.

A receiver takes the patient from the metadata (ECO.2.1.2), a reader from the document: where the two are two
persons, neither is to be believed.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator

from teleexpertise.archives.entries import ArchivePatient

__all__ = ["other_traits"]

#: Separators of HL7 v2 inside a field, written so (HL7 v2.5 §2.7.1).
_ESCAPED = {"\\E\\": "\\", "\\F\\": "|", "\\S\\": "^", "\\T\\": "&", "\\R\\": "~"}
_LIGATURES = str.maketrans({"œ": "oe", "Œ": "OE", "æ": "ae", "Æ": "AE"})
#: The name at birth; other kinds are used names.
_BIRTH_NAME, _KIND = "L", 6


def other_traits(patient: ArchivePatient, info: Iterable[str]) -> bool:
    """Whether ``PID-5``, ``PID-7`` or ``PID-8`` of some metadata tell another birth name, date or sex than a
    document does; what one of them leaves out contradicts nothing.
    """
    fields = [field.partition("|")[::2] for field in info]
    born = {value[:8] for name, value in fields if name == "PID-7" and re.fullmatch(r"\d{8}.*", value)}
    sexes = {value for name, value in fields if name == "PID-8" and value in ("F", "M")}
    families = set(_families(value for name, value in fields if name == "PID-5"))
    stated = patient.birth_date.strftime("%Y%m%d") if patient.birth_date else ""
    return (
        _differs(stated, born)
        or _differs(patient.sex if patient.sex in ("F", "M") else "", sexes)
        or _differs(_folded(patient.birth_name), families)
    )


def _differs(mine: str, theirs: set[str]) -> bool:
    return bool(mine and theirs and mine not in theirs)


def _families(values: Iterable[str]) -> Iterator[str]:
    """The family names at birth; of metadata that mark none as such all of them."""
    names = [name.split("^") for value in values for name in value.split("~")]
    at_birth = [name for name in names if name[_KIND : _KIND + 1] == [_BIRTH_NAME]]
    for name in at_birth or names:
        if family := _folded(name[0].partition("&")[0]):
            yield family


def _folded(name: str) -> str:
    """A name without what software writes differently: accents, case, hyphens, apostrophes."""
    for escaped, plain in _ESCAPED.items():
        name = name.replace(escaped, plain)
    letters = unicodedata.normalize("NFKD", name.translate(_LIGATURES))
    return "".join(letter for letter in letters if letter.isalnum()).casefold()
