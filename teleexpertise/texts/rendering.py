"""The renderer of mails: two Jinja2 environments over the same templates, one for text and one for HTML."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import tzinfo

from jinja2 import Environment
from jinja2.runtime import Context

from teleexpertise.texts import typography
from teleexpertise.texts.contexts import Mail
from teleexpertise.texts.environment import french_environment
from teleexpertise.texts.views import ServiceView
from teleexpertise.texts.words import Words, load_words

__all__ = ["Body", "Texts"]


@dataclass(frozen=True, slots=True)
class Body:
    """A mail ready for the composer: one-line subject, text and HTML parts with LF line ends."""

    subject: str
    text: str
    html: str


class Texts:
    """Renders every mail that the gateway writes. Built once by the composition root and shared: it has no
    state.
    """

    def __init__(self, service: ServiceView, zone: tzinfo) -> None:
        """``service`` signs every mail; dates are shown in ``zone``."""
        self.words: Words = load_words()
        self._service = service
        self._text = self._environment("txt", zone)
        self._html = self._environment("html", zone)

    def render(self, mail: Mail) -> Body:
        """Both parts and the subject of one mail. Raises ``jinja2.UndefinedError`` for a template's own
        mistake.
        """
        values = self._values(mail)
        return Body(
            subject=self._line(mail, "subject"),
            text=typography.tidy(self._text.get_template(mail.template).render(values)),
            html=self._html.get_template(mail.template).render(values).strip() + "\n",
        )

    def sentence(self, mail: Mail) -> str:
        """The one line that says it all, where a template has one (refusals, for the SMTP dialogue), '' if
        not.
        """
        return self._line(mail, "sentence")

    def _line(self, mail: Mail, block: str) -> str:
        template = self._text.get_template(mail.template)
        if block not in template.blocks:
            return ""
        context: Context = template.new_context(self._values(mail))
        return typography.one_line("".join(template.blocks[block](context)).replace("\u00a0", " "))

    def _values(self, mail: Mail) -> dict[str, object]:
        return {field.name: typography.clean(getattr(mail, field.name)) for field in fields(mail)}

    def _environment(self, form: str, zone: tzinfo) -> Environment:
        environment = french_environment("teleexpertise.texts", self.words, zone, html=form == "html")
        environment.globals.update(layout=f"layout.{form}", kit_name=f"kit.{form}", service=self._service)
        return environment
