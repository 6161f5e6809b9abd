"""The register of patients: all identity traits, words to search by, numbers in establishments, histories."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

_ROW_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    for name in ("first_first_name", "birth_place", "used_name", "used_first_names"):
        op.add_column("patient", sa.Column(name, sa.Text(), nullable=True))
    op.add_column("patient", sa.Column("qualified", sa.Boolean(), nullable=True))
    op.add_column("patient", sa.Column("merged_into", _ROW_NUMBER, nullable=True))
    op.create_index(op.f("ix_patient_birth_date"), "patient", ["birth_date"], unique=False)
    op.add_column("patient_folder", sa.Column("wanted", sa.Text(), nullable=True))
    op.create_table(
        "patient_word",
        sa.Column("word", sa.Text(), nullable=False),
        sa.Column("patient_id", _ROW_NUMBER, autoincrement=False, nullable=False),
        sa.ForeignKeyConstraint(["patient_id"], ["patient.id"], name=op.f("fk_patient_word_patient_id")),
        sa.PrimaryKeyConstraint("word", "patient_id", name=op.f("pk_patient_word")),
    )
    op.create_index(
        op.f("ix_patient_word_patient_id_word"), "patient_word", ["patient_id", "word"], unique=False
    )
    op.create_table(
        "patient_number",
        sa.Column("patient_id", _ROW_NUMBER, autoincrement=False, nullable=False),
        sa.Column("establishment", sa.Text(), nullable=False),
        sa.Column("number", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["patient_id"], ["patient.id"], name=op.f("fk_patient_number_patient_id")),
        sa.PrimaryKeyConstraint("patient_id", "establishment", name=op.f("pk_patient_number")),
        sa.UniqueConstraint("establishment", "number", name=op.f("uq_patient_number_establishment_number")),
    )
    op.create_table(
        "patient_conversation",
        sa.Column("conversation_id", sa.Uuid(), nullable=False),
        sa.Column("patient_id", _ROW_NUMBER, nullable=False),
        sa.ForeignKeyConstraint(
            ["conversation_id"], ["conversation.id"], name=op.f("fk_patient_conversation_conversation_id")
        ),
        sa.ForeignKeyConstraint(
            ["patient_id"], ["patient.id"], name=op.f("fk_patient_conversation_patient_id")
        ),
        sa.PrimaryKeyConstraint("conversation_id", name=op.f("pk_patient_conversation")),
    )
    op.create_index(
        op.f("ix_patient_conversation_patient_id"), "patient_conversation", ["patient_id"], unique=False
    )
    _index_known_patients()


def _index_known_patients() -> None:
    """Patients from before this revision are found by their words too."""
    # Loaded here: a migration that runs later must not depend on what the module became, but for these words
    # newer is better: they are made anew at each correction.
    from teleexpertise.names import search_words
    from teleexpertise.patients import Patient

    connection = op.get_bind()
    rows = connection.execute(sa.text("SELECT id, birth_name, first_names FROM patient")).all()
    words = [
        {"word": word, "id": row.id}
        for row in rows
        for word in search_words(Patient(birth_name=row.birth_name, first_names=row.first_names))
    ]
    if words:
        connection.execute(sa.text("INSERT INTO patient_word (word, patient_id) VALUES (:word, :id)"), words)
