"""What can go wrong in the store, and what a peer or an operator is told.

    StoreError
    ├── StoreUnavailable     locked, full, damaged or unreachable: 451, try again
    │   └── StoreInUse       a gateway serves it, and there can be one
    ├── SchemaMismatch       the database was made by a newer program: 451 until the operator acts
    ├── SequenceConflict     somebody else wrote into the conversation first: fold again and decide anew
    ├── AlreadyExists        a row with this key is there
    ├── NotFound             a row that must be there is not
    ├── NotCopied            a database that cannot be copied, or not to there: an operator must act
    └── ConstraintBroken     rows that do not fit together (a reference to nothing, a doubled key)

``code`` and ``status`` are the SMTP reply (``RFC 5321 §4.2.1``, ``RFC 3463``), ``exit_code`` the command
line's.
"""

from __future__ import annotations

from typing import ClassVar
from uuid import UUID

from gateway.errors import ToldInOneLine

__all__ = [
    "AlreadyExists",
    "ConstraintBroken",
    "NotCopied",
    "NotFound",
    "SchemaMismatch",
    "SequenceConflict",
    "StoreError",
    "StoreInUse",
    "StoreUnavailable",
]


class StoreError(ToldInOneLine):
    """Anything the store declares. Nothing of the transaction was kept."""

    code: ClassVar[int] = 451
    status: ClassVar[str] = "4.3.0"


class StoreUnavailable(StoreError):
    """The database cannot be written or read now."""

    exit_code = 3


class StoreInUse(StoreUnavailable):
    """A gateway serves the database: there cannot be two, nor what needs it at rest."""


class SchemaMismatch(StoreError):
    """The database has a schema revision that this program does not know."""

    exit_code = 3


class SequenceConflict(StoreError):
    """The conversation has gone on: ``expected`` was to be the next sequence number, ``found`` is (0: no
    such one).
    """

    def __init__(self, conversation_id: UUID, expected: int, found: int) -> None:
        self.conversation_id = conversation_id
        self.expected = expected
        self.found = found
        super().__init__(f"conversation {conversation_id}: next event is {found}, not {expected}")


class AlreadyExists(StoreError):
    """A row with this key is there already."""


class NotFound(StoreError):
    """No row with this key."""


class NotCopied(StoreError):
    """The content of a database does not go into another one: the text says what is in the way."""


class ConstraintBroken(StoreError):
    """The rows given do not fit with those that are there."""
