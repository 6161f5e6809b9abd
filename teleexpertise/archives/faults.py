"""What can be wrong with an archive: one word for each fault, whose French sentence is in ``words.toml``, the
English one in ``english.toml``.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from importlib.resources import files

__all__ = ["BLOCKING", "ArchiveFault", "Finding", "english_sentence"]


class ArchiveFault(StrEnum):
    """A fault of an archive, its metadata or one of its documents."""

    NOT_A_ZIP = "not_a_zip"
    TOO_LARGE = "too_large"
    TOO_MANY_FILES = "too_many_files"
    FILE_TOO_LARGE = "file_too_large"
    BOMB = "bomb"
    ENCRYPTED = "encrypted"
    UNSAFE_NAME = "unsafe_name"
    LINK = "link"
    DOUBLE_NAME = "double_name"
    DAMAGED_FILE = "damaged_file"
    SEVERAL_ARCHIVES = "several_archives"
    NO_METADATA = "no_metadata"
    METADATA_UNREADABLE = "metadata_unreadable"
    ENTITIES = "entities"
    NO_DOCUMENT = "no_document"
    DOCUMENT_ABSENT = "document_absent"
    DOUBLE_DOCUMENT = "double_document"
    WRONG_HASH = "wrong_hash"
    WRONG_SIZE = "wrong_size"
    CDA_UNREADABLE = "cda_unreadable"
    NOT_A_CDA = "not_a_cda"
    SEVERAL_PATIENTS = "several_patients"
    CONTRADICTION = "contradiction"
    WRONG_INS = "wrong_ins"
    UNKNOWN_ACTION = "unknown_action"
    # What is told but keeps nobody from reading what came.
    NO_README = "no_readme"
    NO_INDEX = "no_index"
    LOWER_CASE = "lower_case"
    LONG_NAME = "long_name"
    UNLISTED_FILE = "unlisted_file"
    FIELD_MISSING = "field_missing"
    FIELD_DIFFERS = "field_differs"
    NO_HASH = "no_hash"
    NO_SET_ID = "no_set_id"
    NO_PATIENT = "no_patient"


_TOLERATED = frozenset(
    {
        ArchiveFault.NO_README,
        ArchiveFault.NO_INDEX,
        ArchiveFault.LOWER_CASE,
        ArchiveFault.LONG_NAME,
        ArchiveFault.UNLISTED_FILE,
        ArchiveFault.FIELD_MISSING,
        ArchiveFault.FIELD_DIFFERS,
        ArchiveFault.NO_HASH,
        ArchiveFault.NO_SET_ID,
        ArchiveFault.NO_PATIENT,
    }
)

#: The faults for which an archive is not to be trusted: nothing of it is filed.
BLOCKING = frozenset(ArchiveFault) - _TOLERATED


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault and where: ``name`` is a file of the archive, ``detail`` a field or values, '' for none.

    Neither ever holds an identity: names of files and of metadata fields only.
    """

    fault: ArchiveFault
    name: str = ""
    detail: str = ""

    @property
    def blocking(self) -> bool:
        """Whether the archive is not to be trusted for it."""
        return self.fault in BLOCKING


@lru_cache(maxsize=1)
def _english() -> Mapping[str, str]:
    return tomllib.loads(files("teleexpertise.archives").joinpath("english.toml").read_text("utf-8"))


def english_sentence(finding: Finding) -> str:
    """A finding as its English sentence, for operators."""
    return _english()[finding.fault].format(name=finding.name, detail=finding.detail)
