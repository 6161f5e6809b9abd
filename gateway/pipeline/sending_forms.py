"""Forms on their way out: a sealed copy is remembered, the mail brings it to be filled in by Reply."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from hashlib import sha256

from gateway.pipeline.stored_letters import stored_letter
from gateway.pipeline.unit import Unit
from gateway.store.rows import FormRow
from teleexpertise.conversation import Conversation
from teleexpertise.forms import Form, FormCopy, Value, form_token, render_html, render_text
from teleexpertise.letters import Attachment, Mailbox
from teleexpertise.people import Expert
from teleexpertise.texts import contexts as mails
from teleexpertise.texts.typography import french

__all__ = ["Sheet", "kept_attachments", "send_form"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """One form to be sent: the form of this case, what is filled in already, what is wrong, what is kept.

    ``options`` is what the answer will need to be understood (JSON); ``options["kept"]`` lists the stored
    mails whose attachments belong to the answer.
    """

    form: Form
    values: Mapping[str, Value] = field(default_factory=dict)
    problems: Mapping[str, str] = field(default_factory=dict)
    warnings: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, object] = field(default_factory=dict)
    conversation: Conversation | None = None
    expert: Expert | None = None


async def send_form(
    unit: Unit, to: Mailbox, sheet: Sheet, in_reply_to: str, enclosed: tuple[Attachment, ...] = ()
) -> None:
    """Send a form to the mailbox that may act, and remember it until it is answered or too old."""
    identifier = unit.services.new_id()
    copy = FormCopy(
        form=sheet.form,
        form_id=form_token(unit.services.key, identifier),
        values=sheet.values,
        problems=sheet.problems,
        warnings=sheet.warnings,
    )
    conversation = sheet.conversation
    kept = await kept_attachments(unit, sheet.options)
    labels = {"": ""} | {declared.name: declared.label for declared in sheet.form.fields}
    mail = mails.FormMail(
        purpose=mails.FormPurpose(sheet.form.kind),
        form_text=render_text(copy),
        form_html=render_html(copy),
        reference=conversation.ref if conversation else "",
        state=conversation.state if conversation else "",
        expert=sheet.expert,
        problems=tuple(
            mails.FormProblem(label, french(sheet.problems[name]))
            for name, label in labels.items()
            if name in sheet.problems
        ),
        enclosed=", ".join(attachment.filename for attachment in enclosed),
        kept=tuple(attachment.filename for attachment in kept),
    )
    documents = sheet.expert.documents if sheet.expert and not sheet.problems else ()
    await unit.answer(
        mail,
        to,
        in_reply_to=in_reply_to,
        attachments=(
            *enclosed,
            *(Attachment(each.filename, each.content_type, each.content) for each in documents),
        ),
        about=[conversation.id] if conversation else [],
    )
    row = FormRow(
        id=identifier,
        kind=sheet.form.kind,
        owner=to.address,
        created_at=unit.now,
        expires_at=unit.now + timedelta(days=unit.services.settings.conversation.form_days),
        filled=dict(sheet.values),
        options=dict(sheet.options),
        conversation_id=conversation.id if conversation else None,
    )
    await unit.tx.forms.add(row)


async def kept_attachments(unit: Unit, options: Mapping[str, object]) -> tuple[Attachment, ...]:
    """The attachments of the earlier answers to a form, each content once, in the order they came; without
    those whose hash is in ``options["dropped"]``.
    """
    found: dict[bytes, Attachment] = {}
    kept, dropped = options.get("kept", []), options.get("dropped", [])
    assert isinstance(kept, list), "kept is a list of message ids"
    assert isinstance(dropped, list), "dropped is a list of hashes"
    for message in kept:
        letter = await stored_letter(unit.services, unit.tx, unit.identifier(message))
        for attachment in letter.signed_attachments if letter else ():
            if not dropped or sha256(attachment.content).hexdigest() not in dropped:
                found.setdefault(attachment.content, attachment)
    return tuple(found.values())
