"""The tables of the directory beside its experts: absences, contacts, versions of the indexes."""

from __future__ import annotations

from sqlalchemy import Column, Date, ForeignKey, MetaData, Table

from gateway.store.columns import PlainText, choice
from teleexpertise.people import AccountKind

__all__ = ["directory_tables"]


def directory_tables(metadata: MetaData) -> tuple[Table, Table, Table]:
    """Make ``absence``, ``contact`` and ``directory_state`` in the schema's metadata, in this order."""
    absence = Table(
        "absence",
        metadata,
        Column("address", PlainText, ForeignKey("expert.address", ondelete="CASCADE"), primary_key=True),
        Column("starts", Date, nullable=False),
        Column("ends", Date, nullable=False),
        Column("deputy", PlainText(), nullable=False),
    )

    # People and services of the national directory, as its last extraction had them.
    contact = Table(
        "contact",
        metadata,
        Column("address", PlainText(), primary_key=True, nullable=False),
        Column("kind", choice(AccountKind), nullable=False),
        *(
            Column(name, PlainText(), nullable=False)
            for name in ("name", "profession", "specialty", "organisation", "department", "postcode", "town")
        ),
        # The import that had it last: what the latest one lacks is taken out.
        Column("seen", PlainText, nullable=False, index=True),
    )

    # One word for each index that is kept in memory: a new one with each change of what it was built from.
    directory_state = Table(
        "directory_state",
        metadata,
        Column("part", PlainText(), primary_key=True, nullable=False),
        Column("version", PlainText(), nullable=False),
    )
    return absence, contact, directory_state
