"""Exchanges of mailboxes with patients, and the treating doctors recorded for them."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.create_table(
        "patient_exchange",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("mailbox", sa.Text(), nullable=False),
        sa.Column("patient", sa.Text(), nullable=False),
        sa.Column("opened_by", sa.Text(), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("answers", sa.Integer(), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("closed_by", sa.Text(), nullable=False),
        sa.Column("failure", sa.Text(), nullable=False),
        sa.Column("conversation_id", sa.Uuid(), nullable=True),
        sa.ForeignKeyConstraint(
            ["conversation_id"], ["conversation.id"], name=op.f("fk_patient_exchange_conversation_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_patient_exchange")),
    )
    op.create_index(op.f("ix_patient_exchange_last_at"), "patient_exchange", ["last_at"], unique=False)
    op.create_index(
        op.f("ix_patient_exchange_mailbox_patient"), "patient_exchange", ["mailbox", "patient"], unique=False
    )
    op.create_index(op.f("ix_patient_exchange_patient"), "patient_exchange", ["patient"], unique=False)
    op.create_table(
        "patient_exchange_mail",
        sa.Column("exchange_id", sa.Uuid(), nullable=False),
        sa.Column("mail_id", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("failure", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["exchange_id"],
            ["patient_exchange.id"],
            name=op.f("fk_patient_exchange_mail_exchange_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("exchange_id", "mail_id", name=op.f("pk_patient_exchange_mail")),
    )
    op.create_index(
        op.f("ix_patient_exchange_mail_mail_id"), "patient_exchange_mail", ["mail_id"], unique=False
    )
    op.create_table(
        "patient_doctor",
        sa.Column("patient_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("set_by", sa.Text(), nullable=False),
        sa.Column("set_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["patient_id"], ["patient.id"], name=op.f("fk_patient_doctor_patient_id")),
        sa.PrimaryKeyConstraint("patient_id", name=op.f("pk_patient_doctor")),
    )


def downgrade() -> None:
    op.drop_table("patient_doctor")
    op.drop_index(op.f("ix_patient_exchange_mail_mail_id"), table_name="patient_exchange_mail")
    op.drop_table("patient_exchange_mail")
    op.drop_index(op.f("ix_patient_exchange_patient"), table_name="patient_exchange")
    op.drop_index(op.f("ix_patient_exchange_mailbox_patient"), table_name="patient_exchange")
    op.drop_index(op.f("ix_patient_exchange_last_at"), table_name="patient_exchange")
    op.drop_table("patient_exchange")
