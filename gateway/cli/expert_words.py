"""The sentences of the preferences form in the operators' language; the checks that speak them are its."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

__all__ = ["SENTENCES"]

#: Sentence of ``forms.toml`` -> the same for who types options and not lines of a form.
SENTENCES: Mapping[str, str] = MappingProxyType(
    {
        "required": "cannot be empty",
        "too_long": "is too long: {longest} characters at most",
        "choice": "{typed!r} is none of: {options}",
        "choice_several": "{typed!r} may be several of: {options}",
        "yes_no": "{typed!r} is neither yes nor no",
        "billing_number": "wants an AM number (9 digits), or FINESS/specialty code such as 430000018/05",
        "billing_rpps": "is an RPPS or ADELI number; wants an AM number (9 digits) or FINESS/specialty code",
        "billing_specialty": "the specialty code behind the slash has 2 digits",
        "finess_key": "the key of this FINESS number looks wrong",
        "description_missing": "whoever is listed describes what is answered, its limits and territory",
        "delay": "{typed!r} is no number of days from 1 to 365",
        "specialty": "{typed!r} is no known specialty; the nearest: {nearest}",
        "specialty_strange": "{typed!r} is no known specialty: config/specialties.toml has them",
        "department": "{typed!r} is no department; the nearest: {nearest}",
        "department_strange": "{typed!r} is no department: wants a name or a code",
        "too_many": "{count} instead of {most} at most",
        "url": "wants an address that begins with https://, without spaces",
        "nir_without_identity": (
            "can be mandatory only where the identity is required: --nir optional, --nir none, or "
            "--identity required"
        ),
        "item": (
            "{typed!r} is not understood: write 'photo obligatoire : Vue rapprochée', "
            "'document facultatif : Dernier bilan' or 'réponse obligatoire : Ancienneté'"
        ),
        "items_usual": "no list is usual in these specialties: name each element",
        "item_count": "{typed!r}: from 1 to 50 elements of a kind, one answer a line",
        "item_twice": "{typed!r} is asked for twice",
        "absence_shape": "wants FROM..TO, such as 2026-08-01..2026-08-15",
        "absence_day": "has a day that no calendar has; wants FROM..TO, such as 2026-08-01..2026-08-15",
        "absence_order": "ends before it begins",
        "absence_past": "is over already",
        "absence_long": "lasts {most} days at most; beyond that --unlisted",
        "deputy_unknown": "{typed} is no active account of this service",
        "deputy_self": "nobody stands in for themselves",
        "file_kind": "{typed} may not be handed out: PDF, Word, OpenDocument, sheet, text or picture",
        "file_name_twice": "two different files are called {typed!r}: --detach one first",
        "files_many": "{count} files instead of {most} at most: --detach some",
        "files_large": "{size} MiB of files instead of {most} MiB at most: --detach some",
    }
)
