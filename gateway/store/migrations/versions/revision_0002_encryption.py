"""What came encrypted to us, decrypted; certificates known from verified signatures."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "decrypted_message",
        sa.Column("message_id", sa.Uuid(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("raw", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(["message_id"], ["message.id"], name=op.f("fk_decrypted_message_message_id")),
        sa.PrimaryKeyConstraint("message_id", name=op.f("pk_decrypted_message")),
    )
    op.create_table(
        "known_certificate",
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("certificate", sa.LargeBinary(), nullable=False),
        sa.Column("issuers", sa.LargeBinary(), nullable=False),
        sa.Column("announces_gcm", sa.Boolean(), nullable=False),
        sa.Column("signed_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("address", "fingerprint", name=op.f("pk_known_certificate")),
    )


def downgrade() -> None:
    op.drop_table("known_certificate")
    op.drop_table("decrypted_message")
