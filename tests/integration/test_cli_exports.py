"""``gateway export`` on a deployment at rest."""

import csv
import io
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.cli.exports import new_file
from gateway.services import Services
from gateway.store import AuditRow
from tests.support import region
from tests.support.deployment import Deployment, Played, deployed, play


@pytest.fixture(scope="module")
def deployment() -> Iterator[Deployment]:
    with deployed() as made:
        yield made


@pytest.fixture(scope="module")
def played(deployment: Deployment) -> Played:
    return deployment.work(play)


def read(path: Path) -> list[dict[str, str]]:
    text = path.read_bytes().decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(text, newline=""), delimiter=";"))


def test_all_sides_of_what_is_open(deployment: Deployment, played: Played, tmp_path: Path) -> None:
    out = tmp_path / "open.csv"
    told = deployment.json("export", "--pending", "--out", out)
    assert told == {"file": str(out), "rows": 2, "format": "csv"}
    assert [(row["Référence"], row["Rôle"]) for row in read(out)] == [
        (played.ref, "expert"),
        (played.ref, "demandeur"),
    ]
    assert out.stat().st_mode & 0o777 == 0o600

    async def exported(services: Services) -> list[AuditRow]:
        async with services.store.reading() as tx:
            return [line for line in await tx.audit.list() if line.action == "export"]

    (line,) = deployment.work(exported)
    assert (line.target, line.result, line.detail) == ("all", "done", {"rows": 2})


def test_one_account_or_establishment_in_one_role(
    deployment: Deployment, played: Played, tmp_path: Path
) -> None:
    arguments = ("export", "--pending", "--account", region.GP.address)
    assert deployment.json(*arguments, "--out", tmp_path / "a.xlsx")["rows"] == 1
    assert deployment.json(*arguments, "--role", "expert", "--out", tmp_path / "b.xlsx")["rows"] == 0
    assert (tmp_path / "a.xlsx").read_bytes().startswith(b"PK")
    refused = deployment.call("export", "--establishment", "999999999", "--out", tmp_path / "c.xlsx")
    assert refused.exit_code == 1
    assert "no account of establishment 999999999" in refused.output
    assert not (tmp_path / "c.xlsx").exists()


def test_a41_an_establishment_sees_all_its_services(
    deployment: Deployment, played: Played, tmp_path: Path
) -> None:
    async def work(services: Services) -> None:
        async with services.store.transaction() as tx:
            for account in (region.GP, region.DERMATOLOGIST):
                await tx.accounts.save(replace(account, finess="430000034"))

    deployment.work(work)
    out = tmp_path / "house.csv"
    told = deployment.json("export", "--pending", "--establishment", "430000034", "--out", out)
    assert told["rows"] == 2
    assert {row["Compte"] for row in read(out)} == {region.GP.address, region.DERMATOLOGIST.address}
    other = deployment.json(
        "export", "--pending", "--establishment", region.SERVICE.finess, "--out", tmp_path / "other.csv"
    )
    assert other["rows"] == 0


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--account", "personne@nulle.part.example"), 1, "no account personne@nulle.part.example"),
        (("--from", "2026-02-01", "--to", "2026-01-01"), 2, "--to is before --from"),
        (("--from", "31/02/2026"), 2, "does not match the formats"),
        (("--format", "pdf"), 2, "not one of"),
    ],
)
def test_what_cannot_be_exported_leaves_no_file(
    deployment: Deployment, tmp_path: Path, arguments: tuple[str, ...], code: int, words: str
) -> None:
    out = tmp_path / "none.xlsx"
    refused = deployment.call("export", *arguments, "--out", out)
    assert refused.exit_code == code
    assert words in refused.output
    assert not out.exists()


def test_who_is_killed_in_the_middle_leaves_no_half_that_looks_like_a_whole(tmp_path: Path) -> None:
    out = tmp_path / "a.csv"
    child = os.fork()
    if child == 0:
        with new_file(out) as part:
            part.write_text("Référence;Rôle\n")
            os._exit(9)
    os.waitpid(child, 0)
    assert out.read_bytes() == b""
    assert [path.suffix for path in sorted(tmp_path.iterdir())] == [".csv", ".part"]
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}


def test_a_file_that_is_there_is_kept(deployment: Deployment, tmp_path: Path) -> None:
    out = tmp_path / "mine.csv"
    out.write_text("mine")
    refused = deployment.call("export", "--out", out)
    assert refused.exit_code == 1
    assert "File exists" in refused.output
    assert out.read_text() == "mine"
