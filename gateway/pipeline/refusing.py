"""Refusals in the SMTP dialogue, in French: the sentences stand in the mail templates, the codes here."""

from __future__ import annotations

from gateway.services import Services
from gateway.smtp.refusals import PolicyRefused, Refusal
from teleexpertise.texts.contexts import RateLimited, RefusalReason
from teleexpertise.texts.contexts import Refusal as RefusalMail

__all__ = ["rate_limited", "refused"]


def refused(services: Services, reason: RefusalReason, detail: str = "") -> Refusal:
    """The refusal of a mail for a reason of the service: ``550 5.7.1`` with its sentence (``RFC 5321
    §4.2``).
    """
    return PolicyRefused(services.texts.sentence(RefusalMail(reason=reason, detail=detail)))


def rate_limited(services: Services) -> Refusal:
    """Too many automatic answers to one sender within an hour: try again later (``450 4.7.1``)."""
    limit = services.settings.conversation.answers_per_hour
    body = services.texts.render(RateLimited(answers_per_hour=limit))
    return Refusal(body.subject, code=450, enhanced="4.7.1")
