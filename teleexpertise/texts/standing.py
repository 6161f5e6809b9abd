"""What one gateway writes to another; no person is shown it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from teleexpertise.texts.contexts import ConversationMail

__all__ = ["Standing"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing(ConversationMail):
    """``etat``: where a conversation stands, and nothing else."""

    template: ClassVar[str] = "etat"
