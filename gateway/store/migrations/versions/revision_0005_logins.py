"""Logins by token and by certificate: accounts found by RPPS number, certificates of applications."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_index(op.f("ix_account_rpps"), "account", ["rpps"], unique=False)
    op.create_table(
        "account_certificate",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("issuer", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["address"], ["account.address"], name=op.f("fk_account_certificate_address")
        ),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_account_certificate")),
    )
    op.create_index(op.f("ix_account_certificate_address"), "account_certificate", ["address"], unique=False)
