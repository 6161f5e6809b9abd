"""The trust space of operators: the national list (domain -> certificate names) and what it allows.

The list is the public format of `listeblanchemssante.xml`; a copy of it is not always well formed, so reading
is strict and the caller keeps the last good list on any fault.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from lxml import etree

from certs.names import DistinguishedName, NameFault

__all__ = [
    "OperatorDecision",
    "OperatorReason",
    "TrustEntry",
    "TrustList",
    "TrustListFault",
    "list_is_current",
    "normal_domain",
    "read_trust_list",
    "recipient_listed",
    "render_trust_list",
    "sender_allowed",
    "server_allowed",
    "xml_parser",
]

NAMESPACE = "https://listeblanche.mssante.fr/schema"
MAXIMUM_SIZE = 32 * 1024 * 1024
"""Octets of a list; 9,000 entries take about 6 MB."""
MAXIMUM_ENTRIES = 100_000

_LABELS = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?(?:\.[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?)*")


class TrustListFault(ValueError):
    """A list that cannot be read as a whole."""


class OperatorReason(StrEnum):
    """Why a peer may or may not send, or a recipient may or may not be sent to."""

    LISTED = "listed"
    DOMAIN_INVALID = "domain-invalid"
    DOMAIN_UNLISTED = "domain-unlisted"
    NAME_UNLISTED = "name-unlisted"
    """The domain is listed, with certificates of other names."""
    LIST_STALE = "list-stale"


@dataclass(frozen=True, slots=True)
class OperatorDecision:
    """What the list says, with the SMTP answer that follows from it (250 when allowed).

    `subject` is the domain that decided, lower case, empty when none did.
    """

    allowed: bool
    code: int
    enhanced: str
    reason: OperatorReason
    subject: str = ""


@dataclass(frozen=True, slots=True)
class TrustEntry:
    """One line of the list: a domain and one name of a certificate of its operator."""

    domain: str
    name: DistinguishedName
    description: str = ""


@dataclass(frozen=True, slots=True)
class TrustList:
    """Domains (A-labels, lower case) with the names of certificates that serve them, and when the list was
    made.

    `faults` tells of entries that were left out because their domain or name cannot be read: such a domain is
    not listed, the others are not punished for it.
    """

    domains: Mapping[str, frozenset[DistinguishedName]]
    generated: datetime
    faults: tuple[str, ...] = ()


def normal_domain(domain: str) -> str:
    """Return a domain in lower case as A-labels, without a final dot. Raises ValueError for what is none."""
    text = domain.strip().rstrip(".")
    if len(text) > 253:
        raise ValueError("domain too long")
    ascii_form = text.lower() if text.isascii() else text.encode("idna").decode("ascii").lower()
    if _LABELS.fullmatch(ascii_form) is None:
        raise ValueError("not a domain")
    return ascii_form


def xml_parser(remove_comments: bool = False) -> etree.XMLParser:
    """Make a parser that expands nothing and fetches nothing; one per document, since it keeps state."""
    return etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        remove_comments=remove_comments,
        remove_pis=remove_comments,
    )


def read_trust_list(document: bytes) -> TrustList:
    """Read the national XML: no DTD, no entities, no network, at most 32 MiB. Raises TrustListFault."""
    if len(document) > MAXIMUM_SIZE:
        raise TrustListFault("list too large")
    try:
        root = etree.fromstring(document, xml_parser(remove_comments=True))
    except (etree.XMLSyntaxError, ValueError) as error:
        raise TrustListFault(f"not well formed: {str(error)[:200]}") from error
    if root.getroottree().docinfo.internalDTD is not None:
        raise TrustListFault("a document type is not allowed")
    if root.tag != _tag("ListeBlancheMSSante"):
        raise TrustListFault("unknown root element")
    generated = _moment(root.findtext(_tag("DateDeGeneration")))
    container = root.find(_tag("ListeDomaines"))
    if container is None:
        raise TrustListFault("no ListeDomaines")
    entries = container.findall(_tag("Domaine"))
    if not entries or len(entries) > MAXIMUM_ENTRIES:
        raise TrustListFault(f"{len(entries)} entries")
    return _collect(
        ((_text(entry, "Nom"), _text(entry, "DNCertificatOperateur")) for entry in entries), generated
    )


def _collect(entries: Iterable[tuple[str, str]], generated: datetime) -> TrustList:
    domains: dict[str, set[DistinguishedName]] = {}
    names: dict[str, DistinguishedName] = {}  # a few hundred names stand for thousands of domains
    faults: list[str] = []
    for domain, text in entries:
        try:
            name = names.get(text)
            if name is None:
                name = names[text] = DistinguishedName.from_text(text)
            domains.setdefault(normal_domain(domain), set()).add(name)
        except NameFault as fault:
            faults.append(f"{domain[:80]}: {fault}")
        except ValueError:
            faults.append(f"{domain[:80]}: not a domain")
    if not domains:
        raise TrustListFault("no readable entry")
    frozen = MappingProxyType({domain: frozenset(allowed) for domain, allowed in domains.items()})
    return TrustList(frozen, generated, tuple(faults))


def _tag(name: str) -> str:
    return f"{{{NAMESPACE}}}{name}"


def _text(entry: etree._Element, name: str) -> str:
    text = entry.findtext(_tag(name))
    if text is None or not text.strip():
        raise TrustListFault(f"an entry has no {name}")
    return text.strip()


def _moment(text: str | None) -> datetime:
    try:
        moment = datetime.fromisoformat((text or "").strip())
    except ValueError as error:
        raise TrustListFault("DateDeGeneration") from error
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def render_trust_list(entries: Sequence[TrustEntry], now: datetime) -> bytes:
    """Write a list in the national format, for demonstrations and tests."""
    stamp = now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    namespaces: Any = {None: NAMESPACE}  # the stubs do not know the default namespace
    root = etree.Element(_tag("ListeBlancheMSSante"), nsmap=namespaces)
    etree.SubElement(root, _tag("DateDeGeneration")).text = stamp
    container = etree.SubElement(root, _tag("ListeDomaines"))
    for entry in entries:
        element = etree.SubElement(container, _tag("Domaine"))
        for name, text in (
            ("Nom", entry.domain),
            ("Description", entry.description),
            ("DNCertificatOperateur", entry.name.text),
            ("ResponsableContact", ""),
            ("SupportContact", ""),
            ("DateMAJ", stamp),
        ):
            etree.SubElement(element, _tag(name)).text = text
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8", pretty_print=True)


def sender_allowed(
    trusted: TrustList, name: DistinguishedName, mail_from: str, from_address: str
) -> OperatorDecision:
    """Decide whether the peer of this certificate name may send for MAIL FROM and From.

    Both domains must be listed with the name; a null MAIL FROM (`""`, a report) leaves the From domain alone
    to decide. Before DATA the From is not known yet: pass `mail_from` twice.
    """
    addresses = (mail_from, from_address) if mail_from else (from_address,)
    for address in addresses:
        _, at, domain = address.rpartition("@")
        decision = server_allowed(trusted, name, domain if at else "")
        if not decision.allowed:
            return decision
    return decision


def server_allowed(trusted: TrustList, name: DistinguishedName, domain: str) -> OperatorDecision:
    """Decide whether the server of this certificate name serves `domain`: asked before it gets mail."""
    listed = recipient_listed(trusted, domain)
    if not listed.allowed or name in trusted.domains[listed.subject]:
        return listed
    return OperatorDecision(False, 550, "5.7.1", OperatorReason.NAME_UNLISTED, listed.subject)


def recipient_listed(trusted: TrustList, domain: str) -> OperatorDecision:
    """Decide whether `domain` belongs to the trust space at all: asked when a recipient is submitted."""
    try:
        normal = normal_domain(domain)
    except ValueError:
        return OperatorDecision(False, 550, "5.1.2", OperatorReason.DOMAIN_INVALID)
    if normal not in trusted.domains:
        return OperatorDecision(False, 550, "5.7.1", OperatorReason.DOMAIN_UNLISTED, normal)
    return OperatorDecision(True, 250, "2.1.0", OperatorReason.LISTED, normal)


def list_is_current(trusted: TrustList, now: datetime, maximum_age: timedelta) -> OperatorDecision:
    """Decide whether the list is young enough to be believed; a stale one answers 451 4.7.1."""
    if now - trusted.generated > maximum_age:
        return OperatorDecision(False, 451, "4.7.1", OperatorReason.LIST_STALE)
    return OperatorDecision(True, 250, "2.1.0", OperatorReason.LISTED)
