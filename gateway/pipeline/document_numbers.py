"""The numbers that software gives its requests (document, set, order): one request is one conversation, under
however many Message-IDs it comes.

Only who speaks for the requester's side of a conversation can meet it by a number; for anybody else the same
number is a request of their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass

from gateway.pipeline.incoming import Incoming
from gateway.pipeline.unit import Unit
from gateway.store.document_requests import DocumentRequestRow
from gateway.store.rows import MessageRow
from teleexpertise.conversation import Conversation
from teleexpertise.documents.reading import ReadDocument
from teleexpertise.events import Side
from teleexpertise.matching import contradictions
from teleexpertise.patients import Patient
from teleexpertise.placing import Authorship, authorship

__all__ = ["Met", "Numbers", "kept_numbers", "meet", "note", "numbers_in"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbers:
    """The numbers of one TLM-DA (``root`` or ``root^extension``, '' for none); ``replaces`` its parent's."""

    document: str
    set: str = ""
    order: str = ""
    version: int = 1
    replaces: str = ""

    @classmethod
    def of(cls, document: ReadDocument) -> Numbers:
        """Those of a document that was read; one without a version is the first."""
        return cls(
            document=document.document_id,
            set=document.set_id,
            order=document.order_id,
            version=document.version or 1,
            replaces=document.replaces,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Met:
    """The conversation that a request opened before: ``newer`` than all documents of it that came so far;
    ``same_patient``: nothing that it states is another person's.
    """

    conversation: Conversation
    by: Authorship
    newer: bool
    same_patient: bool


def numbers_in(options: Mapping[str, object]) -> Numbers | None:
    """The numbers that a form's copy kept of the document that asked; ``None`` for a form of its own."""
    kept = options.get("numbers")
    return Numbers(**kept) if isinstance(kept, dict) else None


async def meet(unit: Unit, incoming: Incoming, numbers: Numbers, expert: str, stated: Patient) -> Met | None:
    """The conversation of the same request, asked of the same expert; ``None`` where there is none yet."""
    rows = await unit.tx.document_requests.related(
        (numbers.document, numbers.replaces), numbers.set, numbers.order
    )
    rights = await unit.tx.delegations.rights()
    # What names the document or its set is nearer than the order, which several sets may answer.
    for row in sorted(rows, key=lambda row: _distance(numbers, row)):
        conversation = await unit.load(row.conversation_id)
        assert conversation is not None, "a document is noted once its conversation is open"
        by = authorship(conversation, incoming.login, incoming.written_as, rights)
        if by is None or by.side is not Side.REQUESTER or conversation.opening.expert.address != expert:
            continue
        known = await unit.tx.document_requests.of(conversation.id)
        return Met(
            conversation=conversation,
            by=by,
            newer=_newer(numbers, known),
            same_patient=_same_patient(stated, conversation.patient),
        )
    return None


def _distance(numbers: Numbers, row: DocumentRequestRow) -> int:
    if row.document_id in (numbers.document, numbers.replaces):
        return 0
    return 1 if numbers.set and row.set_id == numbers.set else 2


def _newer(numbers: Numbers, known: Iterable[DocumentRequestRow]) -> bool:
    """A document that came before is no news; another is where it has a higher version or replaces one."""
    documents = {row.document_id: row.version for row in known}
    if numbers.document in documents:
        return False
    return numbers.version > max(documents.values()) or numbers.replaces in documents


def _same_patient(stated: Patient, known: Patient) -> bool:
    if stated.ins and known.ins and stated.ins != known.ins:
        return False
    return not contradictions(stated, known)


async def note(unit: Unit, conversation: Conversation, numbers: Numbers, message: MessageRow) -> None:
    """Remember the numbers of a document of a conversation."""
    row = DocumentRequestRow(
        conversation_id=conversation.id,
        document_id=numbers.document,
        sender=conversation.opening.requester.address,
        set_id=numbers.set,
        order_id=numbers.order,
        version=numbers.version,
        message_id=message.id,
        received_at=unit.now,
    )
    await unit.tx.document_requests.add(row)


def kept_numbers(numbers: Numbers) -> dict[str, object]:
    """The numbers as a form's copy keeps them."""
    return asdict(numbers)
