"""Finalise, decline, cancel, ask for elements: their forms, prefilled from the conversation, and what they
cause.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from gateway.pipeline import acts
from gateway.pipeline.consequences import Act, carry_out
from gateway.pipeline.depositing import depositees, folder_lines, folder_owner
from gateway.pipeline.document_facts import report_facts
from gateway.pipeline.incoming import Incoming
from gateway.pipeline.refusing import refused
from gateway.pipeline.requesting import FilledForm
from gateway.pipeline.sending_forms import Sheet
from gateway.pipeline.stored_letters import stored_letter
from gateway.pipeline.unit import Unit
from gateway.pipeline.views import Case, build
from teleexpertise.conversation import Conversation, Exchange
from teleexpertise.documents.completeness import missing_fields
from teleexpertise.documents.sentences import sentences
from teleexpertise.events import AnyEvent, Author, Cancelled, Completed, Declined, Held, Side
from teleexpertise.facts import Facts, Trigger
from teleexpertise.forms import (
    FormKind,
    Value,
    ask_form,
    cancel_form,
    decline_form,
    finalise_form,
    synthesis_form,
)
from teleexpertise.letters import Mailbox
from teleexpertise.patient_mail import mailbox_for
from teleexpertise.people import Party
from teleexpertise.placing import Authorship, authorship
from teleexpertise.plaintext import readable_text
from teleexpertise.quotation import own_words
from teleexpertise.texts.contexts import RefusalReason
from teleexpertise.texts.typography import euros

__all__ = ["act_on", "order_synthesis", "require_side", "sheet"]

_TRIGGERS = {
    FormKind.FINALISE: Trigger.FINALISE,
    FormKind.DECLINE: Trigger.DECLINE,
    FormKind.CANCEL: Trigger.CANCEL,
    FormKind.ASK: Trigger.ASK,
}


def _allowed_sides(kind: FormKind) -> frozenset[Side]:
    """Whose form it is: a synthesis is both parties', the requester cancels, all else is the expert's."""
    match kind:
        case FormKind.SYNTHESIS:
            # A guest sees what follows the invitation; a synthesis shows all that was before it.
            return frozenset({Side.REQUESTER, Side.EXPERT})
        case FormKind.CANCEL:
            return frozenset({Side.REQUESTER})
        case _:
            return frozenset({Side.EXPERT})


def _not_yours(kind: FormKind) -> RefusalReason:
    """Why somebody on another side is refused."""
    match kind:
        case FormKind.SYNTHESIS:
            return RefusalReason.PARTIES_ONLY
        case FormKind.CANCEL:
            return RefusalReason.REQUESTER_ONLY
        case _:
            return RefusalReason.EXPERT_ONLY


async def require_side(
    unit: Unit, incoming: Incoming, conversation: Conversation, kind: FormKind
) -> Authorship:
    """For whom somebody answers a form of one kind, by the rights of this moment: a form that was sent opens
    nothing to who has lost them. Raises a refusal for a stranger and for another side.
    """
    rights = await unit.tx.delegations.rights()
    by = authorship(conversation, incoming.login, incoming.written_as, rights)
    if by is None:
        raise refused(unit.services, RefusalReason.NOT_A_MEMBER, conversation.ref)
    if by.side not in _allowed_sides(kind):
        raise refused(unit.services, _not_yours(kind), conversation.ref)
    return by


async def sheet(
    unit: Unit, conversation: Conversation, kind: FormKind, login: Mailbox, options: Mapping[str, object]
) -> Sheet:
    """The form of one kind for a conversation, as it stands now or as the ``options`` of a sent copy say
    it stood.
    """
    catalogue = unit.services.forms
    match kind:
        case FormKind.FINALISE:
            return await _finalise_sheet(unit, conversation, login, options)
        case FormKind.SYNTHESIS:
            return await _synthesis_sheet(unit, conversation, options)
        case FormKind.DECLINE:
            form = decline_form(catalogue)
        case FormKind.CANCEL:
            form = cancel_form(catalogue)
        case _:
            form = ask_form(catalogue)
    return Sheet(form=form, options={"kept": [], **options}, conversation=conversation)


async def _finalise_sheet(
    unit: Unit, conversation: Conversation, login: Mailbox, options: Mapping[str, object]
) -> Sheet:
    """Prefilled (A.32-A.34): requester, expert (for a service its own account), billing numbers, the act
    that the rules propose, all exchanges, all addressees.
    """
    exchanges = _offered(conversation, options)
    members = {party.address: party for party in conversation.active()}
    patient = mailbox_for(conversation.patient, unit.services.settings.documents.patient_domain)
    others = await depositees(unit, conversation) | await folder_lines(unit, conversation)
    if patient:
        others[patient] = unit.services.texts.words.of("forms", "patient")
    wanted = options.get("addressees")
    addresses = [str(address) for address in wanted] if isinstance(wanted, list) else [*members, *others]
    people = await _eligible(unit, conversation, login.address)
    done = conversation.completion
    codes, proposal, situations = await _proposal(unit, conversation)
    form = finalise_form(
        unit.services.forms,
        requesters=list(people.values()),
        experts=list(people.values()),
        exchanges=[await _line(unit, exchange) for exchange in exchanges],
        addressees=[_addressee(members, others, address) for address in addresses],
        billing=await _numbers(unit, *_billers(conversation), login.address),
        requester_billing=await _numbers(unit, conversation.requester.address),
        acts=codes,
        proposal=proposal,
        situations=situations,
        insured=acts.asks_insured(unit, conversation),
    )
    values: dict[str, Value] = {
        "requester": conversation.requester.address,
        "requester_billing": conversation.requester.billing_number,
        "expert": conversation.expert.address,
        "expert_billing": conversation.expert.billing_number,
        "act": done.level if done and done.level in codes else codes[0] if len(codes) == 1 else "",
        "cumulated": bool(done and done.cumulated),
        "exchanges": list(range(1, len(exchanges) + 1)),
        # The patient gets it on request: that line is not ticked beforehand.
        "addressees": [number for number, name in enumerate(addresses, start=1) if name != patient],
    }
    if done is not None:
        values |= {"conclusion": done.conclusion, "outcome": done.outcome, "insured": done.insured_number}
        values |= {} if done.listed_patient is None else {"listed_patient": done.listed_patient}
    kept_options = {
        "kept": [],
        "version": conversation.version,
        **options,
        "exchanges": [exchange.seq for exchange in exchanges],
        "addressees": addresses,
    }
    return Sheet(form=form, values=values, options=kept_options, conversation=conversation)


async def _eligible(unit: Unit, conversation: Conversation, login: str) -> dict[str, Party]:
    """Who may be named requester or expert (A.32): the members, who finalises and for whom they may act, the
    delegates of both sides; each as their account stands today, so that what it lacked can be settled by
    finalising again.
    """
    parties = (*conversation.active(), conversation.requester, conversation.expert)
    found = {party.address: await _today(unit, party) for party in parties}
    rights = await unit.tx.delegations.rights()
    sides = (conversation.requester.address, conversation.expert.address)
    delegates = (sorted(rights.delegates.get(address, ())) for address in sides)
    for address in (login, *rights.principals(login), *(name for names in delegates for name in names)):
        account = await unit.account(address) if address not in found else None
        if account is not None and account.active:
            found[address] = Party.of(account)
    return found


def _billers(conversation: Conversation) -> tuple[str, ...]:
    """Whose number the act may be billed by: the expert's, and those of who stood in for them."""
    return (conversation.expert.address, *(deputy.address for deputy in conversation.deputies))


async def _today(unit: Unit, party: Party) -> Party:
    """A party as its account stands now; somebody of another operator as the record says."""
    account = await unit.account(party.address) if party.local else None
    return party if account is None else replace(Party.of(account), billing_number=party.billing_number)


async def _numbers(unit: Unit, *addresses: str) -> list[tuple[str, str]]:
    """The billing numbers that these accounts are known by, with whose they are (A.33)."""
    accounts = [await unit.account(address) for address in addresses]
    return list({a.billing_number: a.name for a in accounts if a is not None and a.billing_number}.items())


async def _proposal(unit: Unit, conversation: Conversation) -> tuple[tuple[str, ...], str, tuple[str, ...]]:
    """The codes that the expert may bill, what the rules propose for both sides as one sentence, and the
    sources of acts that are for patients in some situations alone.
    """
    requester = await _today(unit, conversation.requester)
    expert = await _today(unit, conversation.expert)
    codes = acts.expert_acts(unit, expert, conversation.acted_at)
    words = unit.services.texts.words
    said = Completed(
        requester=requester,
        expert=expert,
        conclusion="",
        level=codes[0] if len(codes) == 1 else "",
        requester_place=await acts.place(unit, requester),
        expert_place=await acts.place(unit, expert),
    )
    told, situations = [], []
    for line in await acts.rated(unit, conversation, said):
        if line.act is None:
            continue
        if line.act.for_listed:
            situations.append(line.act.source)
        told.append(
            words.of("forms", "proposed_side").format(
                role=words.of("export_roles", line.role),
                act=line.act.code,
                amount=euros(line.amount) if line.amount is not None else words.of("forms", "no_amount"),
            )
        )
    proposal = words.of("forms", "proposed").format(acts=" ; ".join(told)) if told else ""
    return codes, proposal, tuple(dict.fromkeys(situations))


def _offered(conversation: Conversation, options: Mapping[str, object]) -> list[Exchange]:
    """The exchanges to tick: those that the sent copy listed, all of them for a new one.

    The first is the question, without which there is no report: it is not for choice.
    """
    listed = options.get("exchanges")
    return [
        exchange
        for exchange in conversation.exchanges[1:]
        if not isinstance(listed, list) or exchange.seq in listed
    ]


def _ticked_exchanges(filled: FilledForm) -> tuple[int, ...]:
    """The sequence numbers of the exchanges that were left ticked."""
    listed = filled.sheet.options["exchanges"]
    assert isinstance(listed, list), "the sent form listed its exchanges"
    return tuple(listed[number - 1] for number in filled.ticked("exchanges") if number <= len(listed))


async def _synthesis_sheet(unit: Unit, conversation: Conversation, options: Mapping[str, object]) -> Sheet:
    exchanges = _offered(conversation, options)
    lines = [await _line(unit, exchange) for exchange in exchanges]
    return Sheet(
        form=synthesis_form(unit.services.forms, lines),
        values={"exchanges": list(range(1, len(exchanges) + 1))},
        options={"kept": [], **options, "exchanges": [exchange.seq for exchange in exchanges]},
        conversation=conversation,
    )


def _addressee(members: Mapping[str, Party], others: Mapping[str, str], address: str) -> str:
    if address in others:
        return others[address]
    party = members.get(address)
    return f"{party.name} <{address}>" if party else address


async def _line(unit: Unit, exchange: Exchange) -> str:
    """An exchange in one line: day, author, how many attachments, the first words."""
    day = f"{exchange.at.astimezone(unit.services.zone):%d/%m/%Y}"
    letter = await stored_letter(unit.services, unit.tx, exchange.message)
    words = unit.services.texts.words
    text = exchange.words or (own_words(readable_text(letter)) if letter else "")
    if exchange.encrypted:
        text = words.of("forms", "encrypted")
    elif letter is not None and letter.has_unsigned:
        text = words.of("forms", "unsigned").format(text=text)
    count = len(exchange.attachments)
    joined = f" (+{count})" if count else ""
    return f"{day}, {exchange.author.shown}{joined}, {text}"


async def _proposed(
    unit: Unit, incoming: Incoming, conversation: Conversation, filled: FilledForm, kind: FormKind
) -> AnyEvent:
    match kind:
        case FormKind.DECLINE:
            return Declined(reason=filled.text("reason"))
        case FormKind.CANCEL:
            return Cancelled(reason=filled.text("reason"))
        case FormKind.ASK:
            asked = [line.strip() for line in filled.text("items").splitlines() if line.strip()]
            return Held(reason="expert", asked=tuple(asked))
        case _:
            return await _completed(unit, conversation, filled, incoming.login.address)


async def _completed(unit: Unit, conversation: Conversation, filled: FilledForm, login: str) -> Completed:
    people = await _eligible(unit, conversation, login)
    # The form has let nobody else pass; a delegate removed meanwhile leaves the side as it was.
    requester = people.get(filled.text("requester"), conversation.requester)
    expert = people.get(filled.text("expert"), conversation.expert)
    addresses = filled.sheet.options["addressees"]
    assert isinstance(addresses, list), "the sent form listed its addressees"
    offered = [str(address) for address in addresses]
    ticked = {offered[number - 1] for number in filled.ticked("addressees") if number <= len(offered)}
    chosen = [address for address in offered if address in ticked and not folder_owner(address)]
    situation = filled.values.get("listed_patient")
    # The report is due to the requester and stays with the expert, whatever is unticked (art. R6316-4 CSP).
    due = dict.fromkeys([requester.address, expert.address, *chosen])
    left_out = (folder_owner(address) for address in offered if address not in ticked)
    said = Completed(
        requester=replace(requester, billing_number=filled.text("requester_billing")),
        expert=replace(expert, billing_number=filled.text("expert_billing")),
        conclusion=filled.text("conclusion"),
        outcome=filled.text("outcome"),
        exchanges=_ticked_exchanges(filled),
        addressees=tuple(due),
        level=filled.text("act"),
        cumulated=filled.values.get("cumulated") is True,
        listed_patient=situation if isinstance(situation, bool) else None,
        requester_place=await acts.place(unit, requester),
        expert_place=await acts.place(unit, expert),
        unfiled=tuple(filter(None, left_out)),
        insured_number=filled.text("insured"),
    )
    return replace(said, billed=acts.billed(await acts.rated(unit, conversation, said)))


async def act_on(unit: Unit, incoming: Incoming, filled: FilledForm) -> str:
    """Decide on a filled form about a conversation; the state table settles which of two closings holds."""
    conversation = filled.sheet.conversation
    assert conversation is not None, "the form is about a conversation"
    kind = FormKind(filled.row.kind)
    by = await require_side(unit, incoming, conversation, kind)
    if kind is FormKind.SYNTHESIS:
        return await order_synthesis(unit, incoming, conversation, _ticked_exchanges(filled))
    message = await unit.store(incoming, conversation.id)
    if kind is FormKind.FINALISE and filled.row.options.get("version") != conversation.version:
        return await _overtaken(unit, incoming, conversation, by.author)
    proposed = await _proposed(unit, incoming, conversation, filled, kind)
    facts = Facts(trigger=_TRIGGERS[kind], author=by.author, proposed=proposed, side=by.side)
    act = Act(
        facts=facts,
        message=message,
        incoming=incoming,
        answer_to=incoming.login,
        warnings=(
            *filled.warnings,
            *_untransmitted(unit, filled),
            *await _foreign_numbers(unit, conversation, proposed),
            *await _without_cda(unit, conversation, proposed, by.author),
        ),
    )
    decision, _ = await carry_out(unit, conversation, conversation.id, act)
    return f"{kind}: {'conflict' if decision.conflict else decision.after}"


def _untransmitted(unit: Unit, filled: FilledForm) -> tuple[str, ...]:
    """Words above the form belong to none of its lines: their author hears that they went no further."""
    sentence = unit.services.texts.words.of("forms", "remark")
    return (sentence.format(remark=filled.remark),) if filled.remark else ()


async def _foreign_numbers(unit: Unit, conversation: Conversation, proposed: AnyEvent) -> tuple[str, ...]:
    """A side was changed and the line with the number still holds that of the one before: not guessed,
    said. A hospital's number bills for whoever works there and has none.
    """
    if not isinstance(proposed, Completed):
        return ()
    words, found = unit.services.texts.words, []
    before = (conversation.opening.requester, conversation.opening.expert)
    for party in (proposed.requester, proposed.expert):
        given = party.billing_number
        account = await unit.account(party.address) if party.local else None
        own = account.billing_number if account else ""
        owner = next(
            (one for one in before if one.billing_number == given and one.address != party.address), None
        )
        if own and given and own != given:
            found.append(words.of("forms", "other_number").format(name=party.name, number=own, given=given))
        elif given and not own and owner and "/" not in given:
            found.append(
                words.of("forms", "owned_number").format(name=party.name, owner=owner.name, given=given)
            )
    return tuple(found)


async def _without_cda(
    unit: Unit, conversation: Conversation, proposed: AnyEvent, author: Author
) -> tuple[str, ...]:
    """Why the report to come will be a PDF alone: who finalises may complete an account and do it again."""
    if not isinstance(proposed, Completed):
        return ()
    facts = await report_facts(
        unit.services.settings, unit.tx, conversation, proposed, author, unit.now, conversation.version + 1
    )
    lacking = sentences(missing_fields(facts))
    if not lacking:
        return ()
    return (
        unit.services.texts.words.of("documents", "pdf_only").format(
            lacking=" ; ".join(each.rstrip(".") for each in lacking)
        ),
    )


async def _overtaken(unit: Unit, incoming: Incoming, conversation: Conversation, author: Author) -> str:
    """Of two finalisations the first committed holds: a form from before it makes no second version by
    accident.
    """
    case = Case(conversation=conversation, author=author, now=unit.now, links=unit.services.links)
    await unit.answer(build("conflit", case), incoming.login, in_reply_to=incoming.letter.message_id)
    return "finalise: overtaken"


async def order_synthesis(
    unit: Unit, incoming: Incoming, conversation: Conversation, exchanges: tuple[int, ...] | None = None
) -> str:
    """Let a worker make the PDF, which may take longer than a client waits; without a choice, of all
    exchanges.
    """
    message = await unit.store(incoming)
    chosen = {} if exchanges is None else {"exchanges": list(exchanges)}
    await unit.order("synthesis", incoming, message, chosen, conversation.id)
    return "synthesis"
