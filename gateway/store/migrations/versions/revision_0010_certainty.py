"""Patients told apart for good, conversations whose patient is not certain yet, digests of mirrored ones."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0008"

_ROW_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_PAGE = 1000


def upgrade() -> None:
    op.create_table(
        "patient_apart",
        sa.Column("first_id", _ROW_NUMBER, autoincrement=False, nullable=False),
        sa.Column("second_id", _ROW_NUMBER, autoincrement=False, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["first_id"], ["patient.id"], name=op.f("fk_patient_apart_first_id")),
        sa.ForeignKeyConstraint(["second_id"], ["patient.id"], name=op.f("fk_patient_apart_second_id")),
        sa.PrimaryKeyConstraint("first_id", "second_id", name=op.f("pk_patient_apart")),
    )
    op.create_table(
        "patient_stated",
        sa.Column("conversation_id", sa.Uuid(), nullable=False),
        sa.Column("ins", sa.Text(), nullable=False),
        sa.Column("traits", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["conversation_id"], ["conversation.id"], name=op.f("fk_patient_stated_conversation_id")
        ),
        sa.PrimaryKeyConstraint("conversation_id", name=op.f("pk_patient_stated")),
    )
    for name in ("ins", "traits"):
        op.create_index(op.f(f"ix_patient_stated_{name}"), "patient_stated", [name], unique=False)
    with op.batch_alter_table("digest_item", table_kwargs={"sqlite_autoincrement": True}) as digest:
        digest.alter_column("conversation_id", existing_type=sa.Uuid(), nullable=True)
        digest.add_column(sa.Column("mirror_id", sa.Uuid(), nullable=True))
        digest.create_foreign_key(op.f("fk_digest_item_mirror_id"), "mirror", ["mirror_id"], ["id"])
    _note_who_is_stated()


def _note_who_is_stated() -> None:
    """Conversations from before the register are in nobody's history: who they state is looked up later."""
    # Loaded here: a migration that runs later must not depend on what the module became, but for these keys
    # the patients that they are compared with have the newer ones too.
    from datetime import date

    from teleexpertise.matching import traits_key
    from teleexpertise.patients import Patient

    connection = op.get_bind()
    conversations = sa.table("conversation", sa.column("id", sa.Uuid()), sa.column("folded", sa.JSON()))
    linked = sa.table("patient_conversation", sa.column("conversation_id", sa.Uuid()))
    stated = sa.table(
        "patient_stated",
        sa.column("conversation_id", sa.Uuid()),
        sa.column("ins", sa.Text()),
        sa.column("traits", sa.Text()),
    )
    nobodys = ~sa.exists().where(linked.c.conversation_id == conversations.c.id)
    unlinked = connection.execute(sa.select(conversations.c.id).where(nobodys)).scalars().all()
    for start in range(0, len(unlinked), _PAGE):
        some = conversations.c.id.in_(unlinked[start : start + _PAGE])
        rows = []
        for identifier, folded in connection.execute(sa.select(conversations).where(some)):
            said = folded["opening"]["patient"]
            born = said.get("birth_date")
            patient = Patient(
                birth_name=said["birth_name"],
                first_names=said["first_names"],
                birth_date=date.fromisoformat(born) if born else None,
                sex=said["sex"],
                anonymous=said["anonymous"],
            )
            if not patient.anonymous:
                rows.append(
                    {"conversation_id": identifier, "ins": said["ins"], "traits": traits_key(patient)}
                )
        if rows:
            connection.execute(stated.insert(), rows)
