"""The states of a conversation, all in this file: states, steps, the table, its national meaning.

The diagram in ``docs/states.md`` is generated from :data:`TABLE` (``scripts/domain_docs.py``); a pair of
state and step that is not listed is not allowed.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

__all__ = ["CLOSED", "FHIR", "OPEN", "TABLE", "IllegalStep", "State", "Step", "diagram", "next_state"]


class State(StrEnum):
    """The states of a tele-expertise; ``new`` is the state of a conversation that does not exist yet."""

    NEW = "new"
    REQUESTED = "requested"
    IN_PROGRESS = "in_progress"
    ON_HOLD = "on_hold"
    COMPLETED = "completed"
    DECLINED = "declined"
    CANCELLED = "cancelled"
    REDIRECTED = "redirected"


class Step(StrEnum):
    """What moves a conversation. Each event of the record takes at most one step."""

    OPENED = "opened"
    REDIRECTED = "redirected"
    TAKEN_UP = "taken_up"
    HELD = "held"
    RESUMED = "resumed"
    REQUEUED = "requeued"
    COMPLETED = "completed"
    DECLINED = "declined"
    CANCELLED = "cancelled"


#: Closed states: messages are still delivered, marked late; nothing but a new version of the report follows.
CLOSED = frozenset({State.COMPLETED, State.DECLINED, State.CANCELLED, State.REDIRECTED})

#: States in which somebody is still waited for.
OPEN = (State.REQUESTED, State.IN_PROGRESS, State.ON_HOLD)


def _table() -> Mapping[tuple[State, Step], State]:
    table = {
        (State.NEW, Step.OPENED): State.REQUESTED,
        (State.REQUESTED, Step.REDIRECTED): State.REDIRECTED,
        (State.REQUESTED, Step.TAKEN_UP): State.IN_PROGRESS,
        (State.REQUESTED, Step.HELD): State.ON_HOLD,
        (State.IN_PROGRESS, Step.HELD): State.ON_HOLD,
        (State.ON_HOLD, Step.HELD): State.ON_HOLD,
        (State.ON_HOLD, Step.RESUMED): State.IN_PROGRESS,
        (State.ON_HOLD, Step.REQUEUED): State.REQUESTED,
        # A second finalisation makes version 2 of the report and stays completed.
        (State.COMPLETED, Step.COMPLETED): State.COMPLETED,
    }
    for state in OPEN:
        table[state, Step.COMPLETED] = State.COMPLETED
        table[state, Step.DECLINED] = State.DECLINED
        table[state, Step.CANCELLED] = State.CANCELLED
    return MappingProxyType(table)


TABLE: Mapping[tuple[State, Step], State] = _table()

#: The national status beside ours: FHIR ``ServiceRequest.status`` and the extension SplitActiveStatus of
#: the draft guide "Confluences Téléexpertise" 0.1.0 ('' where it does not apply).
FHIR: Mapping[State, tuple[str, str]] = MappingProxyType(
    {
        State.REQUESTED: ("active", "ready"),
        State.IN_PROGRESS: ("active", "in_progress"),
        State.ON_HOLD: ("on-hold", ""),
        State.COMPLETED: ("completed", ""),
        State.DECLINED: ("revoked", ""),
        State.CANCELLED: ("revoked", ""),
        State.REDIRECTED: ("completed", ""),
    }
)


class IllegalStep(Exception):
    """The table has no such step from this state (of two conflicting closings, say, the second)."""

    def __init__(self, state: State, step: Step) -> None:
        super().__init__(f"no step {step} from state {state}")
        self.state = state
        self.step = step


def next_state(state: State, step: Step) -> State:
    """The state after ``step``; raises :class:`IllegalStep` for a pair that the table does not list."""
    try:
        return TABLE[state, step]
    except KeyError:
        raise IllegalStep(state, step) from None


def diagram() -> str:
    """The table as a Mermaid state diagram, lines sorted as the table lists them."""
    lines = ["stateDiagram-v2"]
    for (state, step), after in TABLE.items():
        start = "[*]" if state is State.NEW else state
        lines.append(f"    {start} --> {after}: {step}")
    lines += [f"    {state} --> [*]" for state in State if state in CLOSED]
    return "\n".join(lines) + "\n"
