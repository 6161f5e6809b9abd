"""What came of a login by token or certificate."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

__all__ = ["LoginVerdict"]


@dataclass(frozen=True, slots=True)
class LoginVerdict:
    """The account that was opened, or why none was.

    ``account`` is an address, '' where none is opened; ``until`` is from when on the token that opened it is
    believed no more, ``None`` for what does not end by itself. ``reason`` is, where none was opened, a short
    English name that is logged and audited; ``temporary`` says that the same may succeed later, as nothing
    could be judged now.
    """

    account: str = ""
    reason: str = ""
    temporary: bool = False
    until: datetime | None = None
