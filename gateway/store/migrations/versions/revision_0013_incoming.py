"""Requests that came as documents, by their numbers; the rank of a patient in a multiple birth."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0011"


def upgrade() -> None:
    op.add_column("patient", sa.Column("birth_order", sa.Integer(), nullable=True))
    op.create_table(
        "document_request",
        sa.Column("conversation_id", sa.Uuid(), nullable=False),
        sa.Column("document_id", sa.Text(), nullable=False),
        sa.Column("sender", sa.Text(), nullable=False),
        sa.Column("set_id", sa.Text(), nullable=False),
        sa.Column("order_id", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("message_id", sa.Uuid(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["conversation_id"], ["conversation.id"], name=op.f("fk_document_request_conversation_id")
        ),
        sa.ForeignKeyConstraint(["message_id"], ["message.id"], name=op.f("fk_document_request_message_id")),
        sa.PrimaryKeyConstraint("conversation_id", "document_id", name=op.f("pk_document_request")),
    )
    for column in ("document_id", "set_id", "order_id"):
        op.create_index(op.f(f"ix_document_request_{column}"), "document_request", [column], unique=False)


def downgrade() -> None:
    op.drop_table("document_request")
    op.drop_column("patient", "birth_order")
