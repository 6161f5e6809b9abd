"""What the holders of mirrored conversations tell of them, for exports and yearly limits; hospital units."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0013"

_ROW_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column("account", sa.Column("unit", sa.Text(), nullable=False, server_default=""))
    op.create_table(
        "mirror_activity",
        sa.Column("mirror_id", sa.Uuid(), nullable=False),
        sa.Column("requester_address", sa.Text(), nullable=False),
        sa.Column("expert_address", sa.Text(), nullable=False),
        sa.Column("patient_id", _ROW_NUMBER, nullable=True),
        sa.Column("ins", sa.Text(), nullable=False),
        sa.Column("traits", sa.Text(), nullable=False),
        sa.Column("told", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["mirror_id"], ["mirror.id"], name=op.f("fk_mirror_activity_mirror_id")),
        sa.ForeignKeyConstraint(["patient_id"], ["patient.id"], name=op.f("fk_mirror_activity_patient_id")),
        sa.PrimaryKeyConstraint("mirror_id", name=op.f("pk_mirror_activity")),
    )
    for column in ("requester_address", "expert_address", "patient_id", "ins", "traits"):
        op.create_index(op.f(f"ix_mirror_activity_{column}"), "mirror_activity", [column], unique=False)


def downgrade() -> None:
    op.drop_table("mirror_activity")
    op.drop_column("account", "unit")
