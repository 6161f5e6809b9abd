"""One sample context of every mail, for the tests of the templates and to look at. Invented people."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

from teleexpertise.events import AttachmentNote, Author, Billed, ReminderKind
from teleexpertise.patients import Patient
from teleexpertise.people import (
    Absence,
    Account,
    AccountKind,
    Document,
    Expert,
    ItemKind,
    Party,
    PrerequisiteItem,
)
from teleexpertise.texts import (
    Link,
    ServiceView,
    acting_contexts,
    contexts,
    directory_contexts,
    followup_contexts,
)
from teleexpertise.texts.standing import Standing
from tests.support.directory_samples import declaring_mails
from tests.support.document_samples import document_mails
from tests.support.export_samples import export_mails
from tests.support.patient_samples import patient_mails
from tests.support.search_samples import search_mails

NOW = datetime(2026, 11, 22, 9, 41, tzinfo=UTC)
REF = "TLE-2026-000123"
ADDRESS = "teleexpertise@demo.mssante.example"
SERVICE = ServiceView(name="Groupement de santé du Velay", address=ADDRESS)
PATIENT = Patient(
    birth_name="Fauxcompte",
    first_names="Bertille Anne",
    birth_date=date(1957, 3, 2),
    sex="F",
    ins="257039999900152",
)
ANONYMOUS = Patient(anonymous=True)
REQUESTER = Party(
    "nadege.arsac@demo.mssante.example",
    "Dr Nadège ARSAC",
    rpps="10100000017",
    billing_number="431000012",
    profession="Médecin généraliste",
    organisation="Maison de santé de Blavozy",
)
EXPERT = Party(
    "avis.dermatologie.puy@demo.mssante.example",
    "Avis Dermatologie CH LE PUY",
    billing_number="430000018/05",
    profession="Dermatologie",
    organisation="CH LE PUY",
)
AUTHOR = Author(REQUESTER.address, REQUESTER.name)
ACTING = Author(
    "remy.perret@demo.mssante.example", "Dr Rémy PERRET", EXPERT.address, "Avis Dermatologie CH LE PUY"
)
ITEMS = (
    PrerequisiteItem(name="Vue d'ensemble", kind=ItemKind.IMAGE, mandatory=True),
    PrerequisiteItem(
        name="Vue rapprochée avec une règle graduée", kind=ItemKind.IMAGE, mandatory=True, count=2
    ),
    PrerequisiteItem(name="Fiche dermatologie remplie", kind=ItemKind.DOCUMENT),
    PrerequisiteItem(name="Ancienneté de la lésion", kind=ItemKind.FIELD, mandatory=True),
)
SERVICE_EXPERT = Expert(
    account=Account(
        address=EXPERT.address,
        name=EXPERT.name,
        kind=AccountKind.SERVICE,
        specialty="Dermatologie",
        organisation="CH LE PUY",
        department="43",
        postcode="43000",
        town="Le Puy-en-Velay",
    ),
    description="Lésions suspectes, dermatoses inflammatoires et ulcères. Nous répondons aux soignants de la "
    "Haute-Loire et des départements voisins.",
    limits="Pas d'avis esthétique. Purpura fébrile ou décollement cutané : appelez-nous.",
    specialties=("Dermatologie",),
    departments=("43", "42", "07"),
    delay_days=2,
    prerequisites="Merci de joindre des photographies nettes, en lumière naturelle, et d'indiquer un numéro "
    "de téléphone où vous joindre.\nMerci de retourner la fiche ci-jointe complétée.",
    items=ITEMS,
    documents=(Document(filename="fiche-dermatologie.pdf", content_type="application/pdf", content=b"%PDF"),),
)
PHOTOS = (
    AttachmentNote(filename="mollet-ensemble.jpg", content_type="image/jpeg", size=48_312, sha256="0f" * 32),
    AttachmentNote(filename="mollet-regle.jpg", content_type="image/jpeg", size=1_402_112, sha256="a1" * 32),
)
QUESTION = (
    "Patiente de 69 ans, lésion pigmentée du mollet droit, 9 mm, bords irréguliers, modifiée depuis quatre "
    "mois.\nPas d'antécédent de mélanome. Faut-il une exérèse rapide ?"
)
CONCLUSION = (
    "Lésion atypique (asymétrie, trois couleurs) : exérèse complète à visée diagnostique, marge de 2 mm.\n"
    "Rendez-vous proposé sous dix jours."
)


def link(label: str, subject: str) -> Link:
    """A command link as the gateway makes them."""
    return Link(label, f"mailto:{ADDRESS}?subject={subject.replace(' ', '%20')}", ADDRESS, subject)


FINALISE = link("Finaliser l'expertise", f"Finaliser {REF}")
CANCEL = link("Annuler la demande", f"Annuler {REF}")
SYNTHESIS = link("Synthèse", f"Synthèse {REF}")
REQUEST = link("Demander une téléexpertise", "Nouvelle téléexpertise Avis Dermatologie CH LE PUY")
NEXT = link("Page suivante", "Annuaire dermatologie page 2")
SERVICES = link("Voir tous les services experts", "Avis")
WORKLIST = link("Mes téléexpertises", "Mes téléexpertises")
FORM_TEXT = "----- DÉBUT DU FORMULAIRE abc -----\nExpert : CH LE PUY\n\n\nQuestion : \n----- FIN -----"
FORM_HTML = "".join(f"<div>{line}</div>" for line in FORM_TEXT.splitlines())
#: What every mail about a conversation says.
ABOUT: dict[str, Any] = {"reference": REF, "state": "requested"}


AWAY = Absence(starts=date(2026, 8, 1), ends=date(2026, 8, 15), deputy="paul.roux@ch.example")
#: A conversation that another operator holds, as the worklist shows it.
ELSEWHERE = contexts.WorklistRow(
    reference="TLE-2026-000777",
    state="in_progress",
    role=contexts.Role.REQUESTER,
    other="",
    patient="",
    age_days=1,
    delay_days=0,
    next_step=contexts.NextStep.NONE,
    links=(FINALISE,),
    held_by="voisin.mssante.example",
    asked_for=("nadege.arsac@demo.mssante.example",),
)


def _directory_mails() -> dict[str, contexts.Mail]:
    """What somebody gets who looks around: the directory, help, refusals."""
    return {
        "annuaire": directory_contexts.DirectoryPage(
            query="dermatologie 43",
            total=23,
            page=1,
            pages=2,
            next_page=NEXT,
            cards=(
                contexts.ExpertCard(SERVICE_EXPERT, REQUEST),
                contexts.ExpertCard(SERVICE_EXPERT, REQUEST),
            ),
        ),
        "aide": contexts.Help(
            directory=link("Chercher un expert", "Annuaire dermatologie 43"),
            services=SERVICES,
            request=REQUEST,
            worklist=WORKLIST,
            received="Bonjour",
        ),
        "refus": contexts.Refusal(
            reason=contexts.RefusalReason.UNKNOWN_EXPERT,
            detail="Avis Dermatologie",
            subject_received="Nouvelle téléexpertise Avis Dermatologie",
            links=(SERVICES,),
        ),
        "limite": contexts.RateLimited(answers_per_hour=30),
        "teleexpertises": contexts.Worklist(
            owner="Dr Nadège ARSAC",
            total=2,
            rows=(
                contexts.WorklistRow(
                    reference=REF,
                    state="on_hold",
                    role=contexts.Role.REQUESTER,
                    other=EXPERT.name,
                    patient=PATIENT.label,
                    age_days=3,
                    delay_days=2,
                    overdue=True,
                    next_step=contexts.NextStep.SEND_ITEMS,
                    links=(CANCEL, SYNTHESIS),
                ),
                contexts.WorklistRow(
                    reference="TLE-2026-000124",
                    state="requested",
                    role=contexts.Role.EXPERT,
                    other="Mme Ysoline BRAVARD",
                    patient="",
                    age_days=0,
                    delay_days=7,
                    next_step=contexts.NextStep.ANSWER,
                    links=(FINALISE,),
                    account=EXPERT.name,
                ),
                ELSEWHERE,
            ),
        ),
    }


def _form_mails() -> dict[str, contexts.Mail]:
    """The forms, empty and with what is to be corrected."""
    return {
        "formulaire": contexts.FormMail(
            purpose=contexts.FormPurpose.REQUEST,
            form_text=FORM_TEXT,
            form_html=FORM_HTML,
            expert=SERVICE_EXPERT,
        ),
        "formulaire-a-corriger": contexts.FormMail(
            purpose=contexts.FormPurpose.REQUEST,
            form_text=FORM_TEXT,
            form_html=FORM_HTML,
            expert=SERVICE_EXPERT,
            problems=(
                contexts.FormProblem("Date de naissance", "cette date n'existe pas, attendu JJ/MM/AAAA."),
                contexts.FormProblem("Consentement du patient", "il est indispensable : répondez « oui »."),
            ),
            kept=("mollet-ensemble.jpg", "mollet-regle.jpg"),
        ),
        "formulaire-finalisation": contexts.FormMail(
            purpose=contexts.FormPurpose.FINALISE, form_text=FORM_TEXT, form_html=FORM_HTML, **ABOUT
        ),
    }


def _acting() -> dict[str, contexts.Mail]:
    """Delegates: what their principal and they themselves are told."""
    names = ("Mme Ysoline BRAVARD (y@demo.mssante.example)", "Dr Nadège ARSAC (n@demo.mssante.example)")
    saved = acting_contexts.DelegatesSaved(
        principal=names[1], added=names[:1], removed=names, still=names[1:], delegates=names, common=True
    )
    told = acting_contexts.DelegateTold(principal=names[1], by=EXPERT.name, given=True, links=(SERVICES,))
    return {
        "delegues": saved,
        "delegues-sans": replace(saved, added=(), removed=(), still=(), delegates=(), common=False),
        "delegues-par-un-autre": replace(saved, told=True, by=EXPERT.name),
        "delegation": told,
        "delegation-commune": replace(told, common=True),
        "delegation-exploitant": replace(told, by="", given=False),
        "delegation-encore": replace(told, given=False, still=True),
    }


def _answers() -> dict[str, contexts.Mail]:
    """What only the author of a mail gets."""
    return {
        "urgence-vitale": contexts.VitalEmergency(expert_name=EXPERT.name),
        "redirection": contexts.OtherTool(expert_name=EXPERT.name, tool_url="https://avis.example/deposer"),
        "confirmation": contexts.Confirmation(
            author=AUTHOR,
            expert=EXPERT,
            patient=PATIENT,
            urgency="72h",
            delay_days=2,
            missing=("Fiche dermatologie remplie",),
            links=(CANCEL,),
            **ABOUT,
        ),
        "confirmation-cloture": contexts.ClosingConfirmation(
            reference=REF,
            state="completed",
            author=ACTING,
            requester=REQUESTER,
            expert=EXPERT,
            patient=PATIENT,
            outcome="Consultation rapprochée",
            conclusion=CONCLUSION,
            addressees=("Dr Nadège ARSAC",),
            billed=(
                Billed(role="expert", act="TE2", amount=2760, anomalies=("number-missing",)),
                Billed(role="requester", amount=0, refusal="profession"),
            ),
        ),
        "confirmation-commande": contexts.CommandConfirmation(
            done=contexts.CommandDone.REMOVED, person="Mme Ysoline BRAVARD", **ABOUT
        ),
        "doute": contexts.Doubt(
            other=EXPERT.name,
            subject_received="Ordonnance",
            received_at=NOW,
            confirm=link("Oui, remettre ce message", "Confirmer abcdef"),
            closed=True,
            **ABOUT,
        ),
        "conflit": contexts.AlreadyClosed(reference=REF, state="cancelled", by=AUTHOR, at=NOW),
        "non-remise-courrier": contexts.Undelivered(
            recipient="inconnu@autre.mssante.example", sent_at=NOW, diagnostic="550 5.1.1 inconnu"
        ),
        "non-remise": contexts.NotDelivered(
            recipient="l.chany@autre.mssante.example",
            sent_at=NOW,
            diagnostic="550 5.1.1 unknown user",
            **ABOUT,
        ),
        "synthese": contexts.Synthesis(filename=f"{REF}-synthese.pdf", **ABOUT),
    }


def _opening_mails() -> dict[str, contexts.Mail]:
    """What opens a conversation."""
    return {
        "ouverture": contexts.Opening(
            requester=REQUESTER,
            expert=EXPERT,
            delay_days=2,
            absence=AWAY,
            deputy=REQUESTER,
            deputy_until=AWAY.ends,
            prerequisites=SERVICE_EXPERT.prerequisites,
            checklist=tuple(
                contexts.ChecklistLine(item, given)
                for item, given in zip(ITEMS, (True, True, False, True), strict=True)
            ),
            documents=("fiche-dermatologie.pdf",),
            expert_links=(FINALISE, link("Demander des compléments", f"Compléments {REF}"), SYNTHESIS),
            requester_links=(CANCEL, SYNTHESIS),
            **ABOUT,
        ),
        "question": contexts.Question(
            requester=REQUESTER,
            author=Author("s@demo.mssante.example", "Mme Ysoline BRAVARD", REQUESTER.address, REQUESTER.name),
            expert=EXPERT,
            patient=PATIENT,
            consent=True,
            urgency="72h",
            question=QUESTION,
            asked_at=NOW,
            phone="04 99 99 99 99",
            answers=(("Ancienneté de la lésion", "quatre mois"),),
            attachments=PHOTOS,
            missing=("Fiche dermatologie remplie",),
            **ABOUT,
        ),
        "elements-manquants": contexts.MissingItems(
            expert=EXPERT,
            missing=("Vue d'ensemble", "Fiche remplie"),
            asked="L'IPS, s'il vous plaît.",
            **ABOUT,
        ),
        "complement": contexts.MoreAsked(author=ACTING, asked="Une photographie de l'autre jambe.", **ABOUT),
    }


def _thread_mails() -> dict[str, contexts.Mail]:
    """What all members of a conversation get after that."""
    return {
        "invitation": contexts.Invited(
            person=Party("l.chany@autre.mssante.example", "Dr Léopold CHANY", local=False),
            by=AUTHOR,
            requester=REQUESTER.name,
            expert=EXPERT.name,
            remove=link("Retirer cette personne", f"Retirer l.chany@autre.mssante.example {REF}"),
            **ABOUT,
        ),
        "retrait": contexts.Removed(person=Party("l.chany@autre.mssante.example", ""), by=AUTHOR, **ABOUT),
        "rapport": contexts.ReportReady(
            reference=REF,
            state="completed",
            requester=REQUESTER,
            expert=EXPERT,
            finaliser=ACTING,
            outcome="Consultation rapprochée",
            conclusion=CONCLUSION,
            filename=f"{REF}.pdf",
            version=2,
            addressees=("Dr Nadège ARSAC", "Dr Léopold CHANY"),
        ),
        "cloture": contexts.Closed(
            reference=REF,
            state="declined",
            author=ACTING,
            reason="Cette lésion relève d'un examen direct.",
        ),
        "absence": contexts.Absence(
            author=EXPERT.name, text="Absente jusqu'au 30 novembre.\nBien à vous", **ABOUT
        ),
        "avis": contexts.Notice(
            event=contexts.NoticeEvent.ANSWER, who=EXPERT.name, folder="Téléexpertises", **ABOUT
        ),
        "etat": Standing(**ABOUT),
        "relais": contexts.Relayed(author=AUTHOR, sent_at=NOW, text=QUESTION, attachments=PHOTOS, **ABOUT),
    }


def _absence_mails() -> dict[str, contexts.Mail]:
    """What is told when an expert is away who is waited for."""
    here: dict[str, Any] = {"expert": EXPERT.name, "absence": AWAY, "asked_at": NOW, **ABOUT}
    card = contexts.ExpertCard(SERVICE_EXPERT, REQUEST)
    joined: dict[str, Any] = {
        "deputy": replace(EXPERT, name="Dr Rémy PERRET"),
        "requester": REQUESTER.name,
        "remove": link("Retirer cette personne", f"Retirer {EXPERT.address} {REF}"),
        "links": (FINALISE,),
    }
    return {
        "absence-en-cours": followup_contexts.AbsenceInForce(at=NOW, deputy="Dr Rémy PERRET", **here),
        "absence-en-cours-sans-remplacant": followup_contexts.AbsenceInForce(at=NOW, **here),
        "remplacement": followup_contexts.Replacement(due=NOW, **joined, **here),
        "remplacement-absent": followup_contexts.Replacement(
            answered=True, deputy_until=AWAY.ends, others=(card,), **joined, **here
        ),
        "expert-absent": followup_contexts.ExpertAbsent(others=(card, card), links=(CANCEL,), **here),
        "expert-absent-demandeur": followup_contexts.ExpertAbsent(answered=True, self_asked=True, **here),
        "remplacement-en-attente": followup_contexts.Replacement(**joined, **here | {"state": "on_hold"}),
        "expert-absent-en-attente": followup_contexts.ExpertAbsent(**here | {"state": "on_hold"}),
    }


def _ended_mails() -> dict[str, contexts.Mail]:
    """What is told when time or attempts have run out."""
    return {
        **{
            f"rappel-{kind}": followup_contexts.Reminder(
                reminder=kind,
                requester=REQUESTER.name,
                asked_at=NOW,
                ends_at=NOW,
                links=(REQUEST,),
                **ABOUT,
            )
            for kind in (ReminderKind.PROMISE, ReminderKind.CONVENTION)
        },
        "rappel-remplacant": followup_contexts.DeputyReminder(
            reminder=ReminderKind.PROMISE,
            requester=REQUESTER.name,
            asked_at=NOW,
            ends_at=NOW,
            absent=EXPERT.name,
            until=NOW.date(),
            links=(REQUEST,),
            **ABOUT,
        ),
        **{
            f"echeance-{kind}": followup_contexts.Deadline(reminder=kind, asked_at=NOW, at=NOW, **ABOUT)
            for kind in ReminderKind
        },
        "sans-reponse": followup_contexts.Unanswered(
            expert=EXPERT.name,
            asked_at=NOW,
            others=(
                contexts.ExpertCard(SERVICE_EXPERT, REQUEST),
                contexts.ExpertCard(SERVICE_EXPERT, REQUEST),
            ),
            links=(REQUEST,),
            **ABOUT,
        ),
        **_absence_mails(),
        "sans-reponse-ni-autre": followup_contexts.Unanswered(expert=EXPERT.name, asked_at=NOW, **ABOUT),
        "resume": followup_contexts.Digest(
            lines=tuple(
                followup_contexts.DigestLine(
                    at=NOW, event=event, who=EXPERT.name, reference=REF, state="requested"
                )
                for event in (contexts.NoticeEvent.REQUEST, contexts.NoticeEvent.ANSWER)
            ),
            folder="Téléexpertises",
            worklist=REQUEST,
        ),
        "doute-expire": contexts.DoubtExpired(subject_received="Mon avis", received_at=NOW, days=7, **ABOUT),
        **{
            f"travail-abandonne-{work}": contexts.Unmade(work=work, holder="Dr Nadège ARSAC", **ABOUT)
            for work in contexts.UnmadeWork
        },
    }


def all_mails() -> dict[str, contexts.Mail]:
    """One or more contexts of every template, by a name that says which case it is."""
    return {
        **_directory_mails(),
        **declaring_mails(SERVICE_EXPERT, REQUEST, SERVICES, AWAY),
        **patient_mails(REF, REQUESTER, EXPERT, NOW),
        **_form_mails(),
        **_acting(),
        **_answers(),
        **document_mails(NOW, ABOUT),
        **export_mails(REQUESTER, EXPERT, SERVICES),
        **search_mails(PATIENT, SYNTHESIS),
        **_opening_mails(),
        **_thread_mails(),
        **_ended_mails(),
    }
