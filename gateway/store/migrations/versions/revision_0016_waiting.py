"""Conversations are found by the state in which somebody waits: the clock looks for them often."""

from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    op.create_index(
        op.f("ix_conversation_expert_address_state"),
        "conversation",
        ["expert_address", "state"],
        unique=False,
    )
    op.drop_index(op.f("ix_conversation_expert_address"), table_name="conversation")
    op.create_index(
        op.f("ix_conversation_state_opened_at"), "conversation", ["state", "opened_at"], unique=False
    )


def downgrade() -> None:
    op.drop_index(op.f("ix_conversation_state_opened_at"), table_name="conversation")
    op.create_index(op.f("ix_conversation_expert_address"), "conversation", ["expert_address"], unique=False)
    op.drop_index(op.f("ix_conversation_expert_address_state"), table_name="conversation")
