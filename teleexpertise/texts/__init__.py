"""Mails in French: one template per mail, rendered twice, as plain text and as HTML, both complete.

``Texts(service, zone).render(context) -> Body``: the class of the context names the template.
"""

from teleexpertise.texts.rendering import Body, Texts
from teleexpertise.texts.views import Link, ServiceView
from teleexpertise.texts.words import Words, load_words

__all__ = [
    "Body",
    "Link",
    "ServiceView",
    "Texts",
    "Words",
    "load_words",
]
