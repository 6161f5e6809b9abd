"""Forms that people fill in by Reply: declared in ``forms.toml``, rendered, found again, read and validated.

The way of one form: :func:`request_form` and its siblings make a :class:`Form`; :func:`render_text` and
:func:`render_html` write a :class:`FormCopy` of it; :func:`find_form` finds the copy in an answer (its id
says which form it was); :func:`read_form` takes the lines apart; :func:`validate` types the values or says
what is wrong.
"""

from teleexpertise.forms.building import (
    NEW_PATIENT,
    NO_PATIENT,
    ask_form,
    cancel_form,
    candidate_number,
    candidate_value,
    decline_form,
    delegates_form,
    element_answers,
    filing_form,
    finalise_form,
    preferences_form,
    request_form,
    synthesis_form,
)
from teleexpertise.forms.declarations import (
    Catalogue,
    Field,
    FieldKind,
    Form,
    FormKind,
    Option,
    Value,
    load_catalogue,
)
from teleexpertise.forms.finding import FormLine, FoundForm, find_form, has_end_mark
from teleexpertise.forms.ids import form_identity, form_token
from teleexpertise.forms.marks import exchange_line
from teleexpertise.forms.reading import FormReading, read_form
from teleexpertise.forms.rendering import FormCopy, render_html, render_text
from teleexpertise.forms.validation import Validation, validate

__all__ = [
    "NEW_PATIENT",
    "NO_PATIENT",
    "Catalogue",
    "Field",
    "FieldKind",
    "Form",
    "FormCopy",
    "FormKind",
    "FormLine",
    "FormReading",
    "FoundForm",
    "Option",
    "Validation",
    "Value",
    "ask_form",
    "cancel_form",
    "candidate_number",
    "candidate_value",
    "decline_form",
    "delegates_form",
    "element_answers",
    "exchange_line",
    "filing_form",
    "finalise_form",
    "find_form",
    "form_identity",
    "form_token",
    "has_end_mark",
    "load_catalogue",
    "preferences_form",
    "read_form",
    "render_html",
    "render_text",
    "request_form",
    "synthesis_form",
    "validate",
]
