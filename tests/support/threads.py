"""One tele-expertise as both of its clients see it: asked by form, answered by Reply, closed by form."""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Any

from tests.support import region
from tests.support.forms import form_of, quoted, typed_into
from tests.support.gateway import Client, TestGateway, eventually, text_of

FOLDER = "Téléexpertises"
_NUMBERS = itertools.count(1)
_SYLLABLES = ["BA", "DE", "FI", "GO", "LU", "MA", "NE", "RI", "SO", "TU"]


def patient_name() -> str:
    """A birth name that no other test has: ``MANERI`` and the like."""
    number, name = next(_NUMBERS), ""
    for _ in range(3):
        number, digit = divmod(number, 10)
        name += _SYLLABLES[digit]
    return f"X{name}"


def request_values(**changes: str) -> dict[str, str]:
    """What a request form needs, by label; ``changes`` by the names below."""
    values = {
        "Nom de naissance": patient_name(),
        "Prénoms": "Jeanne Marie",
        "Date de naissance": "03/02/1957",
        "Sexe": "F",
        "Consentement": "oui",
        "Urgence": "7 jours",
        "Question": "Lésion pigmentée du mollet, 9 mm. Faut-il une exérèse ?",
    }
    names = {
        "name": "Nom de naissance",
        "first": "Prénoms",
        "born": "Date de naissance",
        "sex": "Sexe",
        "consent": "Consentement",
        "urgency": "Urgence",
        "question": "Question",
        "anonymous": "Patient anonyme",
        "nir": "NIR ou INS",
        "insured": "NIR de l'assuré",
        "birth_place": "Lieu de naissance",
        "first_first": "Premier prénom de naissance",
        "used": "Nom utilisé",
        "used_first": "Prénom utilisé",
        "qualified": "Identité qualifiée",
        "phone": "Téléphone",
        "acting": "Agir en tant que",
        "billing": "Votre numéro de facturation",
        "treating": "Médecin traitant",
    }
    for name, value in changes.items():
        values[names[name]] = value
    return values


def photo(name: str = "photo.jpg", size: int = 3000) -> tuple[str, bytes]:
    """A file name and the octets of something that calls itself a picture."""
    return name, random.randbytes(size)


def attach(message: EmailMessage, *photos: tuple[str, bytes]) -> EmailMessage:
    """Attach pictures as a client does."""
    for name, content in photos:
        message.add_attachment(content, maintype="image", subtype="jpeg", filename=name)
    return message


def request_form(client: Client, expert: Any = region.DERMATOLOGIST) -> EmailMessage:
    """Ask for the request form of an expert."""
    return client.ask_service(f"Nouvelle téléexpertise {expert.address}")


def answered(client: Client, form: EmailMessage, values: Mapping[str, str]) -> EmailMessage:
    """The Reply to a form's mail with values typed into its quotation."""
    return client.reply(form, quoted(typed_into(text_of(form), values)))


def attachments(mail: EmailMessage) -> dict[str, bytes]:
    """The attached files by name, the signature left out."""
    return {
        str(part.get_filename()): part.get_payload(decode=True)  # type: ignore[misc]
        for part in mail.walk()
        if part.get_content_disposition() == "attachment" and part.get_filename() != "smime.p7s"
    }


def reference_in(mail: EmailMessage) -> str:
    """The reference that a mail of ours shows in its subject."""
    match = re.search(r"TLE-\d{4}-\d{6}", str(mail["subject"]))
    assert match is not None, f"no reference in {mail['subject']!r}"
    return match[0]


@dataclass(slots=True)
class Thread:
    """A conversation between two clients. ``photos`` and ``values`` are what the request brought."""

    ref: str
    requester: Client
    expert: Client
    opened_by: EmailMessage
    confirmation: EmailMessage
    values: dict[str, str] = field(default_factory=dict)
    photos: tuple[tuple[str, bytes], ...] = ()

    @property
    def gateway(self) -> TestGateway:
        """Where it is played."""
        return self.requester.gateway

    def seen_by(self, client: Client) -> list[EmailMessage]:
        """Its mails in the folder of an account, oldest first."""
        return [mail for mail in client.mails(FOLDER) if mail["x-tle-ref"] == self.ref]

    def raw_seen_by(self, client: Client) -> list[tuple[bytes, tuple[str, ...]]]:
        """The same as octets with flags."""
        mark = f"\r\nX-TLE-Ref: {self.ref}\r\n".encode()
        return [(raw, flags) for raw, flags in client.raw_mails(FOLDER) if mark in raw]

    def wait(self, client: Client, matches: Callable[[EmailMessage], bool] | str) -> EmailMessage:
        """The newest of its mails that matches (a text: its subject contains it)."""
        test = (lambda mail: matches in str(mail["subject"])) if isinstance(matches, str) else matches

        def look() -> EmailMessage | None:
            return next((mail for mail in reversed(self.seen_by(client)) if test(mail)), None)

        return eventually(look, f"{matches!r} of {self.ref} at {client.address}")

    def copy_of(self, client: Client, sent: EmailMessage) -> EmailMessage:
        """An account's copy of a mail that somebody sent."""
        return self.wait(client, lambda mail: mail["message-id"] == sent["message-id"])

    def question(self, client: Client) -> EmailMessage:
        """The request as an account got it."""
        return self.wait(client, "Demande de téléexpertise")

    def say(self, client: Client, text: str, *photos: tuple[str, bytes]) -> EmailMessage:
        """Reply to the newest mail of the thread that this account has."""
        self.question(client)
        return client.send(attach(client.reply(self.seen_by(client)[-1], text), *photos))

    def tell(self, client: Client, text: str, *photos: tuple[str, bytes]) -> EmailMessage:
        """Say something and wait until both sides have it."""
        sent = self.say(client, text, *photos)
        for reader in (self.requester, self.expert):
            self.copy_of(reader, sent)
        return sent

    def state(self, client: Client) -> str:
        """The state that the keywords of an account's mails show, '' while they do not agree."""
        flags = [set(flags) for _, flags in self.raw_seen_by(client)]
        states = {flag[4:] for found in flags for flag in found if flag.startswith("tle_")}
        return states.pop() if len(states) == 1 else ""

    def reaches(self, state: str) -> None:
        """Wait until both accounts show a state."""
        for client in (self.requester, self.expert):
            eventually(
                lambda client=client: self.state(client) == state,  # type: ignore[misc]
                f"{self.ref} {state} at {client.address}",
            )

    def form(self, client: Client, command: str) -> EmailMessage:
        """Ask for a form about this conversation."""
        return client.ask_service(f"{command} {self.ref}")

    def close(self, client: Client, command: str, **values: str) -> EmailMessage:
        """Fill the form of a command; returns the service's answer."""
        form = self.form(client, command)
        labels = {"reason": "Motif", "items": "Éléments demandés", "conclusion": "Conclusion"}
        typed = {labels[name]: value for name, value in values.items()}
        return client.answer_to(client.send(answered(client, form, typed)))

    def finalise(self, client: Client, conclusion: str = "Exérèse complète.", **lines: str) -> EmailMessage:
        """Fill the finalisation form; returns the service's answer."""
        form = self.form(client, "Finaliser")
        values = {"Conclusion": conclusion, "Suite proposée": "Surveillance", **lines}
        return client.answer_to(client.send(answered(client, form, values)))

    def report(self, client: Client, version: int = 1) -> tuple[EmailMessage, bytes]:
        """The mail that brings the report, and the PDF."""
        name = f"{self.ref}-v{version}.pdf"
        mail = self.wait(client, lambda mail: name in attachments(mail))
        return mail, attachments(mail)[name]


def open_thread(
    gateway: TestGateway,
    requester: Any = region.GP,
    expert: Any = region.DERMATOLOGIST,
    photos: int = 1,
    **changes: str,
) -> Thread:
    """Ask an expert by form and wait for the confirmation."""
    asking, asked = gateway.client(requester), gateway.client(expert)
    values = request_values(**changes)
    pictures = tuple(photo(f"photo {number}.jpg") for number in range(1, photos + 1))
    form = request_form(asking, expert)
    sent = asking.send(attach(answered(asking, form, values), *pictures))
    confirmation = asking.answer_to(sent)
    assert "ouverte" in str(confirmation["subject"]), text_of(confirmation)
    return Thread(reference_in(confirmation), asking, asked, sent, confirmation, values, pictures)


__all__ = [
    "FOLDER",
    "Thread",
    "answered",
    "attach",
    "attachments",
    "form_of",
    "open_thread",
    "patient_name",
    "photo",
    "reference_in",
    "request_form",
    "request_values",
]
