"""``gateway expert set``: field by field, by the checks of the mail form, whole or not at all."""

from __future__ import annotations

import json
import re
import string
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from gateway.cli.expert_words import SENTENCES
from gateway.services import Services
from teleexpertise import declaring
from teleexpertise.declaring import Declaration
from teleexpertise.forms import load_catalogue
from teleexpertise.people import (
    Absence,
    Expert,
    IdentityPolicy,
    ItemKind,
    NirPolicy,
    NoticeMode,
    PrerequisiteItem,
)
from tests.support import region
from tests.support.deployment import Deployment, deployed

DEPUTY = region.GP.address


@pytest.fixture(scope="module")
def deployment() -> Iterator[Deployment]:
    with deployed() as made:
        yield made


def stored(deployment: Deployment, address: str) -> Declaration:
    async def read(services: Services) -> Declaration:
        async with services.store.reading() as tx:
            account = await tx.accounts.get(address)
            assert account is not None
            return Declaration(account=account, expert=await tx.experts.get(address))

    return deployment.work(read)


@pytest.fixture
def paper(tmp_path: Path) -> Path:
    path = tmp_path / "fiche.pdf"
    path.write_bytes(b"%PDF-1.7\n")
    return path


def test_every_field_is_declared_shown_and_kept_by_the_next_change(
    deployment: Deployment, paper: Path
) -> None:
    nurse = region.NURSE
    told = deployment.json(
        "expert", "set", nurse.address.upper(), "--listed",
        "--description", "Plaies chroniques.\nSoins à domicile.", "--limits", "Haute-Loire", "--delay", "3",
        "--specialty", "cicatrisation", "--specialty", "Dermatologie",
        "--department", "7", "--department", "Haute-Loire", "--identity", "required", "--nir", "mandatory",
        "--prerequisites", "Photographies nettes", "--item", "2 photos obligatoires : Vue avec règle",
        "--item", "document facultatif : Ordonnance", "--item", "réponse : Ancienneté", "--attach", paper,
        "--billing-number", "43 000 001 8 / 05", "--absence", "2099-08-01..15/08/2099", "--deputy", DEPUTY,
        "--notice", "digest", "--no-files-reports",
    )  # fmt: skip
    assert (told["address"], told["done"], told["warnings"]) == (nurse.address, "saved", [])
    account = replace(nurse, billing_number="430000018/05", notice=NoticeMode.DIGEST, files_reports=False)
    found = stored(deployment, nurse.address)
    assert found.account == account
    assert found.expert is not None
    assert replace(found.expert, documents=()) == Expert(
        account=account,
        description="Plaies chroniques.\nSoins à domicile.",
        limits="Haute-Loire",
        specialties=("Plaies et cicatrisation", "Dermatologie"),
        departments=("07", "43"),
        delay_days=3,
        identity=IdentityPolicy.REQUIRED,
        nir=NirPolicy.MANDATORY,
        prerequisites="Photographies nettes",
        items=(
            PrerequisiteItem(name="Vue avec règle", kind=ItemKind.IMAGE, mandatory=True, count=2),
            PrerequisiteItem(name="Ordonnance", kind=ItemKind.DOCUMENT),
            PrerequisiteItem(name="Ancienneté", kind=ItemKind.FIELD, mandatory=True),
        ),
        absence=Absence(starts=date(2099, 8, 1), ends=date(2099, 8, 15), deputy=DEPUTY),
    )
    assert [(d.filename, d.content_type, d.content) for d in found.expert.documents] == [
        ("fiche.pdf", "application/pdf", b"%PDF-1.7\n")
    ]
    shown = deployment.done("expert", "show", nurse.address)
    for words in (
        "listed", "Plaies et cicatrisation, Dermatologie", "07, 43", "3 days", "required", "mandatory",
        f"2099-08-01 to 2099-08-15, deputy {DEPUTY}", "Plaies chroniques. Soins à domicile.", "Haute-Loire",
        "Photographies nettes", "Vue avec règle (image, mandatory, 2)", "Ancienneté (field, mandatory, 1)",
        "fiche.pdf (application/pdf, 9 octets)", "billing number: 430000018/05", "news: digest",
        "reports: not filed by patient",
    ):  # fmt: skip
        assert words in shown
    assert deployment.json("expert", "set", nurse.address, "--delay", "3")["done"] == "unchanged"
    deployment.done("expert", "set", nurse.address, "--unlisted", "--nir", "none", "--identity", "anonymous")
    after = stored(deployment, nurse.address)
    assert after.expert == replace(
        found.expert, listed=False, nir=NirPolicy.NOT_ASKED, identity=IdentityPolicy.ANONYMOUS_ALLOWED
    )
    assert after.account == account


#: Options, the one that is complained of, and a part of what is said.
WRONG: tuple[tuple[tuple[str, ...], str, str], ...] = (
    (("--listed", "--description", " "), "--description", "whoever is listed describes"),
    (("--delay", "0"), "--delay", "'0' is no number of days from 1 to 365"),
    (("--delay", "dix"), "--delay", "'dix' is no number"),
    (("--delay", ""), "--delay", "cannot be empty"),
    (("--specialty", "dermatto"), "--specialty", "the nearest: Dermatologie"),
    (("--department", "99"), "--department", "'99' is no department"),
    (("--tool-url", "http://avis.example"), "--tool-url", "begins with https://"),
    (("--identity", "anonymous", "--nir", "mandatory"), "--nir", "--identity required"),
    (("--item", "film : Marche"), "--item", "'film : Marche' is not understood"),
    (("--item", "photo : A", "--item", "photo : a"), "--item", "'a' is asked for twice"),
    (("--item", "80 photos : A"), "--item", "from 1 to 50"),
    (("--billing-number", "12"), "--billing-number", "AM number (9 digits)"),
    (("--billing-number", "10003461033"), "--billing-number", "is an RPPS"),
    (("--billing-number", "430000018/5"), "--billing-number", "has 2 digits"),
    (("--absence", "tomorrow"), "--absence", "FROM..TO"),
    (("--absence", "2099-02-30..2099-03-01"), "--absence", "FROM..TO"),
    (("--absence", "2099-03-02..2099-03-01"), "--absence", "ends before it begins"),
    (("--absence", "2019-03-01..2019-03-02"), "--absence", "is over already"),
    (("--absence", "2099-01-01..2101-01-01"), "--absence", "366 days at most"),
    (
        ("--absence", "2099-03-01..2099-03-02", "--deputy", "x@y.example"),
        "--absence",
        "x@y.example is no",
    ),
    (
        ("--absence", "2099-03-01..2099-03-02", "--deputy", region.SECRETARY.address),
        "--absence",
        "nobody stands in for themselves",
    ),
    (("--deputy", DEPUTY), "--deputy", "goes with an absence"),
    (("--detach", "fiche.pdf"), "--detach", "'fiche.pdf' is not handed out; there: none"),
    (("--description", "x" * 4001), "--description", "4000 characters at most"),
)


def test_one_wrong_value_changes_nothing_and_is_said_exactly(deployment: Deployment) -> None:
    secretary = region.SECRETARY.address
    before = stored(deployment, secretary)
    for options, option, said in WRONG:
        told = deployment.call("expert", "set", secretary, "--limits", "Rien", *options, "--json")
        assert told.exit_code == 1, options
        problems = json.loads(told.stdout[: told.stdout.rindex("}") + 1])["problems"]
        assert list(problems) == [option]
        assert said in problems[option]
        assert f"gateway: {option}: {problems[option]}" in told.stderr
        assert "nothing was saved" in told.stderr
    assert stored(deployment, secretary) == before


def test_all_that_is_wrong_is_said_at_once(deployment: Deployment, tmp_path: Path) -> None:
    script = tmp_path / "run.sh"
    script.write_text("x")
    told = deployment.call(
        "expert", "set", region.SECRETARY.address,
        "--listed", "--delay", "0", "--tool-url", "x", "--attach", script,
    )  # fmt: skip
    for option in ("--description", "--delay", "--tool-url", "--attach"):
        assert f"gateway: {option}: " in told.stderr
    assert stored(deployment, region.SECRETARY.address).expert is None


def test_files_are_added_replaced_listed_and_taken_back(deployment: Deployment, paper: Path) -> None:
    address = region.DERMATOLOGIST.address

    def files() -> dict[str, int]:
        found = deployment.json("expert", "show", address)["documents"]
        return {each["filename"]: each["size"] for each in found}

    before = files()
    deployment.done("expert", "set", address, "--attach", paper)
    assert files() == {**before, "fiche.pdf": 9}
    paper.write_bytes(b"%PDF-1.7\nlonger\n")
    deployment.done("expert", "set", address, "--attach", paper)
    assert files() == {**before, "fiche.pdf": 16}
    for wrong in ("--attach", paper.parent / "lost.pdf"), ("--attach", paper.parent):
        assert deployment.call("expert", "set", address, *wrong).exit_code == 2
    deployment.done("expert", "set", address, *(word for name in before for word in ("--detach", name)))
    assert files() == {"fiche.pdf": 16}
    many = [paper.parent / f"f{number}.pdf" for number in range(10)]
    for number, each in enumerate(many):
        each.write_bytes(b"%d" % number)
    told = deployment.call("expert", "set", address, *(word for each in many for word in ("--attach", each)))
    assert "--attach: 11 files instead of 10 at most" in told.stderr
    many[0].write_bytes(b"x" * (8 * 1024 * 1024 + 1))
    told = deployment.call("expert", "set", address, "--attach", many[0])
    assert "8.0 MiB of files" in told.stderr.replace(",", ".")
    assert files() == {"fiche.pdf": 16}


def test_an_absence_changes_its_days_its_deputy_and_ends(deployment: Deployment) -> None:
    address = region.CARDIOLOGY.account.address

    def away(*options: str) -> Absence | None:
        deployment.done("expert", "set", address, *options)
        found = stored(deployment, address).expert
        assert found is not None
        return found.absence

    august, september = date(2099, 8, 1), date(2099, 9, 1)
    assert away("--absence", "2099-08-01..2099-08-01", "--deputy", DEPUTY) == Absence(
        starts=august, ends=august, deputy=DEPUTY
    )
    assert away("--absence", "01/09/2099..01/09/2099") == Absence(
        starts=september, ends=september, deputy=DEPUTY
    )
    assert away("--deputy", region.NURSE.address.upper()) == Absence(
        starts=september, ends=september, deputy=region.NURSE.address
    )
    assert away("--deputy", "") == Absence(starts=september, ends=september)
    assert away("--absence", "") is None


def test_who_has_no_active_account_declares_nothing(deployment: Deployment) -> None:
    account = region.STRANGER
    assert "no active account" in deployment.call("expert", "set", "nobody@x.example", "--delay", "3").stderr
    deployment.done("account", "suspend", account.address)
    assert "no active account" in deployment.call("expert", "set", account.address, "--delay", "3").stderr
    assert deployment.call("expert", "set", account.address).exit_code == 2


def test_every_sentence_about_a_declaration_has_its_words_for_operators() -> None:
    french = load_catalogue().form("preferences").sentences
    spoken = set(re.findall(r'_Wrong\("(\w+)"', Path(str(declaring.__file__)).read_text("utf-8")))
    assert len(spoken) > 15
    assert spoken <= set(SENTENCES) <= set(french)
    for name, english in SENTENCES.items():
        words = {field for _, field, _, _ in string.Formatter().parse(english) if field}
        assert words <= set(re.findall(r"{(\w+)}", french[name])) | {"typed"}, name
