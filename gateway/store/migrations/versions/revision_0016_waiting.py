"""Conversations are found by the state in which somebody waits: the clock looks for them often."""

from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    op.create_index(
        op.f("ix_conversation_state_opened_at"), "conversation", ["state", "opened_at"], unique=False
    )


def downgrade() -> None:
    op.drop_index(op.f("ix_conversation_state_opened_at"), table_name="conversation")
