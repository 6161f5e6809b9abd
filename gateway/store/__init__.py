"""The store: accounts, conversations, messages, events, queue and audit trail in one database.

    async with Store.open("sqlite:///var/gateway.db") as store:
        async with store.transaction() as tx:        # message, events, audit line and outbox: all or nothing
            await tx.messages.add(row, raw)
            await tx.events.append(conversation_id, records)
            await tx.audit.write(now, actor, "received", str(row.id), "accepted")
            await tx.outbox.put(rows)
        async with store.reading() as tx:
            await tx.conversations.of_member("cabinet@demo.mssante.example")

What a block wrote is on disk when the block ends.
"""

from gateway.store.errors import (
    AlreadyExists,
    ConstraintBroken,
    NotCopied,
    NotFound,
    SchemaMismatch,
    SequenceConflict,
    StoreError,
    StoreInUse,
    StoreUnavailable,
)
from gateway.store.rows import (
    AuditCheck,
    AuditRow,
    BounceRow,
    ConversationRow,
    DecisionRow,
    Direction,
    FormRow,
    HeldRow,
    HeldState,
    MessageRow,
    OutboxRow,
    OutboxState,
    PatientRow,
    Projection,
)
from gateway.store.store import Store
from gateway.store.transaction import Transaction

__all__ = [
    "AlreadyExists",
    "AuditCheck",
    "AuditRow",
    "BounceRow",
    "ConstraintBroken",
    "ConversationRow",
    "DecisionRow",
    "Direction",
    "FormRow",
    "HeldRow",
    "HeldState",
    "MessageRow",
    "NotCopied",
    "NotFound",
    "OutboxRow",
    "OutboxState",
    "PatientRow",
    "Projection",
    "SchemaMismatch",
    "SequenceConflict",
    "Store",
    "StoreError",
    "StoreInUse",
    "StoreUnavailable",
    "Transaction",
]
