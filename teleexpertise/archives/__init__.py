"""IHE_XDM.zip: the archive in which documents travel by mail, built and opened (IHE XDM, ebRIM 3.0)."""

from teleexpertise.archives.building import NotArchivable, archive_name, build_archive
from teleexpertise.archives.entries import ArchiveDocument, ArchivePatient, DocumentEntry, Sender, Transfer
from teleexpertise.archives.faults import ArchiveFault, Finding
from teleexpertise.archives.opening import (
    ArchiveLimits,
    OpenedArchive,
    OpenedDocument,
    archive_in,
    holds_documents,
    is_archive_name,
    open_archive,
)

__all__ = [
    "ArchiveDocument",
    "ArchiveFault",
    "ArchiveLimits",
    "ArchivePatient",
    "DocumentEntry",
    "Finding",
    "NotArchivable",
    "OpenedArchive",
    "OpenedDocument",
    "Sender",
    "Transfer",
    "archive_in",
    "archive_name",
    "build_archive",
    "holds_documents",
    "is_archive_name",
    "open_archive",
]
