"""``gateway expert``: the directory as an operator sees and fills it."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.services import Services
from teleexpertise.people import Expert, IdentityPolicy
from tests.support import region
from tests.support.deployment import Deployment, deployed

GOOD = """
[[experts]]
local = "anne.brun"
description = "Cardiologie de ville."
specialties = ["Cardiologie"]
departments = ["43", "2A"]
delay_days = 3
anonymous = true
nir = "optional"
items = [{ name = "ECG", kind = "document", mandatory = true }]
documents = ["papers/fiche.txt"]

[[experts]]
address = "Paul.Petit@gateway.mssante.example"
description = "Médecine du sport."
listed = false
"""


@pytest.fixture(scope="module")
def deployment() -> Iterator[Deployment]:
    with deployed() as made:
        yield made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "papers").mkdir()
    (tmp_path / "papers" / "fiche.txt").write_text("à remplir\n", "utf-8")
    (tmp_path / "good.toml").write_text(GOOD, "utf-8")
    return tmp_path


def stored(deployment: Deployment, name: str) -> Expert | None:
    async def read(services: Services) -> Expert | None:
        async with services.store.reading() as tx:
            return await tx.experts.get(f"{name}@{region.DOMAIN}")

    return deployment.work(read)


def addresses(found: list[dict[str, dict[str, str]]]) -> list[str]:
    return [each["account"]["address"] for each in found]


@pytest.mark.parametrize(
    "terms", [("43", "dermatologie"), ("DERMATO",), ("perret", "remy"), ("remy.perret@" + region.DOMAIN,)]
)
def test_experts_are_found_as_in_the_directory(deployment: Deployment, terms: tuple[str, ...]) -> None:
    assert addresses(deployment.json("expert", "list", *terms)) == [region.DERMATOLOGIST.address]


def test_all_experts_are_listed(deployment: Deployment) -> None:
    text = deployment.done("expert", "list")
    assert region.DERMATOLOGIST.address in text
    assert region.SERVICE.address in text
    assert deployment.done("expert", "list", "ophtalmologie").strip() == "no expert"


def test_an_expert_is_shown(deployment: Deployment) -> None:
    found = deployment.json("expert", "show", region.DERMATOLOGIST.address.upper())
    assert found["delay_days"] == 2
    assert found["documents"] == [
        {"filename": "fiche-dermatologie.txt", "content_type": "text/plain", "size": 17}
    ]
    text = deployment.done("expert", "show", region.DERMATOLOGIST.address)
    assert "element: Vue rapprochée avec règle (image, mandatory, 1)" in text
    assert deployment.call("expert", "show", region.GP.address).exit_code == 1
    assert deployment.call("expert", "show").exit_code == 2


def test_an_import_declares_experts_and_the_same_again_changes_nothing(
    deployment: Deployment, folder: Path
) -> None:
    first = deployment.json("expert", "import", folder / "good.toml")
    assert first == {f"anne.brun@{region.DOMAIN}": "declared", f"paul.petit@{region.DOMAIN}": "declared"}
    found = stored(deployment, "anne.brun")
    assert found is not None
    assert found.identity is IdentityPolicy.ANONYMOUS_ALLOWED
    assert [(each.filename, each.content_type, each.content) for each in found.documents] == [
        ("fiche.txt", "text/plain", "à remplir\n".encode())
    ]
    assert set(deployment.json("expert", "import", folder / "good.toml").values()) == {"unchanged"}
    changed = folder / "changed.json"
    entry = {"local": "anne.brun", "description": "Cardiologie, et plus rien d'autre."}
    changed.write_text(json.dumps({"experts": [entry]}), "utf-8")
    assert deployment.json("expert", "import", changed) == {f"anne.brun@{region.DOMAIN}": "replaced"}
    assert "anne.brun" in deployment.done("expert", "list", "brun")
    assert deployment.json("expert", "list", "petit") == []  # it is not listed


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("descripton = 'x'", "unknown key 'descripton'; did you mean 'description'?"),
        ("delay_days = 0", "delay_days: should be greater than or equal to 1"),
        ("delay_days = 'two'", "delay_days"),
        ("nir = 'never'", "nir: should be 'mandatory'"),
        ("departments = ['99']", "departments: '99' is no department code"),
        ("documents = ['lost.pdf']", "documents: 'lost.pdf': No such file"),
        ("documents = ['../../etc/passwd']", "is not beside the file"),
        ("documents = ['/etc/passwd']", "is not beside the file"),
        ("documents = ['papers']", "documents: 'papers' is of no kind"),
        ("documents = ['run.sh']", "documents: 'run.sh' is of no kind"),
        (f"documents = {[f'{n}.pdf' for n in range(11)]}", "documents: 11 instead of 10"),
        ("anonymous = true\nnir = 'mandatory'", "goes without anonymous"),
        ("items = [{ name = 'Vue', kind = 'film' }]", "items.0.kind"),
        ("items = [{ nam = 'Vue', kind = 'image' }]", "unknown key 'items.0.nam'; did you mean 'name'?"),
        ("tool_url = 'javascript:x'", "tool_url"),
        ("address = 'lucie.faure@gateway.mssante.example'", "wants `address`, or `local`"),
    ],
)
def test_a_bad_entry_is_named_and_nothing_is_saved_by_half(
    deployment: Deployment, folder: Path, line: str, why: str
) -> None:
    bad = folder / "bad.toml"
    good = "[[experts]]\nlocal = 'nadia.roux'\ndescription = 'x'\n"
    bad.write_text(f"{good}[[experts]]\nlocal = 'lucie.faure'\ndescription = 'y'\n{line}\n", "utf-8")
    told = deployment.call("expert", "import", bad)
    assert told.exit_code == 1
    assert "bad.toml: expert 2 (lucie.faure" in told.stderr
    assert why in told.stderr
    assert "nothing was saved" in told.stderr
    assert stored(deployment, "nadia.roux") is None


def test_every_bad_entry_is_named(deployment: Deployment, folder: Path) -> None:
    bad = folder / "bad.json"
    entries = [{"local": "personne", "description": "x"}, {"local": "nadia.roux"}, "nobody"]
    twice = [{"local": "lucie.faure", "description": "x"}] * 2
    bad.write_text(json.dumps({"experts": entries + twice}), "utf-8")
    told = deployment.call("expert", "import", bad)
    assert told.exit_code == 1
    assert f"expert 1 (personne): there is no account personne@{region.DOMAIN}" in told.stderr
    assert "expert 2 (nadia.roux): description is missing" in told.stderr
    assert "expert 3: " in told.stderr
    assert "expert 5 (lucie.faure): is declared twice" in told.stderr


@pytest.mark.parametrize("text", ["", "x = ", "experts = 3", "[[people]]\nlocal = 'x'", "\x00", "[]"])
@pytest.mark.parametrize("name", ["file.toml", "file.json"])
def test_a_file_that_is_no_list_of_experts_is_refused(
    deployment: Deployment, tmp_path: Path, name: str, text: str
) -> None:
    (tmp_path / name).write_text(text, "utf-8")
    told = deployment.call("expert", "import", tmp_path / name)
    assert told.exit_code == 1
    assert name in told.stderr


def test_a_file_that_is_not_there_is_wrong_use(deployment: Deployment) -> None:
    assert deployment.call("expert", "import", "no-such-file.toml").exit_code == 2
    assert deployment.call("expert", "import").exit_code == 2
