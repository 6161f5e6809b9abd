"""Form ids: the token in a form's marks that says which form is answered, and that it is ours."""

from __future__ import annotations

from uuid import UUID

from teleexpertise.tokens import seal, unseal

__all__ = ["form_identity", "form_token"]

_PURPOSE = "form"


def form_token(key: bytes, identifier: UUID) -> str:
    """The id written into a form's begin mark: 42 characters, keyed."""
    return seal(key, _PURPOSE, identifier)


def form_identity(key: bytes, token: str) -> UUID | None:
    """The form of an id that was found in an answer; ``None`` for one that we never gave."""
    return unseal(key, _PURPOSE, token)
