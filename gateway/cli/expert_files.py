"""Files that declare experts: TOML or JSON tables, read strictly, so that a misspelt key is told and not
lost.

A file holds a list ``experts``; each entry names its account (``address``, or ``local`` in the service's
domain)::

    [[experts]]
    local = "avis.dermatologie"
    description = "Lésions suspectes, dermatoses inflammatoires."
    limits = "Aucun avis à visée esthétique."
    departments = ["43", "07"]
    delay_days = 2
    items = [{ name = "Vue d'ensemble", kind = "image", mandatory = true }]
    documents = ["fiche-dermatologie.pdf"]

The keys are those of :class:`teleexpertise.people.Expert`; ``anonymous = true`` stands for its policy,
and ``documents`` are the paths of files beside this one.
"""

from __future__ import annotations

import json
import mimetypes
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from config import departments
from gateway.errors import GatewayError
from teleexpertise.declaring import MOST_FILE_OCTETS, MOST_FILES, file_may_be_handed_out
from teleexpertise.people import (
    Account,
    Document,
    Expert,
    IdentityPolicy,
    ItemKind,
    NirPolicy,
    PrerequisiteItem,
)
from teleexpertise.spelling import nearest

__all__ = ["ExpertFile", "read_experts"]

_Line = Annotated[str, Field(max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")]
_Words = Annotated[str, Field(max_length=4000)]
_Named = Annotated[_Line, Field(min_length=1)]


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Item(_Entry):
    name: _Named
    kind: ItemKind
    mandatory: bool = False
    count: int = Field(default=1, ge=1, le=50)


class _Declaration(_Entry):
    """One entry as written."""

    local: str = ""
    address: str = ""
    description: Annotated[_Words, Field(min_length=1)]
    limits: _Words = ""
    specialties: tuple[_Named, ...] = ()
    departments: tuple[str, ...] = ()
    delay_days: int = Field(default=7, ge=1, le=365)
    anonymous: bool = False
    nir: NirPolicy = NirPolicy.OPTIONAL
    prerequisites: _Words = ""
    items: tuple[_Item, ...] = ()
    documents: tuple[str, ...] = ()
    tool_url: str = Field(default="", pattern=r"^(https://[^\s<>\"]+)?$")
    listed: bool = True


@dataclass(frozen=True, slots=True)
class ExpertFile:
    """What a file declares: experts whose account is there, and a sentence for each thing that is wrong."""

    experts: tuple[Expert, ...]
    problems: tuple[str, ...]


def read_experts(path: Path, domain: str, accounts: Mapping[str, Account]) -> ExpertFile:
    """Read the experts of a file; ``accounts`` are those of the deployment by address, ``domain`` that of
    ``local``.

    Raises :class:`GatewayError` for a file that is no such list at all.
    """
    experts: dict[str, Expert] = {}
    problems: list[str] = []
    for number, table in enumerate(_tables(path), start=1):
        try:
            entry = _Declaration.model_validate(table)
            expert = _expert(entry, path.parent, _address(entry, domain), accounts)
            if expert.account.address in experts:
                raise _Wrong("is declared twice")
            experts[expert.account.address] = expert
        except ValidationError as error:
            problems += [f"{path.name}: {_called(number, table)}: {text}" for text in _sentences(error)]
        except _Wrong as error:
            problems.append(f"{path.name}: {_called(number, table)}: {error}")
    return ExpertFile(tuple(experts.values()), tuple(problems))


class _Wrong(Exception):
    """An entry that cannot be used, in a sentence."""


def _tables(path: Path) -> list[Any]:
    try:
        text = path.read_bytes().decode("utf-8")
        data = json.loads(text) if path.suffix.lower() == ".json" else tomllib.loads(text)
    except OSError as error:
        raise GatewayError(f"{path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise GatewayError(f"{path}: {error}") from error
    experts = data.get("experts") if isinstance(data, dict) else None
    if not isinstance(experts, list) or not experts:
        raise GatewayError(f"{path}: holds no list `experts`")
    return experts


def _called(number: int, table: object) -> str:
    """How an entry is called in a sentence: by its place, and by its account where it names one."""
    name = (table.get("address") or table.get("local")) if isinstance(table, dict) else None
    return f"expert {number} ({name})" if isinstance(name, str) else f"expert {number}"


def _sentences(error: ValidationError) -> Iterator[str]:
    for item in error.errors(include_url=False, include_context=False, include_input=False):
        *above, last = (str(part) for part in item["loc"] or ("entry",))
        key = ".".join((*above, last))
        if item["type"] == "extra_forbidden":
            known = _Item.model_fields if above else _Declaration.model_fields
            yield f"unknown key {key!r}; {nearest(last, known)}"
        elif item["type"] == "missing":
            yield f"{key} is missing"
        else:
            yield f"{key}: {item['msg'].replace('Input should', 'should')}"


def _address(entry: _Declaration, domain: str) -> str:
    if bool(entry.local) == bool(entry.address):
        raise _Wrong("wants `address`, or `local` for an account of the service's domain")
    return (entry.address or f"{entry.local}@{domain}").lower()


def _expert(entry: _Declaration, folder: Path, address: str, accounts: Mapping[str, Account]) -> Expert:
    account = accounts.get(address)
    if account is None:
        raise _Wrong(f"there is no account {address}; `gateway account add` makes it")
    if entry.anonymous and entry.nir is NirPolicy.MANDATORY:
        raise _Wrong('nir = "mandatory" goes without anonymous = true: a number is an identity')
    known = departments()
    for code in entry.departments:
        if code not in known:
            raise _Wrong(f"departments: {code!r} is no department code")
    specialties = entry.specialties or tuple(filter(None, (account.specialty,)))
    return Expert(
        account=account,
        description=entry.description.strip(),
        limits=entry.limits.strip(),
        specialties=specialties,
        departments=entry.departments,
        delay_days=entry.delay_days,
        identity=IdentityPolicy.ANONYMOUS_ALLOWED if entry.anonymous else IdentityPolicy.REQUIRED,
        nir=entry.nir,
        prerequisites=entry.prerequisites.strip(),
        items=tuple(PrerequisiteItem(**item.model_dump()) for item in entry.items),
        documents=tuple(_documents(entry, folder)),
        tool_url=entry.tool_url,
        listed=entry.listed,
    )


def _documents(entry: _Declaration, folder: Path) -> Iterator[Document]:
    """The files to hand out: beside the declaration, so that nothing else of the machine is sent by
    mistake.
    """
    left = MOST_FILE_OCTETS
    if len(entry.documents) > MOST_FILES:
        raise _Wrong(f"documents: {len(entry.documents)} instead of {MOST_FILES} at most")
    for name in entry.documents:
        path = folder / name
        if not path.resolve().is_relative_to(folder.resolve()):
            raise _Wrong(f"documents: {name!r} is not beside the file")
        if not file_may_be_handed_out(path.name):
            raise _Wrong(f"documents: {name!r} is of no kind that requesters can open")
        try:
            left -= path.stat().st_size
            if left < 0:
                raise _Wrong(f"documents: more than {MOST_FILE_OCTETS // 1024 // 1024} MiB together")
            content = path.read_bytes()
        except OSError as error:
            raise _Wrong(f"documents: {name!r}: {error.strerror}") from error
        kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        yield Document(filename=path.name, content_type=kind, content=content)
