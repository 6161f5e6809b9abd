"""What happens in the demonstration, step by step, each one ending when everybody concerned saw it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gateway.demo.client import MailClient, NotSeen, Received, fill, mailto_link
from gateway.demo.stage import Stage
from mailboxes.folders import PATIENTS
from teleexpertise.commands import Finalise, NewRequest, Worklist, command_subject, subject_reference
from teleexpertise.forms import FormKind, Value, load_catalogue
from teleexpertise.forms.rendering import shown_value
from teleexpertise.people import Document
from teleexpertise.states import State

__all__ = ["play_all"]


def play_all(stage: Stage) -> None:
    """The whole conversation. Raises :class:`NotSeen` and ``NotAvailable``, ``stage.key`` naming the step."""
    form = _ask_for_form(stage)
    question = _request(stage, form)
    last = _exchanges(stage, question)
    _worklists(stage)
    report = _finalise(stage, last)
    _filed(stage, report)


def _ask_for_form(stage: Stage) -> Received:
    """Find the expert in the directory and follow the link; the request form comes back."""
    requester, data = stage.requester, stage.data
    with stage.step("search"):
        found = stage.answer(requester, stage.command(requester, stage.service, data.search))
    with stage.step("form"):
        to, subject = mailto_link(found, command_subject(NewRequest(data.expert)))
        return stage.answer(requester, stage.command(requester, to, subject))


def _request(stage: Stage, form: Received) -> Received:
    """Send the form with one photo less than is asked for, then that photo.

    The question comes back as the expert's side sees it.
    """
    requester, expert, data = stage.requester, stage.expert, stage.data
    patient = data.patient
    born = patient.birth_date.isoformat() if patient.birth_date else ""
    values: dict[str, Value] = {
        "birth_name": patient.birth_name,
        "first_names": patient.first_names,
        "birth_date": born,
        "sex": patient.sex,
        "ins": patient.ins,
        "birth_place": patient.birth_place,
        "qualified": patient.qualified,
        "consent": True,
        "urgency": data.urgency,
        "phone": data.phone,
        "question": data.question,
    }
    first, *held_back = data.photos
    with stage.step("request"):
        answers = [*_answers(FormKind.REQUEST, values), *data.answers]
        sent, _ = stage.reply(requester, form, fill(form.text, answers), (first,))
        confirmation = stage.answer(requester, sent)
        stage.reference = subject_reference(confirmation.header("Subject")) or ""
        if not stage.reference:
            raise NotSeen(f"no conversation was opened: « {confirmation.header('Subject')} »")
        for client in (requester, expert):
            stage.event(client, "ouverture", State.ON_HOLD)
            question = stage.event(client, "question", State.ON_HOLD)
        stage.notice(expert, 0)
    _letter(
        stage,
        "missing",
        requester,
        question,
        stage.story.mails["forgotten"].strip(),
        held_back,
        State.REQUESTED,
    )
    return question


def _exchanges(stage: Stage, question: Received) -> Received:
    """The replies of both sides; the last mail of the conversation comes back."""
    last = question
    for key, message in zip(("taken_up", "documents", "advice"), stage.data.messages, strict=True):
        writer = stage.requester if message.side == "requester" else stage.delegate
        last = _letter(stage, key, writer, last, message.text, message.attachments, State.IN_PROGRESS)
    return last


def _letter(
    stage: Stage,
    key: str,
    writer: MailClient,
    answered: Received,
    text: str,
    attachments: Sequence[Document],
    state: State,
) -> Received:
    """One reply of one side, seen by both; the mail comes back as the other side received it."""
    writes = stage.side(writer)
    reader = stage.expert if writes == "requester" else stage.requester
    own = stage.requester if writes == "requester" else stage.expert
    with stage.step(key):
        before = stage.notices(reader)
        sent, raw = stage.reply(writer, answered, text, attachments)
        stage.letter(own, sent, raw, state)
        received = stage.letter(reader, sent, raw, state)
        stage.notice(reader, before)
    return received


def _worklists(stage: Stage) -> None:
    """Each side asks where it stands and finds the conversation."""
    with stage.step("worklist"):
        for client in (stage.requester, stage.delegate):
            found = stage.answer(client, stage.command(client, stage.service, command_subject(Worklist())))
            if stage.reference not in found.text:
                raise NotSeen(f"{client.account.address}: {stage.reference} is not in the worklist")


def _finalise(stage: Stage, last: Received) -> bytes:
    """Follow the link of the opening mail and fill in the form; the report comes back."""
    delegate, data = stage.delegate, stage.data
    opening = stage.expert.search(last.folder, "X-TLE-Ref", stage.reference)[-1]
    with stage.step("closing"):
        to, subject = mailto_link(opening, command_subject(Finalise(stage.reference)))
        form = stage.answer(delegate, stage.command(delegate, to, subject))
    reports = []
    with stage.step("report"):
        before = stage.notices(stage.requester)
        answers = _answers(FormKind.FINALISE, {"outcome": data.outcome, "conclusion": data.conclusion})
        sent, _ = stage.reply(delegate, form, fill(form.text, answers))
        stage.answer(delegate, sent)
        for client in (stage.requester, stage.expert):
            mail = stage.event(client, "rapport", State.COMPLETED)
            reports += [content for _, content in mail.attachments() if content.startswith(b"%PDF-")]
        stage.notice(stage.requester, before)
        if len(reports) != 2 or reports[0] != reports[1]:
            raise NotSeen(f"{len(reports)} reports came, or not the same on both sides")
        stage.archive.put("report", "expert", "report", reports[0], "pdf")
    return reports[0]


def _filed(stage: Stage, report: bytes) -> None:
    """The report lies in the patient's folder of both sides."""
    with stage.step("filing"):
        for client in (stage.requester, stage.expert):
            stage.filed(client, PATIENTS, report)


def _answers(kind: FormKind, values: Mapping[str, Value]) -> list[tuple[str, str]]:
    """Label and words of each value, as a person writes them."""
    form = load_catalogue().form(kind)
    return [(form.field(name).label, shown_value(form.field(name), value)) for name, value in values.items()]
