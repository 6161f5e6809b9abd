"""An outbox action that failed: for good, or to be tried again."""

from __future__ import annotations

__all__ = ["ActionFailed"]


class ActionFailed(Exception):
    """``permanent`` is no matter of waiting; ``status`` the enhanced code (``RFC 3463``), ``text`` the
    answer given.
    """

    def __init__(self, status: str, text: str, *, permanent: bool) -> None:
        super().__init__(f"{status} {text}"[:500])
        self.permanent = permanent
        self.status = status
        self.text = text
