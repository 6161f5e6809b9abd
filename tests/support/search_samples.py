"""Sample contexts of the answers to a search for patients; invented people."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

from teleexpertise.patients import Patient
from teleexpertise.texts.contexts import Mail, Role
from teleexpertise.texts.search_contexts import PastCase, PatientFound, PatientsFound
from teleexpertise.texts.views import Link


def search_mails(patient: Patient, link: Link) -> dict[str, Mail]:
    """Found with what there is, found nobody, and asked for nothing."""
    own = PastCase(
        reference="TLE-2026-000123",
        state="completed",
        role=Role.REQUESTER,
        other="Avis Dermatologie CH LE PUY",
        opened_on=date(2026, 11, 20),
        finalised_on=date(2026, 11, 22),
        version=2,
        links=(link,),
    )
    elsewhere = replace(own, reference="TLE-2026-000007", held_by="voisin.mssante.example", version=0)
    found = PatientFound(
        patient=replace(patient, birth_order=2),
        cases=(own, elsewhere),
        total=3,
        again=(("Avis Dermatologie CH LE PUY", link),),
    )
    mail = PatientsFound(
        query="fauxcompte", understood=True, patients=(found, found), more=True, links=(link,)
    )
    return {
        "patients": mail,
        "patients-aucun": replace(mail, patients=(), more=False),
        "patients-aide": replace(mail, query="", understood=False, patients=(), more=False),
    }
