"""How the expert commands show what an account declares: as text and as JSON data, all of it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from gateway.cli.context import say
from teleexpertise.absences import Waiting
from teleexpertise.declaring import Declaration
from teleexpertise.people import Absence, Expert

__all__ = ["days", "described", "described_expert", "print_declaration", "print_waiting", "state"]


def state(found: Expert) -> str:
    """Whether the directory shows an expert."""
    if not found.account.active:
        return "suspended"
    return "listed" if found.listed else "not listed"


def days(absence: Absence) -> str:
    """An absence in one line."""
    span = f"{absence.starts} to {absence.ends}"
    return f"{span}, deputy {absence.deputy}" if absence.deputy else span


def described_expert(found: Expert) -> dict[str, Any]:
    """An expert as JSON data; of documents their name, type and size in octets."""
    documents = [
        {"filename": each.filename, "content_type": each.content_type, "size": len(each.content)}
        for each in found.documents
    ]
    return {**asdict(found), "documents": documents}


def described(declared: Declaration) -> dict[str, Any]:
    """A declaration as JSON data: ``expert`` is ``None`` where nothing is declared."""
    expert = declared.expert
    return {
        "account": asdict(declared.account),
        "expert": described_expert(expert) if expert is not None else None,
    }


def print_declaration(declared: Declaration) -> None:
    """Print all that an account declares, a line each."""
    account, expert = declared.account, declared.expert
    say(f"{account.name} <{account.address}>, {state(expert) if expert else 'not declared as an expert'}")
    lines = dict(_of_expert(expert)) if expert is not None else {}
    lines |= {
        "billing number": account.billing_number,
        "unit": account.unit,
        "news": str(account.notice),
        "reports": "filed by patient" if account.files_reports else "not filed by patient",
    }
    for label, text in lines.items():
        if text:
            say(f"{label}: {' '.join(text.split())}")
    for item in expert.items if expert else ():
        duty = "mandatory" if item.mandatory else "optional"
        say(f"element: {item.name} ({item.kind}, {duty}, {item.count})")
    for document in expert.documents if expert else ():
        say(f"document: {document.filename} ({document.content_type}, {len(document.content)} octets)")


def print_waiting(declared: Declaration, waiting: Waiting) -> None:
    """Print what an announced absence finds waiting today, where it finds anything."""
    absence = declared.expert.absence if declared.expert is not None else None
    if absence is None:
        return
    when = f"from {absence.starts} on, if waiting still"
    if waiting.passed_on:
        say(f"waiting: {waiting.passed_on}, which {absence.deputy} joins {when}")
    if waiting.told:
        say(f"waiting: {waiting.told}, whose requesters are told that nobody stands in, {when}")


def _of_expert(found: Expert) -> dict[str, str]:
    return {
        "specialties": ", ".join(found.specialties),
        "departments": ", ".join(found.departments),
        "delay": f"{found.delay_days} days",
        "identity": found.identity,
        "NIR": found.nir,
        "other tool": found.tool_url,
        "absence": days(found.absence) if found.absence else "",
        "description": found.description,
        "limits": found.limits,
        "prerequisites": found.prerequisites,
    }
