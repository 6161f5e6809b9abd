"""What came of a login by token or certificate."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["LoginVerdict"]


@dataclass(frozen=True, slots=True)
class LoginVerdict:
    """The account that was opened, or why none was.

    ``account`` is an address, '' where none is opened; ``reason`` is then a short English name that is logged
    and audited; ``temporary`` says that the same may succeed later, as nothing could be judged now.
    """

    account: str = ""
    reason: str = ""
    temporary: bool = False
