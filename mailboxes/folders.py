"""Names of IMAP folders made from what people are called; pure.

A folder is a tuple of components, root first; how they are joined and encoded on the wire is the business of
`mailboxes.filing`.
"""

import unicodedata
from collections.abc import Collection
from datetime import date
from itertools import count
from typing import Final

Folder = tuple[str, ...]
"""Path of a folder: its components from the root on."""

PATIENTS: Final = "Patients"
ANONYMOUS: Final = "Anonymes"

MAX_COMPONENT_BYTES: Final = 120
"""Bound of one component in UTF-8: Dovecot allows 255 and Maildir needs room for suffixes."""

_REPLACED = frozenset('/\\%*"<>|:?')
_RESERVED = frozenset({"cur", "new", "tmp", "inbox"})
_EMPTY: Final = "Sans nom"


def folder_component(text: str) -> str:
    """Return ``text`` as one component of a folder name (RFC 3501 §5.1): never empty, bounded, NFC.

    Hierarchy separators, wildcards, quotes, control characters and lone surrogates become ``-`` or a blank;
    runs of blanks become one; dots and blanks at either end go, and a leading ``~`` too, since servers give
    them a meaning. The result does not change when it is given again.
    """
    visible = "".join(_visible(character) for character in unicodedata.normalize("NFC", text))
    name = _bounded(" ".join(visible.split())).strip(". ~")
    # cutting and stripping can bring two characters together that compose
    name = unicodedata.normalize("NFC", name)
    if not name:
        return _EMPTY
    return f"{name}_" if name.casefold() in _RESERVED else name


def patient_folder(
    birth_name: str, first_names: str, birth_date: date, taken: Collection[str] = frozenset()
) -> Folder:
    """Return the folder of an identified patient, as ``("Patients", "DUPONT Jean 1957-03-02")``.

    ``taken`` holds the last components already given to other patients of this mailbox; a homonym gets the
    first free of `` (2)``, `` (3)``... Names are compared without case, as people and some file systems do.
    """
    first = first_names.split()[0] if first_names.split() else ""
    end = f" {birth_date.isoformat()}"
    # the date tells homonyms apart, so it must survive the cutting of a long name
    name = folder_component(_bounded(f"{birth_name.upper()} {first}", MAX_COMPONENT_BYTES - len(end) - 6))
    base = folder_component(name + end)
    used = {unicodedata.normalize("NFC", other).casefold() for other in taken}
    if base.casefold() not in used:
        return (PATIENTS, base)
    return (PATIENTS, next(name for n in count(2) if (name := f"{base} ({n})").casefold() not in used))


def anonymous_folder(reference: str) -> Folder:
    """Return the folder of an anonymous patient, named by the conversation's readable reference."""
    return (PATIENTS, ANONYMOUS, folder_component(reference))


def _visible(character: str) -> str:
    """Return the character, or what stands for it in a folder name."""
    if character in _REPLACED:
        return "-"
    # Cc, Cf, Cs, Co, Cn: controls, direction marks, surrogates and unassigned ones mislead the eye or the
    # server
    return " " if unicodedata.category(character).startswith("C") else character


def _bounded(text: str, limit: int = MAX_COMPONENT_BYTES) -> str:
    """Return the longest beginning of ``text`` that has at most ``limit`` bytes in UTF-8."""
    return text.encode("utf-8", "ignore")[:limit].decode("utf-8", "ignore")
