"""Sample contexts of the mails about exports."""

from __future__ import annotations

from datetime import date

from teleexpertise.people import Party
from teleexpertise.texts.contexts import Mail
from teleexpertise.texts.export_contexts import ExportReady, ExportRefused
from teleexpertise.texts.views import Link


def export_mails(requester: Party, expert: Party, link: Link) -> dict[str, Mail]:
    return {
        "export": ExportReady(
            filename="teleexpertises_finalisees_2026-01-01_2026-03-31_20261122-1041.xlsx",
            rows=12,
            role="expert",
            pending=False,
            first=date(2026, 1, 1),
            last=date(2026, 3, 31),
            accounts=(expert.address, requester.address),
        ),
        "export-vide": ExportReady(
            filename="x.csv", rows=0, pending=True, first=None, last=None, accounts=(), role="expert"
        ),
        "export-refus": ExportRefused(problems=("31/02/2026", "pdf"), links=(link,)),
    }
