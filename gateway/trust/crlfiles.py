"""Revocation lists on disk: those that an operator put into the folder, and those that were fetched.

A fetched list lies there as ``fetched-<scope>.crl``: one file per issuer, key and distribution point,
replaced only by a verified list that was issued later. Of everything in the folder the newest per scope is
used.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import structlog

from certs.crls import CrlFacts, CrlFault, crl_facts, newest, verified_crl
from certs.paths import RevocationList, RevocationMode, TrustAnchors, TrustFault, load_anchors
from certs.pki import write_public
from config import Settings
from gateway.trust.bindings import sender_bindings

__all__ = ["MAXIMUM_CRL", "known_crls", "pki_anchors", "store_crl", "with_crls"]

MAXIMUM_CRL = 16 * 1024 * 1024
"""Octets of a fetched CRL; those of IGC-Santé have some hundred kilobytes."""
_FETCHED = "fetched-"


def pki_anchors(settings: Settings, crls: Sequence[CrlFacts]) -> TrustAnchors:
    """The configured authorities with revocation lists. Raises ``TrustFault``, ``OSError``,
    ``DeploymentIncomplete`` for a binding that is none.
    """
    pki = settings.pki
    intermediates = pki.smime_chain.read_bytes() if pki.smime_chain.exists() else b""
    if pki.intermediates is not None:
        intermediates += b"\n" + pki.intermediates.read_bytes()
    anchors = load_anchors(
        pki.anchors.read_bytes(),
        intermediates,
        revocation=RevocationMode(pki.revocation),
        grace=timedelta(hours=pki.crl_grace_hours),
        bindings=sender_bindings(settings),
    )
    return with_crls(anchors, crls)


def with_crls(anchors: TrustAnchors, crls: Sequence[CrlFacts]) -> TrustAnchors:
    """The same authorities with other revocation lists."""
    return replace(anchors, crls=tuple(RevocationList(each.der, each.issued, each.ends) for each in crls))


def known_crls(settings: Settings, broken: list[str] | None = None) -> dict[str, CrlFacts]:
    """The newest list of each scope in the folder, by scope.

    A fetched file that is broken is left out and told, since it will be fetched again; one that an operator
    put there raises ``TrustFault``, or is named in ``broken`` where the caller goes on without it.
    """
    folder = settings.pki.crls
    found: list[CrlFacts] = []
    for path in sorted(folder.glob("*.crl")) if folder.is_dir() else ():
        try:
            found.append(crl_facts(path.read_bytes()))
        except CrlFault as fault:
            if not path.name.startswith(_FETCHED):
                if broken is None:
                    raise TrustFault(f"{path.name}: {fault}") from fault
                broken.append(f"{path.name}: {fault}")
                continue
            structlog.get_logger("trust").error("crl.broken", file=path.name, reason=str(fault))
        except FileNotFoundError:
            continue  # replaced or taken away meanwhile
    return {facts.scope: facts for facts in newest(found)}


def store_crl(settings: Settings, body: bytes, anchors: TrustAnchors, now: datetime) -> tuple[CrlFacts, bool]:
    """Verify a fetched list and keep it; the facts, and whether it is news. Raises ``CrlFault``, ``OSError``.

    The network is not believed: a list older than the one held is refused, so that nobody can hide a
    revocation by serving yesterday's.
    """
    authorities = (*anchors.roots, *anchors.intermediates)
    facts = verified_crl(body, authorities, now, anchors.grace)
    held = known_crls(settings, []).get(facts.scope)
    if held is not None:
        if facts.issued < held.issued:
            issued, before = f"{facts.issued:%Y-%m-%dT%H:%M:%SZ}", f"{held.issued:%Y-%m-%dT%H:%M:%SZ}"
            raise CrlFault(f"issued {issued}, before the one held ({before})")
        if facts.issued == held.issued:
            return held, False
    settings.pki.crls.mkdir(parents=True, exist_ok=True)
    write_public(_place(settings.pki.crls, facts), facts.der)
    return facts, True


def _place(folder: Path, facts: CrlFacts) -> Path:
    return folder / f"{_FETCHED}{facts.scope[:32]}.crl"
