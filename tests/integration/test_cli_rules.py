"""``gateway rules``: checked before they are used, listed as they are read."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.deployment import Deployment, deployed

OWN = """
[rules.dermatologie-sans-image]
on = "request"
when = "'dermatologie' in expert_specialties and images == 0"
do = [{ ask = "Merci de joindre au moins une photographie nette." }]
"""


@pytest.fixture(scope="module")
def deployment() -> Iterator[Deployment]:
    with deployed() as made:
        yield made


def test_the_rules_of_the_deployment_are_valid(deployment: Deployment) -> None:
    found = deployment.json("rules", "check")
    assert found["valid"]
    assert "ouverture" in [rule["name"] for rule in found["rules"]]
    text = deployment.done("rules", "check")
    assert "urgency == 'vitale'" in text
    assert f"valid: {len(found['rules'])} rules, version {found['version']}" in text


def test_a_file_is_checked_with_the_default_rules(deployment: Deployment, tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text(OWN, "utf-8")
    before = deployment.json("rules", "check")
    found = deployment.json("rules", "check", tmp_path / "own.toml")
    assert found["version"] != before["version"]
    added = found["rules"][-1]
    assert (added["name"], added["on"], added["do"]) == ("dermatologie-sans-image", ["request"], ["ask"])
    assert deployment.json("rules", "check") == before


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("images == 0", "imagse == 0", "unknown symbol 'imagse' in when; did you mean 'images'?"),
        ('"request"', '"requets"', "on = 'requets' is not known; did you mean 'request'?"),
        ("when =", "whn =", "unknown key 'whn'; did you mean 'when'?"),
        ("ask =", "aks =", "do has no verb in ['aks']; did you mean 'ask'?"),
    ],
)
def test_a_mistake_is_told_with_rule_key_and_nearest_word(
    deployment: Deployment, tmp_path: Path, old: str, new: str, why: str
) -> None:
    (tmp_path / "own.toml").write_text(OWN.replace(old, new), "utf-8")
    told = deployment.call("rules", "check", tmp_path / "own.toml")
    assert told.exit_code == 1
    assert told.stderr.startswith("gateway: rule dermatologie-sans-image: ")
    assert why in told.stderr
    assert told.stdout == ""


def test_rules_are_listed_by_what_they_listen_to(deployment: Deployment) -> None:
    found = deployment.json("rules", "list", "--on", "message")
    assert found
    assert all("message" in rule["on"] for rule in found)
    text = deployment.done("rules", "list", "--on", "request")
    assert "do   accept, post ouverture" in text
    assert deployment.done("rules", "list")


def test_wrong_use(deployment: Deployment) -> None:
    assert deployment.call("rules", "check", "no-such-file.toml").exit_code == 2
    assert deployment.call("rules", "list", "--on", "tuesday").exit_code == 2
