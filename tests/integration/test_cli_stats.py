"""``gateway stats`` on a deployment at rest."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from lxml import etree
from PIL import Image

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
