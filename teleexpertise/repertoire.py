"""What a rule may do on which trigger: the one table that the loader of rules, the tests and the docs read.

A mail is built from what came: an invitation has a person, a closing its reason, a report its file. So a
verb or a mail stands in the table only where all that it needs is at hand, and what is not listed is refused
when the rules are loaded, never met while mail is taken.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from teleexpertise.facts import Trigger

__all__ = ["ENDINGS", "REPERTOIRE", "Doing", "objection", "words_of"]

#: A verb as the rules file has it and its word: ``("post", "rapport")``; the word of a flag, and of ``ask``,
#: is ''. The options ``attach`` and ``to`` count as verbs.
Doing = tuple[str, str]

_CLOSED_BY_WORDS: Mapping[str, tuple[str, ...]] = {
    "accept": (),
    "answer": ("confirmation-cloture",),
    "post": ("cloture",),
}

_READERS = ("expert", "deputy", "requester")

#: Trigger -> verb -> the words that it takes there (none for flags and for the free text of ``ask``).
#: Automatic mail (absence, bounce) never moves a state, and only what a user sent is answered (RFC 3834 §2).
REPERTOIRE: Mapping[Trigger, Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        Trigger.REQUEST: {
            "accept": (),
            "move": ("held", "redirected"),
            "ask": (),
            "answer": ("confirmation", "redirection", "urgence-vitale"),
            "post": ("elements-manquants", "ouverture", "question"),
            "attach": ("documents", "letter"),
            "notify": ("request", "missing"),
        },
        Trigger.MESSAGE: {
            "accept": (),
            "move": ("taken_up", "held", "resumed", "requeued"),
            "ask": (),
            "post": ("elements-manquants",),
            "deliver": (),
            "notify": ("answer", "missing", "reminder"),
        },
        Trigger.ASK: {
            "accept": (),
            "answer": ("confirmation-commande",),
            "post": ("complement",),
            "notify": ("missing",),
        },
        Trigger.FINALISE: {"accept": (), "answer": ("confirmation-cloture",), "report": ()},
        Trigger.DECLINE: {**_CLOSED_BY_WORDS, "notify": ("declined",)},
        Trigger.CANCEL: {**_CLOSED_BY_WORDS, "notify": ("cancelled",)},
        Trigger.INVITE: {"accept": (), "post": ("invitation",), "notify": ("invitation",)},
        Trigger.REMOVE: {
            "accept": (),
            "answer": ("confirmation-commande",),
            "post": ("retrait",),
            "notify": ("withdrawal",),
        },
        Trigger.REPORT: {"accept": (), "post": ("rapport",), "file": (), "notify": ("report",)},
        Trigger.ABSENCE: {"accept": (), "post": ("absence",)},
        Trigger.BOUNCE: {"accept": (), "answer": ("non-remise",), "notify": ("failure",)},
        Trigger.INTEGRATION: {"accept": (), "answer": ("integration-echouee",), "notify": ("failure",)},
        Trigger.REMINDER: {
            "accept": (),
            "post": ("rappel", "rappel-remplacant", "sans-reponse"),
            "notify": ("reminder",),
            # Only what is due says who waits for whom; all else is for everybody.
            "to": _READERS,
        },
        Trigger.AWAY: {
            "accept": (),
            "hand_over": (),
            "post": ("remplacement", "expert-absent"),
            "notify": ("absence", "substitution"),
            "to": _READERS,
        },
    }
)

#: The answers that need no conversation: they say that none was opened, so nothing may open one after them.
ENDINGS = ("redirection", "urgence-vitale")


def words_of(verb: str) -> tuple[str, ...]:
    """All words that a verb takes on any trigger, sorted."""
    return tuple(sorted({word for verbs in REPERTOIRE.values() for word in verbs.get(verb, ())}))


def objection(trigger: Trigger, does: Sequence[Doing], *, stop: bool) -> str:
    """Why a rule on ``trigger`` cannot do these things in this order; '' when it can."""
    for number, (verb, word) in enumerate(does):
        sentence = _impossible(trigger, verb, word) or _alone(trigger, verb, word, does, stop=stop)
        if not sentence and verb == "file" and ("post", "rapport") not in does[:number]:
            sentence = 'file files what was posted: put { post = "rapport" } before it'
        if sentence:
            return sentence
    return _lost(trigger, does) if stop else ""


def _impossible(trigger: Trigger, verb: str, word: str) -> str:
    """What the table lists instead of it; '' where it is listed."""
    verbs = REPERTOIRE[trigger]
    if verb not in verbs:
        return f'{verb} is not possible on "{trigger}"; there: {", ".join(verbs)}'
    if word and word not in verbs[verb]:
        return f'{verb} = "{word}" is not possible on "{trigger}"; there: {", ".join(verbs[verb])}'
    return ""


def _alone(trigger: Trigger, verb: str, word: str, does: Sequence[Doing], *, stop: bool) -> str:
    """What it lacks beside it: mails tell of what was recorded, or that nothing was."""
    accepts = ("accept", "") in does
    shown = f'{verb} = "{word}"' if word else verb
    if word in ENDINGS and not stop:
        return f"{shown} says that nothing was opened: it wants stop = true"
    if word == "urgence-vitale" and accepts:
        return f"{shown} says that nothing was opened: it goes without accept"
    if word == "redirection" and accepts and ("move", "redirected") not in does:
        return f'{shown} of what is accepted wants {{ move = "redirected" }} beside it'
    if _tells_of_the_record(trigger, verb, word) and not accepts:
        return f'{shown} on "{trigger}" tells of what was recorded: it wants {{ accept = true }} beside it'
    return ""


def _tells_of_the_record(trigger: Trigger, verb: str, word: str) -> bool:
    """Whether it is wrong, or impossible, where what came was not recorded."""
    if verb in ("accept", "move", "ask", "to"):
        return False  # the state table guards them when they happen
    if trigger is Trigger.MESSAGE:
        return verb == "deliver"
    return word not in ENDINGS


def _lost(trigger: Trigger, does: Sequence[Doing]) -> str:
    """What keeps that which came from being lost, since no rule is read after this one."""
    if trigger is Trigger.MESSAGE:
        kept, wanted = ("deliver", "") in does, "{ accept = true }, { deliver = true }"
    else:
        kept = ("accept", "") in does or any(word in ENDINGS for _, word in does)
        wanted = "{ accept = true }"
    return (
        "" if kept else f'stop ends the reading and what came on "{trigger}" would be lost: it wants {wanted}'
    )
