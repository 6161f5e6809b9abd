"""What exports have shown, so that later versions are corrections; what daily digests have still to tell;
conversations found by their sides.
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0007"

_ROW_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "exported_line",
        sa.Column("ref", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("exported_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("ref", "role", "version", "account", name=op.f("pk_exported_line")),
    )
    op.create_index(op.f("ix_exported_line_account"), "exported_line", ["account"], unique=False)
    op.create_table(
        "digest_item",
        sa.Column("id", _ROW_NUMBER, nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("conversation_id", sa.Uuid(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("who", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["conversation_id"], ["conversation.id"], name=op.f("fk_digest_item_conversation_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_digest_item")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_digest_item_address"), "digest_item", ["address"], unique=False)
    for side in ("requester_address", "expert_address"):
        op.create_index(op.f(f"ix_conversation_{side}"), "conversation", [side], unique=False)


def downgrade() -> None:
    for side in ("requester_address", "expert_address"):
        op.drop_index(op.f(f"ix_conversation_{side}"), table_name="conversation")
    op.drop_table("digest_item")
    op.drop_table("exported_line")
