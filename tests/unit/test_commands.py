"""Commands by subject: as people and clients write them, and their links."""

from __future__ import annotations

from email.message import EmailMessage
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from teleexpertise.commands import (
    MAILTO_LIMIT,
    Annuaire,
    Ask,
    Cancel,
    Command,
    Confirm,
    Decline,
    Delegates,
    Finalise,
    Help,
    Invite,
    MailtoTooLong,
    NewRequest,
    PatientSearch,
    Preferences,
    Remove,
    Synthesis,
    Unknown,
    Worklist,
    command_subject,
    mailto,
    read_command,
    subject_reference,
)

REF = "TLE-2026-000123"
TOKEN = "abcdefghijklmnopqrstuvwxyz234567abcdefghij"


@pytest.mark.parametrize(("subject", "command"), [
    ("Annuaire dermatologie 43", Annuaire("dermatologie 43")),
    ("RE: annuaire dermatologie 43", Annuaire("dermatologie 43")),
    ("Annuaire : dermatologie 43", Annuaire("dermatologie 43")),
    ("ANNUAIRE\u00a0dermatologie  43 page 2", Annuaire("dermatologie 43", 2)),
    ("Annuaire avis", Annuaire("avis")),
    ("Annuaire", Annuaire("")),
    ("Avis", Annuaire("Avis")),
    ("avis page 3", Annuaire("avis", 3)),
    ("Avis dermatologie", Annuaire("Avis dermatologie")),
    ("Nouvelle téléexpertise avis.dermato@ch.example", NewRequest("avis.dermato@ch.example")),
    ("Nouvelle télé-expertise Dr Rémy PERRET", NewRequest("Dr Rémy PERRET")),
    ("nouvelle tele-expertise : Dr Rémy PERRET", NewRequest("Dr Rémy PERRET")),
    ("Nouvelle Tele\u2010Expertise Dr Zoé", NewRequest("Dr Zoé")),
    ("Nouvelle téléexpertise", NewRequest("")),
    ("Nouvelle te\u0301le\u0301expertise Dr Zoé", NewRequest("Dr Zoé")),
    ("Préférences", Preferences()),
    ("RE: preferences", Preferences()),
    ("Mes préférences :", Preferences()),
    ("Préférences Avis.Dermato@ch.example", Preferences("avis.dermato@ch.example")),
    ("Préférences : <avis.dermato@ch.example>", Preferences("avis.dermato@ch.example")),
    ("Préférences de avis.dermato@ch.example", Preferences("avis.dermato@ch.example")),
    ("Préférences de vacances", Unknown("Préférences de vacances")),
    ("Patient", PatientSearch("")),
    ("Re: patient : Dupont Jeanne", PatientSearch("Dupont Jeanne")),
    ("PATIENTE Dupont 03/02/1957", PatientSearch("Dupont 03/02/1957")),
    ("Patientez", Unknown("Patientez")),
    (
        "Nouvelle téléexpertise j.roux@chu.example pour le patient n° 12",
        NewRequest("j.roux@chu.example", 12),
    ),
    ("Délégués", Delegates()),
    ("Re: mes delegues", Delegates()),
    ("DÉLÉGUÉS : avis.dermato@ch.example", Delegates("avis.dermato@ch.example")),
    ("Délégués <Avis.Dermato@CH.example>", Delegates("avis.dermato@ch.example")),
    ("Délégués absents cet été", Unknown("Délégués absents cet été")),
    ("Mes téléexpertises", Worklist()),
    ("TR: Re : Mes tele-expertises", Worklist()),
    ("Mes téléexpertise", Worklist()),
    (f"Finaliser {REF}", Finalise(REF)),
    (f"Finaliser l’expertise {REF}", Finalise(REF)),
    (f"Finaliser la téléexpertise {REF}", Finalise(REF)),
    ("finaliser tle 2026 000123", Finalise(REF)),
    (f"Re: [{REF} - en cours] Finaliser", Finalise(REF)),
    (f"[{REF} - en cours] RE: Finaliser", Finalise(REF)),
    (f"Finaliser [{REF} - en cours]", Finalise(REF)),
    (f"[{REF} - en cours] Finaliser {REF}", Finalise(REF)),
    ("Finaliser", Finalise("")),
    (f"Synthese {REF}", Synthesis(REF)),
    (f"Synthèse {REF}", Synthesis(REF)),
    (f"Décliner {REF}", Decline(REF)),
    (f"DECLINER {REF}", Decline(REF)),
    (f"Annuler la demande {REF}", Cancel(REF)),
    (f"Complements {REF}", Ask(REF)),
    (f"Complément : {REF}", Ask(REF)),
    (f"Retirer Jeanne.Roux@chu.mssante.example {REF}", Remove("jeanne.roux@chu.mssante.example", REF)),
    (f"Inviter Jeanne.Roux@chu.mssante.example {REF}", Invite("jeanne.roux@chu.mssante.example", REF)),
    (f"RE: [{REF} - en cours] inviter : <j.roux@chu.example>", Invite("j.roux@chu.example", REF)),
    ("Inviter j.roux@chu.example", Invite("j.roux@chu.example", "")),
    (f"Confirmer {TOKEN.upper()}", Confirm(TOKEN)),
    ("Aide", Help()),
    ("AW: Fwd: aide ?", Help()),
    ("Aide-soignante", Unknown("Aide-soignante")),
    ("Re: Bonjour", Unknown("Bonjour")),
    ("", Unknown("")),
    ("Confirmer demain", Unknown("Confirmer demain")),
    (f"Merci de finaliser {REF}", Unknown(f"Merci de finaliser {REF}")),
    (f"Finaliser {REF} et TLE-2026-000124", Unknown(f"Finaliser {REF} et TLE-2026-000124")),
    (f"[{REF} - x] Finaliser TLE-2026-000999", Unknown(f"[{REF} - x] Finaliser TLE-2026-000999")),
    (f"Retirer Jeanne {REF}", Unknown(f"Retirer Jeanne {REF}")),
    (f"Inviter Jeanne {REF}", Unknown(f"Inviter Jeanne {REF}")),
    (f"Inviter {REF}", Unknown(f"Inviter {REF}")),
    (f"Invitera j.roux@chu.example {REF}", Unknown(f"Invitera j.roux@chu.example {REF}")),
    ("Avisé hier", Unknown("Avisé hier")),
])  # fmt: skip
def test_subjects(subject: str, command: Command) -> None:
    assert read_command(subject) == command


@pytest.mark.parametrize(("subject", "reference"), [
    (f"Re: [{REF} - en cours] votre demande", REF),
    ("photos pour tle\u00a02026\u2011000123.", REF),
    ("TLE-2026-000123 puis TLE-2026-000124", REF),
    ("TLE-2026-0001234", None),
    ("XTLE-2026-000123", None),
    ("TLE-2026-123", None),
    ("", None),
])  # fmt: skip
def test_references(subject: str, reference: str | None) -> None:
    assert subject_reference(subject) == reference


reference = st.from_regex(r"TLE-20[0-9]{2}-[0-9]{6}", fullmatch=True)
word = st.from_regex(r"[a-zA-Zàéèôç0-9'.-]{1,12}", fullmatch=True)
address = st.from_regex(r"[a-z]{1,8}\.[a-z]{1,8}@[a-z]{1,8}\.example", fullmatch=True)
terms = st.lists(word, min_size=1, max_size=5).map(" ".join).filter(lambda text: "page" not in text.lower())
commands: st.SearchStrategy[Command] = st.one_of(
    st.builds(Annuaire, terms, st.integers(1, 9999)),
    st.builds(NewRequest, st.one_of(address, terms)),
    st.builds(NewRequest, address, st.integers(1, 999_999_999)),
    st.builds(PatientSearch, terms),
    *(st.builds(kind, reference) for kind in (Finalise, Synthesis, Decline, Cancel, Ask)),
    *(st.builds(kind, address, reference) for kind in (Remove, Invite)),
    st.builds(Confirm, st.from_regex(r"[a-z2-7]{42}", fullmatch=True)),
    st.sampled_from([Worklist(), Help()]),
)  # fmt: skip


@given(commands, st.sampled_from(["", "Re: ", "RE : ", "TR: Re: ", "Fwd:AW:", "Ré: "]), st.booleans())
def test_every_built_subject_reads_as_its_command(command: Command, prefix: str, no_break: bool) -> None:
    subject = prefix + command_subject(command)
    assert read_command(subject.replace(" ", "\u00a0") if no_break else subject) == command


@given(st.text(max_size=2000))
def test_any_subject_is_read(subject: str) -> None:
    read_command(subject)
    subject_reference(subject)


@given(address, st.text(max_size=60))
def test_link_says_what_it_was_made_of(to: str, subject: str) -> None:
    link = urlsplit(mailto(to, subject))
    fields = parse_qs(link.query, keep_blank_values=True, strict_parsing=bool(link.query))
    assert (link.scheme, unquote(link.path), fields["subject"]) == ("mailto", to, [subject])


def test_link_of_a_reply_address_has_no_bare_plus() -> None:
    link = mailto("teleexpertise+abc@demo.mssante.example", "Finaliser")
    assert link == "mailto:teleexpertise%2Babc@demo.mssante.example?subject=Finaliser"


def test_longest_commands_fit_and_more_is_refused() -> None:
    to = f"teleexpertise+{TOKEN}@{'d' * 200}.example"
    longest: list[Command] = [
        NewRequest("é" * 200),
        Annuaire("é" * 200, 9999),
        Invite(f"{'x' * 64}@{'d' * 200}.example", REF),
    ]
    assert all(len(mailto(to, command_subject(command))) <= MAILTO_LIMIT for command in longest)
    with pytest.raises(MailtoTooLong):
        mailto(to, "é" * 300)


def test_subject_survives_header_encoding() -> None:
    message = EmailMessage()
    message["Subject"] = "Nouvelle téléexpertise Dr Rémy PERRET (Saint-Étienne)"
    assert read_command(str(message["Subject"])) == NewRequest("Dr Rémy PERRET (Saint-Étienne)")
