"""Whether the X-TLE fields of another operator's mail are believed. Pure.

Two ways only. What a gateway writes carries its organisation's signature, with the fields in the protected
header (``RFC 9788``). What it passes on is a person's words, whose signature it must not touch: there a DKIM
signature of its domain names and oversigns every field. So it is with what the gateway wrote and sealed for
its reader, where we cannot see its signature. Everything else is stripped like anybody's claim.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from certs.dkim import DkimSignature
from certs.verdicts import Verdict
from gateway.intake.rawmail import header_fields, split
from gateway.pipeline.incoming import Incoming
from teleexpertise.claims import CLAIM_FIELDS, PREFIX, Claim, ClaimFault, claimed, read_claim

__all__ = ["Belief", "Disbelief", "Way", "judge", "may_be_for", "outer_claim"]

#: Header fields besides X-TLE that a mirror takes its facts from: they must be the signed ones.
_USED = frozenset({"from", "date", "message-id", "reply-to", "in-reply-to", "references"})
#: What of a person's mail besides X-TLE fields a mirror reads.
_READ = ("from", "message-id", "reply-to")


class Way(StrEnum):
    """What covers believed fields."""

    ORGANISATION = "organisation-signature"
    DOMAIN = "domain-signature"


class Disbelief(StrEnum):
    """Why fields are not believed. Each member has one meaning and is stable: the audit trail has it."""

    OWN_USER = "own-user"
    """A user of ours wrote them."""
    UNSIGNED = "unsigned"
    SIGNATURE = "signature-not-passed"
    UNCOVERED = "field-uncovered"
    """A field that no signature covers, or one that says something else than the signed one."""
    OTHER_DOMAIN = "other-domain"
    """The signature is of a domain that the peer is not listed for."""
    HEADERS_DIFFER = "headers-differ"
    MISSING = "field-missing"
    DUPLICATED = "field-duplicated"
    MALFORMED = "field-malformed"
    OWN_CONVERSATION = "own-conversation"
    OTHER_HOLDER = "other-holder"
    FACTS = "facts-malformed"
    """The claim is believed, the facts for exports beside it are not of the form agreed."""
    NOT_ADDRESSED = "not-addressed"
    """Genuine, and for somebody else: the recipient is not among those whom the signed fields name."""


_FAULTS: Mapping[ClaimFault, Disbelief] = MappingProxyType(
    {
        ClaimFault.MISSING: Disbelief.MISSING,
        ClaimFault.DUPLICATED: Disbelief.DUPLICATED,
        ClaimFault.MALFORMED: Disbelief.MALFORMED,
    }
)


@dataclass(frozen=True, slots=True)
class Belief:
    """A claim that is believed: ``holder`` is the domain that answers for it."""

    claim: Claim
    holder: str
    way: Way


def outer_claim(raw: bytes) -> tuple[tuple[str, str], ...]:
    """The X-TLE fields of a mail's own header, as it came: not of a part that was signed or decrypted."""
    fields = header_fields(split(raw)[0])
    return claimed((name, octets.partition(b":")[2].decode("ascii", "replace")) for name, octets in fields)


def judge(incoming: Incoming, service: str, listed: Callable[[str], bool]) -> Belief | Disbelief | None:
    """Whether what a mail claims is believed; ``None`` where it claims nothing.

    ``service`` is the local part of every gateway's service address; ``listed`` says whether a domain is
    listed with the certificate of the peer that this mail came from.
    """
    outer = outer_claim(incoming.raw)
    if not outer:
        return None
    if incoming.local:
        return Disbelief.OWN_USER
    if len({name for name, _ in outer}) != len(outer):
        return Disbelief.DUPLICATED
    author = incoming.letter.author
    by_service = author is not None and author.address == f"{service}@{author.domain}"
    if author is not None and by_service and not incoming.encrypted:
        return _by_organisation(incoming, author.domain, outer, listed)
    return _by_domain(incoming, service, outer, listed)


def _by_organisation(
    incoming: Incoming,
    domain: str,
    outer: tuple[tuple[str, str], ...],
    listed: Callable[[str], bool],
) -> Belief | Disbelief:
    """Mail of the peer's service: its verdict has bound the signer to the From already."""
    signature = incoming.signature
    if signature.verdict is not Verdict.PASSED:
        return Disbelief.UNSIGNED if signature.verdict is Verdict.NONE else Disbelief.SIGNATURE
    if not listed(domain):
        return Disbelief.OTHER_DOMAIN
    inner = claimed(signature.protected_headers)
    if not inner or not set(outer) <= set(inner):
        return Disbelief.UNCOVERED
    if _USED.intersection(signature.differing_headers):
        return Disbelief.HEADERS_DIFFER
    return _believed(inner, domain, Way.ORGANISATION)


def _by_domain(
    incoming: Incoming,
    service: str,
    outer: tuple[tuple[str, str], ...],
    listed: Callable[[str], bool],
) -> Belief | Disbelief:
    """Mail of a person, passed on by the peer: signed for the author's domain, answered to the holder's.

    A key that cannot be had now proves nothing and delays no mail: it is ordinary mail then.
    """
    if not incoming.dkim.passed:
        return Disbelief.SIGNATURE if incoming.dkim.signatures else Disbelief.UNSIGNED
    own = [signature for signature in incoming.dkim.passed if listed(signature.domain)]
    if not own:
        return Disbelief.OTHER_DOMAIN
    if not any(_covers(signature) for signature in own):
        return Disbelief.UNCOVERED
    answers_to = [
        mailbox for mailbox in incoming.letter.reply_to if mailbox.address.startswith(f"{service}+")
    ]
    if len(answers_to) != 1 or not listed(answers_to[0].domain):
        return Disbelief.OTHER_DOMAIN
    return _believed(outer, answers_to[0].domain, Way.DOMAIN)


def _covers(signature: DkimSignature) -> bool:
    """Whether every X-TLE field and what else a mirror reads is named and oversigned: none was changed, none
    added.
    """
    named = all(map(signature.names, CLAIM_FIELDS)) and all(map(signature.oversigns, (*CLAIM_FIELDS, *_READ)))
    return named and signature.covers_all(PREFIX)


def _believed(fields: tuple[tuple[str, str], ...], holder: str, way: Way) -> Belief | Disbelief:
    claim = read_claim(fields)
    return _FAULTS[claim] if isinstance(claim, ClaimFault) else Belief(claim, holder, way)


def may_be_for(claim: Claim, recipient: str) -> bool:
    """Whether the holder meant this mailbox of ours to have the mail."""
    return recipient.lower() in claim.to
