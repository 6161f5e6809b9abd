"""``gateway directory import`` and ``gateway expert absence``: what is stored and shown after them."""

import zipfile
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from gateway.pipeline.directory_pages import directory_page
from gateway.pipeline.unit import Unit
from gateway.services import Services
from teleexpertise.contacts import LONGEST_LINE, Contact
from teleexpertise.people import Absence
from teleexpertise.texts.directory_contexts import DirectoryPage
from tests.support import region
from tests.support.deployment import Deployment, deployed
from tests.support.extraction import HEADER, row


@pytest.fixture(scope="module")
def deployment() -> Iterator[Deployment]:
    with deployed() as made:
        yield made


def contacts(deployment: Deployment) -> dict[str, Contact]:
    async def read(services: Services) -> tuple[Contact, ...]:
        async with services.store.reading() as tx:
            return await tx.contacts.all()

    return {each.address: each for each in deployment.work(read)}


def page(deployment: Deployment, terms: str) -> DirectoryPage:
    async def read(services: Services) -> DirectoryPage:
        async with services.store.reading() as tx:
            return await directory_page(Unit(services, tx, services.clock()), terms, 1)

    return deployment.work(read)


def numbered(count: int, **cells: str) -> list[bytes]:
    return [row(address=f"n{n}@cabinet.mssante.example", **cells) for n in range(count)]


def written(folder: Path, *rows: bytes, name: str = "extraction.txt") -> Path:
    path = folder / name
    path.write_bytes(HEADER + b"".join(rows))
    return path


def test_an_import_is_searched_beside_experts_repeated_and_replaced(
    deployment: Deployment, tmp_path: Path
) -> None:
    rows = (
        *numbered(2500),
        row(family="Unique"),
        row(town="LYON"),
        row(address="red@x.example", red="O"),
        b"cut|off\r\n",
    )
    path = written(tmp_path, *rows)
    found = deployment.call("directory", "import", path)
    assert found.exit_code == 0, found.output
    assert "2501 contacts taken, 0 taken out, 3 lines rejected" in found.stdout
    told = ["line 2503: address seen before", "line 2504: red list", "line 2505: wrong number of columns"]
    assert [line for line in found.stderr.splitlines() if line.startswith("line ")] == told
    before = contacts(deployment)
    assert len(before) == 2501
    assert before["lea.roche@cabinet.mssante.example"].town == "LE PUY EN VELAY"
    again = deployment.json("directory", "import", path)
    assert again == {"taken": 2501, "removed": 0, "rejected": again["rejected"]}
    assert contacts(deployment) == before
    # Found by mail as contacts, experts first, none among the services.
    shown = page(deployment, "roche infirmier")
    assert (shown.total, shown.total_contacts) == (0, 2500)
    assert page(deployment, "unique lea").total_contacts == 1
    assert page(deployment, "43").cards
    assert page(deployment, "avis").total_contacts == page(deployment, "").total_contacts == 0
    # The next extraction no longer has somebody: she is shown no more.
    path = written(tmp_path, *numbered(2500))
    assert deployment.json("directory", "import", path)["removed"] == 1
    assert page(deployment, "lea unique").total_contacts == 0


def test_a_cut_file_takes_nobody_out_unless_told(deployment: Deployment, tmp_path: Path) -> None:
    deployment.done("directory", "import", written(tmp_path, *numbered(10)), "--shrink")
    assert len(contacts(deployment)) == 10
    cut = written(tmp_path, *numbered(3))
    refused = deployment.call("directory", "import", cut)
    assert refused.exit_code == 1
    assert "nothing was taken out" in refused.stderr
    assert len(contacts(deployment)) == 10
    deployment.done("directory", "import", cut, "--shrink")
    assert len(contacts(deployment)) == 3


def test_the_red_list_counts_wherever_its_row_stands(deployment: Deployment, tmp_path: Path) -> None:
    deployment.done("directory", "import", written(tmp_path, row()), "--shrink")
    assert set(contacts(deployment)) == {"lea.roche@cabinet.mssante.example"}
    path = written(tmp_path, *numbered(5), row(), row(red="O"))
    assert deployment.json("directory", "import", path)["removed"] == 1
    assert len(contacts(deployment)) == 5


def test_a_zip_of_one_text_is_read_and_others_are_refused(deployment: Deployment, tmp_path: Path) -> None:
    path = tmp_path / "extraction.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("Extraction.txt", HEADER + b"".join(numbered(4, family="Zipée")))
    assert deployment.json("directory", "import", path)["taken"] == 4
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.txt", HEADER)
        archive.writestr("b.txt", HEADER)
    assert "holds 2 texts" in deployment.call("directory", "import", path).stderr
    path.write_bytes(path.read_bytes()[:-30])
    assert deployment.call("directory", "import", path).exit_code == 1
    other = tmp_path / "other.txt"
    other.write_text("a;b\n1;2\n", "utf-8")
    assert "2 columns" not in deployment.call("directory", "import", other).stdout
    assert deployment.call("directory", "import", other).exit_code == 1
    assert len(contacts(deployment)) == 4


def test_an_endless_line_is_one_rejected_line(deployment: Deployment, tmp_path: Path) -> None:
    path = written(tmp_path, b"x" * (40 * LONGEST_LINE) + b"\r\n", *numbered(4))
    found = deployment.json("directory", "import", path)
    assert found == {"taken": 4, "removed": 0, "rejected": {"line too long": 1}}


def test_an_absence_with_a_deputy_is_set_shown_kept_by_an_import_and_ended(
    deployment: Deployment, tmp_path: Path
) -> None:
    expert, deputy = region.DERMATOLOGIST.address, region.GP.address
    deployment.done("expert", "absence", expert, "2099-08-01", "2099-08-15", "--deputy", deputy)
    assert f"2099-08-01 to 2099-08-15, deputy {deputy}" in deployment.done("expert", "show", expert)
    (card,) = page(deployment, expert.partition("@")[0].replace(".", " ")).cards
    assert card.deputy == region.GP.name
    assert card.absence == Absence(starts=date(2099, 8, 1), ends=date(2099, 8, 15), deputy=deputy)
    path = tmp_path / "experts.toml"
    path.write_text(f'[[experts]]\naddress = "{expert}"\ndescription = "Peau."\n', "utf-8")
    deployment.done("expert", "import", path)
    assert "2099-08-15" in deployment.done("expert", "show", expert)
    for wrong in (("2099-08-01",), ("2099-08-15", "2099-08-01"), ("--deputy", deputy)):
        assert deployment.call("expert", "absence", expert, *wrong).exit_code == 2
    for nobody in ("nobody@x.example", expert):
        found = deployment.call("expert", "absence", expert, "2099-08-01", "2099-08-15", "--deputy", nobody)
        assert found.exit_code == 1
    deployment.done("expert", "absence", expert)
    assert "2099" not in deployment.done("expert", "show", expert)
