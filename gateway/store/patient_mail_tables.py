"""The tables of patients as correspondents: exchanges of mailboxes with them, and their treating doctors."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Index, Integer, MetaData, Table, Uuid

from gateway.store.columns import PlainText, RowNumber, UtcDateTime

__all__ = ["patient_mail_tables"]


def _text(name: str, *, primary_key: bool = False) -> Column[str]:
    return Column(name, PlainText(), primary_key=primary_key, nullable=False)


def patient_mail_tables(metadata: MetaData) -> tuple[Table, Table, Table]:
    """Make ``patient_exchange``, ``patient_exchange_mail`` and ``patient_doctor`` in the schema."""
    exchange = Table(
        "patient_exchange",
        metadata,
        Column("id", Uuid, primary_key=True),
        _text("mailbox"),
        _text("patient"),
        _text("opened_by"),
        Column("opened_at", UtcDateTime, nullable=False),
        Column("last_at", UtcDateTime, nullable=False, index=True),
        Column("answers", Integer, nullable=False),
        Column("closed_at", UtcDateTime, nullable=True),
        _text("closed_by"),
        _text("failure"),
        Column("conversation_id", Uuid, ForeignKey("conversation.id"), nullable=True),
        Index(None, "mailbox", "patient"),
        Index(None, "patient"),
    )

    # Message-IDs of the mails of an exchange, of both sides: what a later mail must cite to belong to it.
    mail = Table(
        "patient_exchange_mail",
        metadata,
        Column("exchange_id", Uuid, ForeignKey("patient_exchange.id", ondelete="CASCADE"), primary_key=True),
        _text("mail_id", primary_key=True),
        Column("at", UtcDateTime, nullable=False),
        # Why this mail did not reach the patient, '' where that was not told: it is told once.
        _text("failure"),
        Index(None, "mail_id"),
    )

    doctor = Table(
        "patient_doctor",
        metadata,
        Column("patient_id", RowNumber(), ForeignKey("patient.id"), primary_key=True, autoincrement=False),
        _text("address"),
        _text("set_by"),
        Column("set_at", UtcDateTime, nullable=False),
    )
    return exchange, mail, doctor
