"""The table of requests that came as documents (TLM-DA)."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Integer, MetaData, Table, Uuid

from gateway.store.columns import PlainText, UtcDateTime

__all__ = ["document_tables"]


def document_tables(metadata: MetaData) -> Table:
    """Make ``document_request`` in the schema's metadata: one row for each document of a conversation."""
    return Table(
        "document_request",
        metadata,
        Column("conversation_id", Uuid(), ForeignKey("conversation.id"), primary_key=True, nullable=False),
        Column("document_id", PlainText, primary_key=True, index=True),
        # Who sent it: the same numbers of another sender are another request.
        Column("sender", PlainText(), nullable=False),
        # '' where the document has none.
        Column("set_id", PlainText(), nullable=False, index=True),
        Column("order_id", PlainText(), nullable=False, index=True),
        Column("version", Integer, nullable=False),
        Column("message_id", Uuid(), ForeignKey("message.id"), nullable=False),
        Column("received_at", UtcDateTime, nullable=False),
    )
