"""``gateway stats`` on a deployment at rest."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from lxml import etree
from PIL import Image

from gateway.services import Services
from gateway.store import Direction, MessageRow
from teleexpertise.events import Author
from teleexpertise.mirrors import Flow, MirrorEvent, fold_mirror
from teleexpertise.people import Party
from teleexpertise.states import State
from teleexpertise.told import Told
from tests.support import region
from tests.support.deployment import Deployment, deployed, request


@pytest.fixture(scope="module")
def deployment() -> Iterator[Deployment]:
    with deployed() as made:
        made.work(lambda services: request(services, delay_days=2, answer=True))
        made.work(lambda services: request(services, delay_days=2))
        yield made


def test_what_was_asked_and_answered(deployment: Deployment, tmp_path: Path) -> None:
    picture = tmp_path / "activite.svg"
    told = deployment.done("stats", "--plot", picture)
    assert "Dermatologie" in told
    assert "Haute-Loire" in told
    assert "100 % of 1" in told
    root = etree.fromstring(picture.read_bytes())
    assert root.tag.endswith("svg")
    assert "other operators" not in told
    found = deployment.json("stats")
    assert (found["whole"]["asked"], found["whole"]["answer"]["count"]) == (2, 1)
    assert found["whole"]["share"] == 1.0
    assert [group["asked"] for group in found["months"]] == [2]
    names = (region.GP.name, region.DERMATOLOGIST.name, "FAUXCOMPTE")
    assert not any(name in told + picture.read_text("utf-8") for name in names)


def test_only_what_an_account_was_asked(deployment: Deployment, tmp_path: Path) -> None:
    assert deployment.json("stats", "--account", region.DERMATOLOGIST.address)["whole"]["asked"] == 2
    assert deployment.json("stats", "--account", region.GP.address)["whole"]["asked"] == 0
    assert deployment.json("stats", "--to", "2020-01-01")["whole"]["asked"] == 0
    refused = deployment.call("stats", "--establishment", "999999999", "--plot", tmp_path / "a.svg")
    assert refused.exit_code == 1
    assert not (tmp_path / "a.svg").exists()
    there = tmp_path / "there.svg"
    there.write_text("x")
    assert deployment.call("stats", "--plot", there).exit_code == 1
    assert there.read_text() == "x"


HOLDER = "voisin.mssante.example"
THERE = Party(f"avis.cardiologie@{HOLDER}", "Avis Cardiologie", profession="Cardiologie")
ASKED_AT = datetime(2024, 3, 31, 22, 30, tzinfo=UTC)  # April in the readers' zone


async def mirrored(services: Services, number: int, state: State, told: Told | None) -> None:
    """A conversation of the general practitioner that another operator holds, as one mail told it."""
    made = MirrorEvent(
        flow=Flow.RECEIVED,
        event="etat",
        at=ASKED_AT,
        author=Author(f"teleexpertise@{HOLDER}", "Service"),
        message=uuid4(),
        message_sha256="0" * 64,
        mail_id=f"<{number}@{HOLDER}>",
        seq=1,
        state=state,
        ref=f"TLE-2024-{number:06}",
        members=(region.GP.address,),
        cites=(),
        reply_to=f"teleexpertise+jeton@{HOLDER}",
        told=told,
    )
    async with services.store.transaction() as tx:
        identifier = uuid4()
        row = MessageRow(
            id=made.message,
            sha256=made.message_sha256,
            mail_id=made.mail_id,
            sender=made.author.address,
            body_sha256="0" * 64,
            direction=Direction.RECEIVED,
            received_at=made.at,
            size=3,
        )
        await tx.messages.add(row, b"abc")
        await tx.mirrors.pin(fold_mirror(identifier, HOLDER, [made]))
        await tx.mirrors.append(identifier, made)
        await tx.mirrors.save(fold_mirror(identifier, HOLDER, [made]))


def test_what_another_operator_holds_counts_by_what_it_told(deployment: Deployment, tmp_path: Path) -> None:
    asking = Party(region.GP.address, region.GP.name)
    facts = Told(requester=asking, expert=THERE, asked_of=THERE.address, requested_at=ASKED_AT, delay_days=2)
    done = {
        "acted_at": ASKED_AT + timedelta(days=3),
        "finalised_at": ASKED_AT + timedelta(days=3),
        "version": 1,
    }
    answered = replace(
        facts,
        specialty="Cardiologie",
        answered_at=ASKED_AT + timedelta(days=1),
        **done,  # type: ignore[arg-type]
    )
    refused = replace(facts, specialty="Cardiologie", declined_at=ASKED_AT + timedelta(days=3))
    others = replace(facts, requester=Party(f"l.chany@{HOLDER}", "Dr Louise CHANY"))  # ours is a guest there
    cases = (
        (State.COMPLETED, answered),
        (State.DECLINED, refused),
        (State.DECLINED, facts),  # as a gateway of an earlier version tells it: no specialty, no day
        (State.REQUESTED, others),
        (State.REQUESTED, None),
    )

    async def play(services: Services) -> None:
        for number, (state, told) in enumerate(cases, start=1):
            await mirrored(services, number, state, told)

    deployment.work(play)
    period = ("--from", "2024-01-01", "--to", "2024-12-31")
    found = deployment.json("stats", *period)
    whole = found["whole"]
    assert (whole["asked"], whole["finalised"], whole["answer"]["count"]) == (3, 1, 2)
    assert (whole["answer"]["median"], whole["finalisation"]["median"]) == (48.0, 72.0)
    assert (whole["due"], whole["in_time"]) == (2, 1)
    assert [(group["name"], group["asked"]) for group in found["specialties"]] == [("Cardiologie", 2)]
    assert [(group["name"], group["asked"]) for group in found["departments"]] == [("Haute-Loire", 3)]
    assert [group["name"] for group in found["months"]] == ["2024-04"]
    assert found["elsewhere"] == {"counted": 3, "untold": 1, "specialty": 1, "department": 0, "answer": 1}
    told_so = deployment.done("stats", *period, "--plot", tmp_path / "ailleurs.svg")
    assert "held by other operators, counted above: 3" in told_so
    assert "that told no facts, counted nowhere above: 1" in told_so
    assert "autre opérateur" in (tmp_path / "ailleurs.svg").read_text("utf-8")
    # Who asks elsewhere is a requester there and was asked nothing.
    asked_of = deployment.json("stats", *period, "--account", region.GP.address)
    assert (asked_of["whole"]["asked"], asked_of["elsewhere"]["untold"]) == (0, 1)
    asked_by = deployment.json("stats", *period, "--account", region.GP.address, "--role", "requester")
    assert asked_by["whole"] == whole


def test_the_picture_is_drawn_in_pixels_too(deployment: Deployment, tmp_path: Path) -> None:
    svg, png = tmp_path / "activite.svg", tmp_path / "Activite.PNG"
    for picture in (svg, png):
        deployment.done("stats", "--plot", picture)
    size = etree.fromstring(svg.read_bytes())
    with Image.open(png) as drawn:
        assert drawn.format == "PNG"
        assert drawn.size == (2 * int(size.get("width", "0")), 2 * int(size.get("height", "0")))
        colours = {colour for _, colour in drawn.convert("RGB").getcolors(1 << 24) or []}
    for drawn_in in ("#2b6cb0", "#9bc1e4", "#ffffff"):  # both series, on white
        assert tuple(bytes.fromhex(drawn_in[1:])) in colours
    wrong = deployment.call("stats", "--plot", tmp_path / "activite.jpeg")
    assert wrong.exit_code == 2
    assert ".svg or .png" in wrong.stderr
    assert not (tmp_path / "activite.jpeg").exists()
