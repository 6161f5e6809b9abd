"""Absences with a deputy, contacts of the national directory, versions of the indexes in memory."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0012"


def upgrade() -> None:
    op.create_table(
        "absence",
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("starts", sa.Date(), nullable=False),
        sa.Column("ends", sa.Date(), nullable=False),
        sa.Column("deputy", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["address"], ["expert.address"], name=op.f("fk_absence_address"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("address", name=op.f("pk_absence")),
    )
    op.create_table(
        "contact",
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("profession", sa.Text(), nullable=False),
        sa.Column("specialty", sa.Text(), nullable=False),
        sa.Column("organisation", sa.Text(), nullable=False),
        sa.Column("department", sa.Text(), nullable=False),
        sa.Column("postcode", sa.Text(), nullable=False),
        sa.Column("town", sa.Text(), nullable=False),
        sa.Column("seen", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("address", name=op.f("pk_contact")),
    )
    op.create_index(op.f("ix_contact_seen"), "contact", ["seen"], unique=False)
    op.create_table(
        "directory_state",
        sa.Column("part", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("part", name=op.f("pk_directory_state")),
    )


def downgrade() -> None:
    op.drop_table("directory_state")
    op.drop_index(op.f("ix_contact_seen"), table_name="contact")
    op.drop_table("contact")
    op.drop_table("absence")
