"""What the mails of the directory say: pages of experts and contacts, and what an account has declared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from teleexpertise.absences import Waiting
from teleexpertise.contacts import Contact
from teleexpertise.people import Absence, Account, Expert
from teleexpertise.texts.contexts import ExpertCard, Mail
from teleexpertise.texts.views import Link

__all__ = ["DirectoryPage", "PreferencesSaved"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectoryPage(Mail):
    """``annuaire``: one page of experts; ``query`` as typed ('' for the list of all, or of all services),
    ``page`` from 1. ``nearest`` are searches that find somebody, where this one finds no expert.
    """

    template: ClassVar[str] = "annuaire"
    query: str
    total: int
    cards: tuple[ExpertCard, ...]
    page: int = 1
    pages: int = 1
    next_page: Link | None = None
    services: Link | None = None
    services_only: bool = False
    nearest: tuple[Link, ...] = ()
    contacts: tuple[Contact, ...] = ()
    """People of the national directory on this page; ``total_contacts`` on all pages."""
    total_contacts: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PreferencesSaved(Mail):
    """``preferences``: what an account has declared, as it holds now; ``deputy`` is a name, ``again`` asks
    anew, ``deposits`` are mailboxes that get its documents as well. ``by`` is whose act it was, in the copy
    that the account itself gets of an act of a delegate. ``waiting`` is what the absence finds waiting today,
    ``begun`` whether it is under way, ``deputy_away`` the deputy's own absence at the same time.
    """

    template: ClassVar[str] = "preferences"
    account: Account
    expert: Expert | None
    again: Link
    absence: Absence | None = None
    deputy: str = ""
    deputy_away: Absence | None = None
    begun: bool = False
    waiting: Waiting = Waiting()
    deposits: tuple[str, ...] = ()
    changed: bool = True
    warnings: tuple[str, ...] = ()
    by: str = ""
