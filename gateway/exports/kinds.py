"""The kinds of file that an export can be."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["FileKind"]


class FileKind(StrEnum):
    """The two kinds of file."""

    XLSX = "xlsx"
    CSV = "csv"

    @property
    def content_type(self) -> str:
        """The media type of an attachment."""
        if self is FileKind.CSV:
            return "text/csv"
        return "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
