"""Refusals in the SMTP dialogue, in French: the sentences stand in the mail templates, the codes here."""

from __future__ import annotations

from gateway.pipeline.unit import Unit
from gateway.services import Services
from gateway.smtp.refusals import PolicyRefused, Refusal
from teleexpertise.letters import Mailbox
from teleexpertise.texts.contexts import RateLimited, RefusalReason
from teleexpertise.texts.contexts import Refusal as RefusalMail

__all__ = ["not_opened", "refused", "within_rate"]


def refused(
    services: Services, reason: RefusalReason, detail: str = "", *, code: int = 550, enhanced: str = "5.7.1"
) -> Refusal:
    """The refusal of a mail for a reason of the service: ``550 5.7.1``, unless told, with its sentence
    (``RFC 5321 §4.2``).
    """
    sentence = services.texts.sentence(RefusalMail(reason=reason, detail=detail))
    return PolicyRefused(sentence, code=code, enhanced=enhanced)


def not_opened(services: Services) -> Refusal:
    """The one refusal of an encrypted mail that was not opened, whatever the cause: ``550 5.7.5`` (``RFC 3463
    §3.8``).
    """
    return refused(services, RefusalReason.NOT_OPENED, enhanced="5.7.5")


async def within_rate(unit: Unit, sender: Mailbox) -> None:
    """Count one more automatic answer to a sender; ``450 4.7.1`` above the limit of an hour (``RFC 3834
    §2``).
    """
    limit = unit.services.settings.conversation.answers_per_hour
    if await unit.tx.answers.count(sender.address, unit.now) > limit:
        sentence = unit.services.texts.sentence(RateLimited(answers_per_hour=limit))
        raise Refusal(sentence, code=450, enhanced="4.7.1")
