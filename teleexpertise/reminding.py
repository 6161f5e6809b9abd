"""When an unanswered request is reminded of: read from its state and the time alone, so that it can be
said again.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from teleexpertise.billing.rating import ANSWER_DAYS
from teleexpertise.conversation import Conversation
from teleexpertise.events import ReminderKind
from teleexpertise.states import State

__all__ = ["CONVENTION", "Timetable", "reminder_due", "timetable"]

CONVENTION = timedelta(days=ANSWER_DAYS)


@dataclass(frozen=True, slots=True)
class Timetable:
    """How long before its end a delay is reminded of: the expert's own, and the convention's."""

    before_promise: timedelta
    before_convention: timedelta


def timetable(conversation: Conversation, policy: Timetable) -> tuple[tuple[datetime, ReminderKind], ...]:
    """The moments at which this request is reminded of while nobody answers, in their order.

    A delay shorter than twice its notice is reminded of half way; a promise that ends with the convention or
    after it has no reminder of its own. The requester is alerted when both are over.
    """
    promised, convention = conversation.promised_at, conversation.opened_at + CONVENTION
    notice = min(policy.before_promise, (promised - conversation.opened_at) / 2)
    moments = [
        (convention - policy.before_convention, ReminderKind.CONVENTION),
        (max(promised, convention), ReminderKind.ALERT),
    ]
    if promised < convention:
        moments.append((promised - notice, ReminderKind.PROMISE))
    return tuple(sorted(moments))


def reminder_due(conversation: Conversation, policy: Timetable, now: datetime) -> ReminderKind | None:
    """What the request is to be reminded of now, ``None`` for nothing: it was answered, closed or waits for
    the requester, or it was reminded already. Each once; of several that were missed only the last.
    """
    if conversation.state is not State.REQUESTED or conversation.expert_has_written:
        return None
    passed = [kind for moment, kind in timetable(conversation, policy) if moment <= now]
    if not passed or passed[-1] in conversation.reminded:
        return None
    return passed[-1]
