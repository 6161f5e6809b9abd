"""Applicative mailboxes into which an account wants documents deposited."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0009"


def upgrade() -> None:
    op.create_table(
        "account_deposit",
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("mailbox", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["address"], ["account.address"], name=op.f("fk_account_deposit_address")),
        sa.PrimaryKeyConstraint("address", "mailbox", name=op.f("pk_account_deposit")),
    )


def downgrade() -> None:
    op.drop_table("account_deposit")
