"""The Jinja2 environment that mails and reports share: French filters, strict names, packaged templates
only.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, tzinfo
from functools import partial
from importlib.resources import files

from jinja2 import Environment, FunctionLoader, StrictUndefined

from teleexpertise.patient_mail import masked
from teleexpertise.patients import Patient, age
from teleexpertise.texts import typography
from teleexpertise.texts.words import Words

__all__ = ["french_environment", "packaged"]

#: Below three years, paediatricians count months.
_GROWN = 3


def packaged(package: str) -> Callable[[str], str | None]:
    """A loader of the templates ``templates/<name>.j2`` of a package."""

    def source(name: str) -> str | None:
        resource = files(package).joinpath("templates", f"{name}.j2")
        return resource.read_text("utf-8") if resource.is_file() else None

    return source


def _years(patient: Patient, moment: datetime, zone: tzinfo) -> str:
    """A patient's age at a moment, as people say it of grown-ups and of infants; '' without a birth date."""
    years = age(patient, moment.astimezone(zone).date())
    if years is None or patient.birth_date is None:
        return ""
    if years >= _GROWN:
        return f"{years} ans"
    today = moment.astimezone(zone).date()
    born = patient.birth_date
    months = (today.year - born.year) * 12 + today.month - born.month - (today.day < born.day)
    return f"{months} mois"


def _addressee(address: str, words: Words) -> str:
    """An address as readers see it: a patient's, which is an INS, by who it is."""
    return words.of("forms", "patient") if masked(address) != address else address


def french_environment(package: str, words: Words, zone: tzinfo, *, html: bool) -> Environment:
    """An environment over the templates of ``package``; dates are shown in ``zone``, values escaped if
    ``html``.
    """
    environment = Environment(
        loader=FunctionLoader(packaged(package)),
        undefined=StrictUndefined,
        autoescape=html,  # noqa: S701 - the other form is plain text, where nothing is markup
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=[typography.FrenchSpaces],
        auto_reload=False,
    )
    environment.globals.update(word=words.of, label=words.label, bracket=words.bracket)
    environment.filters.update(
        day=typography.day,
        moment=partial(typography.moment, zone=zone),
        years=partial(_years, zone=zone),
        size=typography.size,
        euros=typography.euros,
        grouped=typography.grouped,
        thousands=typography.thousands,
        one_line=typography.one_line,
        addressee=partial(_addressee, words=words),
        wrap=typography.wrap,
        verbatim=typography.verbatim,
        line_breaks=typography.line_breaks,
        s=lambda count: "s" if count > 1 else "",
        item_line=lambda item, kit: kit.item(item),
        pair=lambda problem: (problem.label, problem.sentence),
    )
    return environment
