"""Commands in the subject of a mail to the service, the links that carry them, and references in any subject.

The command words are French and are the grammar of the service. A command is read tolerantly (reply prefixes,
accents, case, no-break spaces, brackets that we put into subjects) but only when the whole subject is one: a
subject that merely contains a command word is :class:`Unknown`. Every builder is the inverse of
:func:`read_command`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from urllib.parse import quote

from teleexpertise.exporting import Export, export_subject, read_export
from teleexpertise.plaintext import folded, one_space
from teleexpertise.tokens import TOKEN_LENGTH

__all__ = [
    "MAILTO_LIMIT",
    "Annuaire",
    "Ask",
    "Cancel",
    "Command",
    "Confirm",
    "Decline",
    "Delegates",
    "Export",
    "Finalise",
    "Help",
    "Invite",
    "MailtoTooLong",
    "NewRequest",
    "PatientSearch",
    "Preferences",
    "Remove",
    "Synthesis",
    "Unknown",
    "Worklist",
    "command_subject",
    "mailto",
    "read_command",
    "subject_reference",
]

#: Mail clients cut longer links; counted after percent-encoding.
MAILTO_LIMIT = 1800
#: More of a subject is never looked at (``RFC 5322 §2.1.1``: a line has 998 octets).
_LONGEST_SUBJECT = 998


@dataclass(frozen=True, slots=True)
class Annuaire:
    """Search the directory for ``terms`` ("avis" lists the expert services); ``page`` counts from 1."""

    terms: str
    page: int = 1


@dataclass(frozen=True, slots=True)
class NewRequest:
    """Ask for the request form for an expert, named by address or name; ``patient`` is the number in the
    register of a patient whom it is for, as our own links carry it.
    """

    expert: str
    patient: int | None = None


@dataclass(frozen=True, slots=True)
class PatientSearch:
    """Search the register for a patient by ``terms``; '' where they stand in the body (A.46)."""

    terms: str


@dataclass(frozen=True, slots=True)
class Preferences:
    """Ask for the preferences form of ``account`` (lower case), '' for one's own."""

    account: str = ""


@dataclass(frozen=True, slots=True)
class Worklist:
    """Ask where one's conversations stand."""


@dataclass(frozen=True, slots=True)
class Finalise:
    """Ask for the finalisation form. ``reference`` is '' when the subject names none (so in all of these)."""

    reference: str


@dataclass(frozen=True, slots=True)
class Synthesis:
    """Ask for the synthesis as PDF."""

    reference: str


@dataclass(frozen=True, slots=True)
class Decline:
    """Ask for the form by which the expert's side declines."""

    reference: str


@dataclass(frozen=True, slots=True)
class Cancel:
    """Ask for the form by which the requester's side cancels."""

    reference: str


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask for the form by which the expert's side asks for elements."""

    reference: str


@dataclass(frozen=True, slots=True)
class Remove:
    """Take the person at ``address`` (lower case) out of a conversation."""

    address: str
    reference: str


@dataclass(frozen=True, slots=True)
class Invite:
    """Bring the person at ``address`` (lower case) into a conversation, also one who was removed before."""

    address: str
    reference: str


@dataclass(frozen=True, slots=True)
class Confirm:
    """Confirm a held mail by the token of the question "Pour TLE-... ?"."""

    token: str


@dataclass(frozen=True, slots=True)
class Delegates:
    """Ask for the form of an account's delegates; ``account`` '' is one's own (A.42-A.44)."""

    account: str = ""


@dataclass(frozen=True, slots=True)
class Help:
    """Ask which commands there are."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """No command: the subject without reply prefixes."""

    text: str


Command = (
    Annuaire
    | Export
    | NewRequest
    | PatientSearch
    | Preferences
    | Worklist
    | Finalise
    | Synthesis
    | Decline
    | Cancel
    | Ask
    | Remove
    | Invite
    | Confirm
    | Delegates
    | Help
    | Unknown
)

_PREFIX = re.compile(
    r"\s*(?:(?:re|ré|rép|tr|fw|fwd|aw|wg|rv|i|antw|sv|vs)\s?(?:\[\d{1,3}\])?\s?[:：]"
    r"|\[(?:externe?|external)\])\s*",
    re.IGNORECASE,
)
_REFERENCE = re.compile(r"(?<![A-Z0-9])TLE[\s_‐-―-]{0,3}(\d{4})[\s_‐-―-]{0,3}(\d{6})(?!\d)", re.IGNORECASE)
#: What we write in front of our subjects: the reference and the state in brackets.
_BRACKET = re.compile(rf"\[\s*{_REFERENCE.pattern}[^\]]{{0,60}}\]", re.IGNORECASE)
_PAGE = re.compile(r"\s*,?\s*\bpage\s*(\d{1,4})\s*$", re.IGNORECASE)
_ADDRESS = re.compile(r"[^\s@<>()\[\],;:\"]{1,64}@[^\s@<>()\[\],;:\"]{1,255}")
_TOKEN = re.compile(rf"[A-Z2-7]{{{TOKEN_LENGTH}}}", re.IGNORECASE)

_TELE = r"(?:tele\s?-?\s?)?expertises?"
_NEW_REQUEST = re.compile(rf"(?:nouvelle\s+(?:demande\s+de\s+)?|demander\s+une\s+){_TELE}\b\s*:?\s*")
#: What our own links put behind the expert: the patient's number, never a name.
_FOR_PATIENT = re.compile(r"\s+pour le patient n° ?(\d{1,9})\s*$", re.IGNORECASE | re.ASCII)
_PATIENT = re.compile(r"patiente?s?(?:\s*:\s*|\s+|$)")
_WORKLIST = re.compile(rf"(?:mes|ma)\s+{_TELE}")
_PREFERENCES = re.compile(r"(?:mes\s+)?preferences?(?:\s*:\s*|\s+|$)(?:de\s+)?(?P<account>\S*)")
_DELEGATES = re.compile(rf"(?:(?:mes|nos|les)\s+)?delegues?(?:\s*:?\s*<?({_ADDRESS.pattern})>?)?\s*")
_HELP = re.compile(r"(?:aide|help|commandes)\s*\??")
#: Command word and what may stand behind it, on folded text; the reference was taken out before.
_ON_CONVERSATION: Mapping[re.Pattern[str], Callable[[str], Command]] = MappingProxyType(
    {
        re.compile(rf"(?:finaliser|finalisation)(?:\s+(?:l'|la\s+|de\s+l')?\s?{_TELE})?"): Finalise,
        re.compile(rf"synthese(?:\s+(?:de\s+)?(?:l'|la\s+)?\s?{_TELE})?"): Synthesis,
        re.compile(rf"decliner(?:\s+(?:la\s+demande|(?:l'|la\s+)?\s?{_TELE}))?"): Decline,
        re.compile(rf"annuler(?:\s+(?:la\s+demande|(?:l'|la\s+)?\s?{_TELE}))?"): Cancel,
        re.compile(r"(?:demander\s+des\s+)?complements?(?:\s+d'information)?"): Ask,
    }
)
#: Command words that an address stands behind.
_ON_PEOPLE: Mapping[str, Callable[[str, str], Command]] = MappingProxyType(
    {"retirer": Remove, "inviter": Invite}
)


def _reference(match: re.Match[str]) -> str:
    return f"TLE-{match[1]}-{match[2]}"


def subject_reference(subject: str) -> str | None:
    """The first reference in any subject, as ``TLE-2026-000123``, or ``None``."""
    match = _REFERENCE.search(one_space(subject[:_LONGEST_SUBJECT]))
    return _reference(match) if match else None


def _bare(subject: str) -> str:
    """One line of plain spaces without reply prefixes, in whatever number and order clients piled them up."""
    text = " ".join(one_space(subject[:_LONGEST_SUBJECT]).split())
    while match := _PREFIX.match(text):
        text = text[match.end() :]
    return text


def read_command(subject: str) -> Command:
    """The command in a subject. Total: whatever is not wholly a command is :class:`Unknown`."""
    bare = _bare(subject)
    # "[TLE-2026-000123 - en cours] Re: Finaliser": our bracket may stand before or after the prefix.
    outside = _bare(_BRACKET.sub(" ", bare))
    bracket = _BRACKET.search(bare)
    for text in dict.fromkeys((bare, outside)):
        command = _searching(text) or _confirming(text)
        if command is not None:
            return command
    found = _about_conversation(outside, _reference(bracket) if bracket else "")
    return found or Unknown(bare)


def _searching(text: str) -> Command | None:
    """Commands that name no conversation."""
    plain = _fold_in_place(text)
    if _WORKLIST.fullmatch(plain):
        return Worklist()
    if _HELP.fullmatch(plain):
        return Help()
    if match := _PREFERENCES.fullmatch(plain):
        account = text[match.start("account") :].strip("<>")
        if not account or _ADDRESS.fullmatch(account):
            return Preferences(account.lower())
    if match := _NEW_REQUEST.match(plain):
        return _request(text[match.end() :].strip())
    if match := _PATIENT.match(plain):
        return PatientSearch(text[match.end() :].strip())
    word, _, rest = text.partition(" ")
    if _fold_in_place(word).rstrip(":") == "annuaire":
        return _directory(rest.lstrip(": "))
    if _fold_in_place(word).rstrip(":") in ("export", "exporter"):
        return read_export(rest.lstrip(": "))
    if match := _DELEGATES.fullmatch(plain):
        return Delegates(match[1] or "")
    return _directory(text) if re.match(r"avis(?!\S)", plain) else None


def _request(text: str) -> NewRequest:
    named = _FOR_PATIENT.search(text)
    return NewRequest(text[: named.start()], int(named[1])) if named else NewRequest(text)


def _fold_in_place(text: str) -> str:
    """Folded letter by letter, so that positions stay those of ``text``."""
    return "".join(plain if len(plain := folded(letter)) == 1 else letter for letter in text)


def _directory(terms: str) -> Annuaire:
    page = _PAGE.search(terms)
    if page is None:
        return Annuaire(terms.strip())
    return Annuaire(terms[: page.start()].strip(), max(1, int(page[1])))


def _confirming(text: str) -> Command | None:
    word, _, token = text.partition(" ")
    if folded(word).rstrip(":") == "confirmer" and _TOKEN.fullmatch(token.strip()):
        return Confirm(token.strip().lower())
    return None


def _about_conversation(text: str, reference: str) -> Command | None:
    """Commands on one conversation, its reference in our bracket or anywhere behind the command word."""
    named = _REFERENCE.search(text)
    if named is not None:
        if reference and _reference(named) != reference:
            return None
        reference = _reference(named)
        text = text[: named.start()] + " " + text[named.end() :]
    text = " ".join(text.split()).strip(" :-")
    plain = folded(text)
    for pattern, build in _ON_CONVERSATION.items():
        if pattern.fullmatch(plain):
            return build(reference)
    word, _, address = text.partition(" ")
    address = address.strip(" :<>")
    person = _ON_PEOPLE.get(folded(word).rstrip(":"))
    return person(address.lower(), reference) if person and _ADDRESS.fullmatch(address) else None


def command_subject(command: Command) -> str:
    """The subject to type for a command: ``read_command`` of it gives it back."""
    match command:
        case Annuaire(terms, page):
            words = ["Annuaire", terms, f"page {page}" if page > 1 else ""]
        case NewRequest(expert, patient):
            words = ["Nouvelle téléexpertise", expert, f"pour le patient n° {patient}" if patient else ""]
        case PatientSearch(terms):
            words = ["Patient", terms]
        case Preferences(account):
            words = ["Préférences", account]
        case Worklist():
            words = ["Mes téléexpertises"]
        case Finalise(reference):
            words = ["Finaliser", reference]
        case Synthesis(reference):
            words = ["Synthèse", reference]
        case Decline(reference):
            words = ["Décliner", reference]
        case Cancel(reference):
            words = ["Annuler", reference]
        case Ask(reference):
            words = ["Compléments", reference]
        case Remove(address, reference):
            words = ["Retirer", address, reference]
        case Invite(address, reference):
            words = ["Inviter", address, reference]
        case Confirm(token):
            words = ["Confirmer", token]
        case Delegates(account):
            words = ["Délégués", account]
        case Help():
            words = ["Aide"]
        case Export():
            words = [export_subject(command)]
        case Unknown(text):
            words = [text]
    return " ".join(word for word in words if word)


class MailtoTooLong(ValueError):
    """A link would be cut by mail clients: more than ``MAILTO_LIMIT`` characters after encoding."""


def mailto(address: str, subject: str) -> str:
    """A ``mailto:`` link (``RFC 6068``), everything percent-encoded. Raises :class:`MailtoTooLong`."""
    link = f"mailto:{quote(address, safe='@')}?subject={quote(subject, safe='')}"
    if len(link) > MAILTO_LIMIT:
        raise MailtoTooLong(f"{len(link)} characters of link, more than {MAILTO_LIMIT}")
    return link
