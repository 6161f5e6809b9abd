"""Acting for others: common marks of reading, administrators of establishments."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.create_table(
        "common_seen",
        sa.Column("address", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["address"], ["account.address"], name=op.f("fk_common_seen_address")),
        sa.PrimaryKeyConstraint("address", name=op.f("pk_common_seen")),
    )
    op.create_table(
        "establishment_administrator",
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("finess", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["address"], ["account.address"], name=op.f("fk_establishment_administrator_address")
        ),
        sa.PrimaryKeyConstraint("address", "finess", name=op.f("pk_establishment_administrator")),
    )
