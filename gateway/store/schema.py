"""The tables. Alembic's revisions in ``migrations`` make the same ones, and a test holds the two together.

``mail_id`` is always an RFC 5322 Message-ID, ``message_id`` the identifier of a stored message. Addresses
are lower case, times UTC, hashes lower-case hexadecimal SHA-256.
"""

# gate: one schema is read whole; cut by length its foreign keys would point across files

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    Column,
    Date,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    UniqueConstraint,
    Uuid,
)

from gateway.store.columns import JsonData, PlainText, RowNumber, UtcDateTime, choice
from gateway.store.directory_tables import directory_tables
from gateway.store.document_tables import document_tables
from gateway.store.patient_mail_tables import patient_mail_tables
from gateway.store.rows import Direction, HeldState, OutboxState
from teleexpertise.mirrors import Flow
from teleexpertise.people import AccountKind, IdentityPolicy, NirPolicy, NoticeMode

__all__ = [
    "absence",
    "account",
    "account_certificate",
    "account_deposit",
    "answer_count",
    "audit",
    "bounce_token",
    "common_seen",
    "contact",
    "conversation",
    "conversation_member",
    "decision",
    "decrypted_message",
    "delegation",
    "digest_item",
    "directory_state",
    "document_request",
    "establishment_administrator",
    "event",
    "expert",
    "expert_document",
    "exported_line",
    "form_copy",
    "held_letter",
    "known_certificate",
    "message",
    "metadata",
    "mirror",
    "mirror_activity",
    "mirror_event",
    "mirror_member",
    "outbox",
    "patient",
    "patient_apart",
    "patient_conversation",
    "patient_doctor",
    "patient_exchange",
    "patient_exchange_mail",
    "patient_folder",
    "patient_number",
    "patient_stated",
    "patient_word",
    "peer_gateway",
    "reference_counter",
]

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)


def _text(name: str, *, primary_key: bool = False) -> Column[str]:
    return Column(name, PlainText(), primary_key=primary_key, nullable=False)


def _belongs_to(target: str, name: str, *, required: bool = False) -> Column[object]:
    return Column(name, Uuid(), ForeignKey(f"{target}.id"), nullable=not required)


account = Table(
    "account",
    metadata,
    _text("address", primary_key=True),
    _text("name"),
    Column("kind", choice(AccountKind), nullable=False),
    Column("active", Boolean, nullable=False),
    _text("password_hash"),
    _text("profession"),
    _text("specialty"),
    # Not unique here: a database that has doubles is not refused; the repository makes none, and whoever asks
    # for the one account of a number gets none where there are two.
    Column("rpps", PlainText, nullable=False, index=True),
    _text("finess"),
    _text("billing_number"),
    _text("organisation"),
    _text("department"),
    _text("postcode"),
    _text("town"),
    Column("notice", choice(NoticeMode), nullable=False),
    Column("files_reports", Boolean, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    # Of revision 0015: with a default, SQLite adds it without rebuilding the table.
    Column("unit", PlainText, nullable=False, server_default=""),
)

account_certificate = Table(
    "account_certificate",
    metadata,
    # Of issuer and subject: see certs.bindings. Being the primary key it opens one account.
    _text("key", primary_key=True),
    Column("address", PlainText, ForeignKey("account.address"), nullable=False, index=True),
    _text("issuer"),
    _text("subject"),
    Column("created_at", UtcDateTime, nullable=False),
)

account_deposit = Table(
    "account_deposit",
    metadata,
    Column("address", PlainText, ForeignKey("account.address"), primary_key=True),
    _text("mailbox", primary_key=True),
    Column("created_at", UtcDateTime, nullable=False),
)

expert = Table(
    "expert",
    metadata,
    Column("address", PlainText, ForeignKey("account.address"), primary_key=True),
    _text("description"),
    _text("limits"),
    Column("specialties", JsonData(), nullable=False),
    Column("departments", JsonData(), nullable=False),
    Column("delay_days", Integer, nullable=False),
    Column("identity", choice(IdentityPolicy), nullable=False),
    Column("nir", choice(NirPolicy), nullable=False),
    _text("prerequisites"),
    Column("items", JsonData(), nullable=False),
    _text("tool_url"),
    Column("listed", Boolean, nullable=False),
)

expert_document = Table(
    "expert_document",
    metadata,
    Column("address", PlainText, ForeignKey("expert.address", ondelete="CASCADE"), primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    _text("filename"),
    _text("content_type"),
    Column("content", LargeBinary, nullable=False),
)

absence, contact, directory_state = directory_tables(metadata)

delegation = Table(
    "delegation",
    metadata,
    Column("principal", PlainText, ForeignKey("account.address"), primary_key=True),
    Column("delegate", PlainText, ForeignKey("account.address"), primary_key=True),
    Column("created_at", UtcDateTime, nullable=False),
    Index(None, "delegate"),
)

establishment_administrator = Table(
    "establishment_administrator",
    metadata,
    Column("address", PlainText, ForeignKey("account.address"), primary_key=True),
    _text("finess", primary_key=True),
    Column("created_at", UtcDateTime, nullable=False),
)

# Accounts whose delegates read their folders with one \\Seen for all of them; elsewhere each reader has marks
# of their own.
common_seen = Table(
    "common_seen",
    metadata,
    Column("address", PlainText, ForeignKey("account.address"), primary_key=True),
)

patient = Table(
    "patient",
    metadata,
    Column("id", RowNumber(), primary_key=True),
    # What makes a patient the same one: the INS, or the folded traits (see traits_key), '' where they are not
    # enough.
    Column("traits", PlainText, nullable=False, index=True),
    _text("birth_name"),
    _text("first_names"),
    Column("birth_date", Date, nullable=True),
    _text("sex"),
    Column("ins", PlainText, nullable=True, unique=True),
    _text("ins_oid"),
    Column("created_at", UtcDateTime, nullable=False),
    # Of revision 0006: SQLite adds columns without rebuilding the table only where they may be NULL.
    Column("first_first_name", PlainText, nullable=True),
    Column("birth_place", PlainText, nullable=True),
    Column("used_name", PlainText, nullable=True),
    Column("used_first_names", PlainText, nullable=True),
    Column("qualified", Boolean, nullable=True),
    # Of revision 0013: the rank in a multiple birth.
    Column("birth_order", Integer, nullable=True),
    # The patient that this one turned out to be; such a row is kept for its traits alone. No index: it is
    # NULL in nearly all rows, and SQLite would take an index for the way to them.
    Column("merged_into", RowNumber(), nullable=True),
    Index(None, "birth_date"),
)

patient_word = Table(
    "patient_word",
    metadata,
    _text("word", primary_key=True),
    Column("patient_id", RowNumber(), ForeignKey("patient.id"), primary_key=True, autoincrement=False),
    Index(None, "patient_id", "word"),
)

patient_number = Table(
    "patient_number",
    metadata,
    Column("patient_id", RowNumber(), ForeignKey("patient.id"), primary_key=True, autoincrement=False),
    _text("establishment", primary_key=True),
    _text("number"),
    UniqueConstraint("establishment", "number"),
)

patient_folder = Table(
    "patient_folder",
    metadata,
    Column("account", PlainText, ForeignKey("account.address"), primary_key=True),
    Column("patient_id", RowNumber(), ForeignKey("patient.id"), primary_key=True, autoincrement=False),
    _text("name"),
    # The name that it is to have; NULL where it has that already.
    Column("wanted", PlainText, nullable=True),
    UniqueConstraint("account", "name"),
)

# Pairs of patients of whom somebody said for good that they are two people; the smaller number first.
patient_apart = Table(
    "patient_apart",
    metadata,
    Column("first_id", RowNumber(), ForeignKey("patient.id"), primary_key=True, autoincrement=False),
    Column("second_id", RowNumber(), ForeignKey("patient.id"), primary_key=True, autoincrement=False),
    Column("at", UtcDateTime, nullable=False),
    _text("who"),
    _text("why"),
)

# Whom conversations state of which the register does not know yet who is meant.
patient_stated = Table(
    "patient_stated",
    metadata,
    Column("conversation_id", Uuid, ForeignKey("conversation.id"), primary_key=True),
    Column("ins", PlainText, nullable=False, index=True),
    Column("traits", PlainText, nullable=False, index=True),
)

reference_counter = Table(
    "reference_counter",
    metadata,
    Column("year", Integer, primary_key=True, autoincrement=False),
    Column("last", Integer, nullable=False),
)

conversation = Table(
    "conversation",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("ref", PlainText, nullable=False, unique=True),
    _text("state"),
    _text("requester_address"),
    _text("expert_address"),
    Column("opened_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False, index=True),
    Column("next_seq", Integer, nullable=False),
    Column("folded", JsonData(), nullable=False),
    Index(None, "requester_address"),
    Index(None, "expert_address"),
    # Of revision 0016: the clock looks every five minutes for what is open, without reading what is closed.
    Index(None, "state", "opened_at"),
)

conversation_member = Table(
    "conversation_member",
    metadata,
    Column("conversation_id", Uuid, ForeignKey("conversation.id"), primary_key=True),
    _text("address", primary_key=True),
    Column("active", Boolean, nullable=False),
    Index(None, "address", "active"),
)

patient_conversation = Table(
    "patient_conversation",
    metadata,
    Column("conversation_id", Uuid, ForeignKey("conversation.id"), primary_key=True),
    Column("patient_id", RowNumber(), ForeignKey("patient.id"), nullable=False, index=True),
)

patient_exchange, patient_exchange_mail, patient_doctor = patient_mail_tables(metadata)

message = Table(
    "message",
    metadata,
    Column("id", Uuid, primary_key=True),
    _text("sha256"),
    Column("mail_id", PlainText, nullable=False, index=True),
    _text("sender"),
    _text("body_sha256"),
    Column("direction", choice(Direction), nullable=False),
    _belongs_to("conversation", "conversation_id"),
    Column("received_at", UtcDateTime, nullable=False, index=True),
    Column("size", Integer, nullable=False),
    # Of the SMTP dialogue that brought it; '' for a written one.
    Column("queue_id", PlainText, nullable=False, index=True),
    Column("cause_id", Uuid, ForeignKey("message.id"), nullable=True, index=True),
    Column("envelope", JsonData(), nullable=False),
    # Last, so that SQLite need not walk the pages of a large message to read the columns before it.
    Column("raw", LargeBinary, nullable=True),
    Index("ix_message_duplicate", "conversation_id", "sender", "mail_id", "body_sha256"),
)

# What came encrypted to us, as it is read and delivered; `message.raw` stays the ciphertext.
decrypted_message = Table(
    "decrypted_message",
    metadata,
    Column("message_id", Uuid, ForeignKey("message.id"), primary_key=True),
    _text("sha256"),
    Column("raw", LargeBinary, nullable=True),
)

known_certificate = Table(
    "known_certificate",
    metadata,
    _text("address", primary_key=True),
    _text("fingerprint", primary_key=True),
    Column("certificate", LargeBinary, nullable=False),
    # PEM of the authorities that came with it and lead to an anchor.
    Column("issuers", LargeBinary, nullable=False),
    Column("announces_gcm", Boolean, nullable=False),
    # When its holder signed the mail that brought it: an old mail sent again makes nothing newer.
    Column("signed_at", UtcDateTime, nullable=False),
)

event = Table(
    "event",
    metadata,
    Column("id", RowNumber(), primary_key=True),
    _belongs_to("conversation", "conversation_id", required=True),
    Column("seq", Integer, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    _text("kind"),
    Column("author", JsonData(), nullable=False),
    Column("message_id", Uuid, ForeignKey("message.id"), nullable=False, index=True),
    _text("message_sha256"),
    Column("payload", JsonData(), nullable=False),
    _text("rules_version"),
    UniqueConstraint("conversation_id", "seq"),
    sqlite_autoincrement=True,
)

decision = Table(
    "decision",
    metadata,
    Column("id", RowNumber(), primary_key=True),
    Column("conversation_id", Uuid, ForeignKey("conversation.id"), nullable=True, index=True),
    Column("message_id", Uuid, ForeignKey("message.id"), nullable=True, index=True),
    Column("at", UtcDateTime, nullable=False),
    _text("trigger"),
    Column("facts", JsonData(), nullable=False),
    Column("trace", JsonData(), nullable=False),
    _text("rules_version"),
    sqlite_autoincrement=True,
)

# What exports have shown of a finalised conversation: a later version is a correction of it.
exported_line = Table(
    "exported_line",
    metadata,
    Column("ref", PlainText, primary_key=True),
    Column("role", PlainText, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("account", PlainText, primary_key=True, index=True),
    Column("exported_at", UtcDateTime, nullable=False),
)

# What a daily digest has still to tell an account.
digest_item = Table(
    "digest_item",
    metadata,
    Column("id", RowNumber(), primary_key=True),
    Column("address", PlainText, nullable=False, index=True),
    # One of the two: a conversation of ours, or one that another gateway holds.
    Column("conversation_id", Uuid, ForeignKey("conversation.id"), nullable=True),
    Column("at", UtcDateTime, nullable=False),
    _text("event"),
    _text("who"),
    Column("mirror_id", Uuid, ForeignKey("mirror.id"), nullable=True),
    sqlite_autoincrement=True,
)

outbox = Table(
    "outbox",
    metadata,
    # The order of insertion, in which the rows of one conversation and recipient are done.
    Column("position", RowNumber(), primary_key=True),
    Column("id", Uuid, nullable=False, unique=True),
    Column("key", PlainText, nullable=False, unique=True),
    _text("action"),
    _text("recipient"),
    _text("mail_from"),
    _belongs_to("conversation", "conversation_id"),
    Column("message_id", Uuid, ForeignKey("message.id"), nullable=True, index=True),
    Column("payload", JsonData(), nullable=False),
    Column("state", choice(OutboxState), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("first_at", UtcDateTime, nullable=False),
    Column("next_at", UtcDateTime, nullable=False),
    Column("claimed_until", UtcDateTime, nullable=True),
    _text("last_error"),
    Column("finished_at", UtcDateTime, nullable=True),
    # Of a conversation that another gateway holds, in place of conversation_id.
    Column("mirror_id", Uuid, nullable=True),
    Index(None, "state", "next_at"),
    Index("ix_outbox_order", "conversation_id", "recipient", "state", "position"),
    Index("ix_outbox_mirror_order", "mirror_id", "recipient", "state", "position"),
    sqlite_autoincrement=True,
)

document_request = document_tables(metadata)

form_copy = Table(
    "form_copy",
    metadata,
    Column("id", Uuid, primary_key=True),
    _text("kind"),
    _text("owner"),
    _belongs_to("conversation", "conversation_id"),
    _belongs_to("message", "message_id"),
    Column("filled", JsonData(), nullable=False),
    Column("options", JsonData(), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False, index=True),
    Column("used_at", UtcDateTime, nullable=True),
)

held_letter = Table(
    "held_letter",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("conversation_id", Uuid, ForeignKey("conversation.id"), nullable=False, index=True),
    _text("author"),
    _belongs_to("message", "message_id", required=True),
    Column("created_at", UtcDateTime, nullable=False),
    Column("state", choice(HeldState), nullable=False),
)

answer_count = Table(
    "answer_count",
    metadata,
    _text("sender", primary_key=True),
    Column("hour", UtcDateTime, primary_key=True),
    Column("count", Integer, nullable=False),
)

bounce_token = Table(
    "bounce_token",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("outbox_id", Uuid, ForeignKey("outbox.id", ondelete="SET NULL"), nullable=True),
    _belongs_to("message", "message_id"),
    _text("recipient"),
    Column("created_at", UtcDateTime, nullable=False),
)

mirror = Table(
    "mirror",
    metadata,
    Column("id", Uuid, primary_key=True),
    # The domain of the gateway that holds the conversation: no other is believed about it.
    _text("holder"),
    Column("ref", PlainText, nullable=False, index=True),
    _text("state"),
    Column("seq", Integer, nullable=False),
    Column("reply_to", PlainText, nullable=False, index=True),
    Column("opened_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False, index=True),
)

mirror_member = Table(
    "mirror_member",
    metadata,
    Column("mirror_id", Uuid, ForeignKey("mirror.id"), primary_key=True),
    _text("address", primary_key=True),
    Column("active", Boolean, nullable=False),
    Index(None, "address", "active"),
)

# What the holder told of it for exports and yearly limits; who of the register it is about.
mirror_activity = Table(
    "mirror_activity",
    metadata,
    Column("mirror_id", Uuid, ForeignKey("mirror.id"), primary_key=True),
    Column("requester_address", PlainText, nullable=False, index=True),
    Column("expert_address", PlainText, nullable=False, index=True),
    Column("patient_id", RowNumber(), ForeignKey("patient.id"), nullable=True, index=True),
    # Whom it states, '' for nobody: the register may learn later who that is.
    Column("ins", PlainText, nullable=False, index=True),
    Column("traits", PlainText, nullable=False, index=True),
    Column("told", JsonData(), nullable=False),
)

mirror_event = Table(
    "mirror_event",
    metadata,
    Column("id", RowNumber(), primary_key=True),
    _belongs_to("mirror", "mirror_id", required=True),
    # One mail that comes twice is one event.
    _text("fingerprint"),
    Column("flow", choice(Flow), nullable=False),
    _text("event"),
    Column("seq", Integer, nullable=False),
    _text("state"),
    Column("at", UtcDateTime, nullable=False),
    Column("author", JsonData(), nullable=False),
    Column("message_id", Uuid, ForeignKey("message.id"), nullable=False, index=True),
    _text("message_sha256"),
    Column("payload", JsonData(), nullable=False),
    UniqueConstraint("mirror_id", "fingerprint"),
    sqlite_autoincrement=True,
)

peer_gateway = Table(
    "peer_gateway",
    metadata,
    _text("domain", primary_key=True),
    _text("service"),
    Column("seen_at", UtcDateTime, nullable=False),
)

audit = Table(
    "audit",
    metadata,
    Column("id", RowNumber(), primary_key=True),
    Column("at", UtcDateTime, nullable=False),
    _text("actor"),
    _text("action"),
    Column("target", PlainText, nullable=False, index=True),
    _text("result"),
    Column("detail", JsonData(), nullable=False),
    # Unique, so that the chain can never fork, whatever the isolation of the database.
    Column("previous_hash", PlainText, nullable=False, unique=True),
    _text("hash"),
    sqlite_autoincrement=True,
)
