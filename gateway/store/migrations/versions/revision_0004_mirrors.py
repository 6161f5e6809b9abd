"""Conversations that other gateways hold, as our own record; which operators run a gateway."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0002"

_ROW_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    _mirrors()
    _events()
    _peers()


def _mirrors() -> None:
    """The projection: where each stands and who of ours is in it."""
    op.create_table(
        "mirror",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("ref", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("reply_to", sa.Text(), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_mirror")),
    )
    for column in ("ref", "reply_to", "updated_at"):
        op.create_index(op.f(f"ix_mirror_{column}"), "mirror", [column], unique=False)
    op.create_table(
        "mirror_member",
        sa.Column("mirror_id", sa.Uuid(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["mirror_id"], ["mirror.id"], name=op.f("fk_mirror_member_mirror_id")),
        sa.PrimaryKeyConstraint("mirror_id", "address", name=op.f("pk_mirror_member")),
    )
    op.create_index(
        op.f("ix_mirror_member_address_active"), "mirror_member", ["address", "active"], unique=False
    )


def _events() -> None:
    """The record: one row for each mail."""
    op.create_table(
        "mirror_event",
        sa.Column("id", _ROW_NUMBER, nullable=False),
        sa.Column("mirror_id", sa.Uuid(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("flow", sa.String(32), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("author", sa.JSON(), nullable=False),
        sa.Column("message_id", sa.Uuid(), nullable=False),
        sa.Column("message_sha256", sa.Text(), nullable=False),
        sa.Column("payload", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["message_id"], ["message.id"], name=op.f("fk_mirror_event_message_id")),
        sa.ForeignKeyConstraint(["mirror_id"], ["mirror.id"], name=op.f("fk_mirror_event_mirror_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_mirror_event")),
        sa.UniqueConstraint("mirror_id", "fingerprint", name=op.f("uq_mirror_event_mirror_id_fingerprint")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_mirror_event_message_id"), "mirror_event", ["message_id"], unique=False)


def _peers() -> None:
    """Where a peer gateway is told of states, and the order of actions of one mirror."""
    op.create_table(
        "peer_gateway",
        sa.Column("domain", sa.Text(), nullable=False),
        sa.Column("service", sa.Text(), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("domain", name=op.f("pk_peer_gateway")),
    )
    op.add_column("outbox", sa.Column("mirror_id", sa.Uuid(), nullable=True))
    op.create_index(
        "ix_outbox_mirror_order", "outbox", ["mirror_id", "recipient", "state", "position"], unique=False
    )


def downgrade() -> None:
    op.drop_index("ix_outbox_mirror_order", "outbox")
    op.drop_column("outbox", "mirror_id")
    for table in ("peer_gateway", "mirror_event", "mirror_member", "mirror"):
        op.drop_table(table)
