"""Decisions made again from what the store keeps come out the same, under any rules and in any course."""

import json
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID, uuid5

from hypothesis import given, settings

from gateway.redeciding import Redeciding
from gateway.store import DecisionRow
from teleexpertise.actions import Post
from teleexpertise.conversation import fold
from teleexpertise.decision import Decision, decide
from teleexpertise.events import AnyEvent, Author, Opened, Posted, Record, Side
from teleexpertise.facts import Facts, Trigger
from tests.support.cases import CONVERSATION, REF, START, author
from tests.support.courses import Course, courses, facts

SERVICE = Author("teleexpertise@demo.mssante.example", "Téléexpertise")


class Stored:
    """A course as the gateway would have stored it: records with their messages, and rows of decisions."""

    def __init__(self, course: Course) -> None:
        self.book = course.book
        self.records: list[Record] = []
        self.rows: list[DecisionRow] = []
        request = Facts(
            trigger=Trigger.REQUEST,
            author=author(Side.REQUESTER),
            proposed=replace(course.opening, ref=""),
            tool_url=course.tool_url,
        )
        self.happens(request)
        for happening in course.happenings if self.records else ():
            self.happens(facts(happening))

    def happens(self, what: Facts) -> None:
        now = START + timedelta(minutes=7 * len(self.rows))
        message = uuid5(CONVERSATION, f"message {len(self.rows) // 2}")  # some cause two decisions
        before = fold(CONVERSATION, self.records) if self.records else None
        decision = decide(before, what, self.book, now)
        for event in decision.events:
            named = replace(event, ref=REF) if isinstance(event, Opened) else event
            self._record(message, now, what.author, named)
        for action in decision.actions if self.records else ():
            if isinstance(action, Post):
                posted = uuid5(CONVERSATION, f"posted {len(self.records)}")
                self._record(posted, now, SERVICE, Posted(template=action.template))
        self.rows.append(self._row(message, decision, what, now))

    def _record(self, message: UUID, now: datetime, who: Author, event: AnyEvent) -> None:
        self.records.append(
            Record(
                seq=len(self.records) + 1,
                at=now,
                author=who,
                message=message,
                message_sha256="0" * 64,
                mail_id=f"<{message}@client.example>",
                event=event,
            )
        )

    def _row(self, message: UUID, decision: Decision, what: Facts, now: datetime) -> DecisionRow:
        kept = {**decision.symbols, "state_after": str(decision.after)}
        trace = [[line.rule, line.fired, line.why] for line in decision.trace]
        return DecisionRow(
            id=len(self.rows) + 1,
            at=now,
            trigger=what.trigger,
            facts=json.loads(json.dumps(kept)),
            trace=json.loads(json.dumps(trace)),
            rules_version=decision.rules_version,
            message_id=message,
        )


@settings(max_examples=40)
@given(courses(careless=True))
def test_decisions_come_out_the_same_again(course: Course) -> None:
    stored = Stored(course)
    again = Redeciding(stored.book, CONVERSATION, stored.records)
    assert list(again.differences(stored.rows)) == []
    assert again.count <= len(stored.rows)


@settings(max_examples=40)
@given(courses())
def test_what_the_default_rules_accepted_is_made_again(course: Course) -> None:
    stored = Stored(course)
    again = Redeciding(stored.book, CONVERSATION, stored.records)
    assert list(again.differences(stored.rows)) == []
    assert bool(again.count) == bool(stored.records)
