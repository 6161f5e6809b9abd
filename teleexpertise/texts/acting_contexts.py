"""What the mails about delegates say: see ``contexts``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from teleexpertise.texts.contexts import Mail
from teleexpertise.texts.views import Link

__all__ = ["DelegateTold", "DelegatesSaved"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DelegatesSaved(Mail):
    """``delegues``: what was changed, and who is named now; people by name and address.

    It goes to who changed it, and, ``told``, to the account whose delegates they are where somebody else did:
    ``by``, '' an operator.

    ``still`` are those removed who may act all the same, as a legal entity that is a delegate names them;
    ``common``: what one has read counts as read for all.
    """

    template: ClassVar[str] = "delegues"
    principal: str
    added: tuple[str, ...]
    removed: tuple[str, ...]
    still: tuple[str, ...]
    delegates: tuple[str, ...]
    common: bool
    told: bool = False
    by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DelegateTold(Mail):
    """``delegation``: somebody may act for ``principal`` now (``given``), or may no longer; ``by`` whose act,
    '' an operator's. ``common`` says where its folders are, ``links`` what can be done for it.
    """

    template: ClassVar[str] = "delegation"
    principal: str
    by: str
    given: bool
    still: bool = False
    common: bool = False
    links: tuple[Link, ...] = ()
