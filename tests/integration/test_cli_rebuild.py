"""``gateway rebuild`` and ``gateway audit verify`` find what is not as the events say."""

from collections.abc import Iterator

import pytest

from gateway.services import Services
from tests.support.deployment import Deployment, Played, deployed, play


@pytest.fixture(scope="module")
def whole() -> Iterator[tuple[Deployment, Played]]:
    with deployed() as made:
        yield made, made.work(play)


@pytest.fixture
def deployment(whole: tuple[Deployment, Played]) -> Iterator[Deployment]:
    """The deployment; what a test does to its database is undone."""
    made, _ = whole
    path = made.database
    octets = path.read_bytes()
    yield made
    path.write_bytes(octets)


@pytest.fixture
def played(whole: tuple[Deployment, Played]) -> Played:
    return whole[1]


def told(deployment: Deployment, *arguments: str, code: int) -> list[str]:
    found = deployment.call("rebuild", *arguments)
    assert found.exit_code == code, found.output
    return found.stdout.splitlines()


def test_a_sound_store_has_no_difference(deployment: Deployment, played: Played) -> None:
    found = deployment.json("rebuild", "--check")
    assert found["differences"] == []
    assert (found["conversations"], found["events"]) == (1, 5)
    assert found["messages"] == 4
    assert found["decisions"] == 2
    assert found["audit_lines"] >= 3


@pytest.mark.parametrize(
    ("statement", "name"),
    [
        ("UPDATE conversation SET state = 'completed'", "state"),
        ("UPDATE conversation SET expert_address = 'x@y.example'", "expert_address"),
        ("UPDATE conversation SET folded = json_set(folded, '$.version', 7)", "folded"),
        ("UPDATE conversation_member SET active = 0", "members"),
        ("DELETE FROM conversation_member", "members"),
    ],
)
def test_a_projection_that_differs_is_named_and_mended(
    deployment: Deployment, played: Played, statement: str, name: str
) -> None:
    deployment.damage(statement)
    for _ in range(2):  # the first check has changed nothing
        assert f"{played.ref}: projection differs in {name}" in told(deployment, "--check", code=1)
    assert f"{played.ref}: projection differs in {name} (rewritten)" in told(deployment, code=0)
    assert deployment.json("rebuild", "--check")["differences"] == []


@pytest.mark.parametrize(
    ("statement", "what"),
    [
        (
            "UPDATE message SET raw = CAST(raw || ' ' AS BLOB) WHERE id IN (SELECT message_id FROM event)",
            "octets of message",
        ),
        ("UPDATE message SET sha256 = substr(sha256, 2) || substr(sha256, 1, 1)", "another hash"),
        (
            (
                "UPDATE event SET message_sha256 = substr(message_sha256, 2) || substr(message_sha256, 1, 1)"
                " WHERE seq = 5"
            ),
            "event 5",
        ),
        ("DELETE FROM event WHERE seq = 4", "4 events with gaps"),
        ("DELETE FROM event WHERE seq = 1", "give no state"),
        ("DELETE FROM event", "give no state"),
        ("UPDATE event SET payload = json_set(payload, '$.kind', 'lost') WHERE seq = 5", "cannot be read"),
        ('UPDATE event SET payload = \'{"kind": "resumed"}\' WHERE seq = 2', "no step resumed"),
        ("UPDATE decision SET facts = json_set(facts, '$.images', 3) WHERE id = 1", "other values of images"),
        ("UPDATE decision SET trace = '[]' WHERE id = 2", "the rules say otherwise"),
        ("UPDATE audit SET result = 'nothing' WHERE id = 2", "chain is broken at line 2"),
    ],
)
def test_damage_is_named_and_never_mended(deployment: Deployment, statement: str, what: str) -> None:
    deployment.damage(statement)
    assert what in "\n".join(told(deployment, "--check", code=1))
    assert what in "\n".join(told(deployment, code=1))


def test_decisions_of_other_rules_are_left_alone(deployment: Deployment) -> None:
    deployment.damage("UPDATE decision SET rules_version = 'earlier', trace = '[]'")
    found = deployment.json("rebuild", "--check")
    assert (found["decisions"], found["differences"]) == (0, [])


def test_a_message_that_was_purged_is_accepted(deployment: Deployment, played: Played) -> None:
    async def purge(services: Services) -> bool:
        async with services.store.transaction() as tx:
            return await tx.messages.purge(played.request)

    assert deployment.work(purge)
    assert deployment.json("rebuild", "--check")["differences"] == []
    assert ", purged" in deployment.done("explain", str(played.request))


def test_a_record_that_gives_no_state_is_refused_by_show(deployment: Deployment, played: Played) -> None:
    deployment.damage("DELETE FROM event WHERE seq = 1")
    found = deployment.call("conversation", "show", played.ref)
    assert found.exit_code == 1
    assert "rebuild --check" in found.stderr


def test_what_was_rewritten_is_noted(deployment: Deployment, played: Played) -> None:
    deployment.damage("UPDATE conversation SET state = 'completed'")
    told(deployment, code=0)

    async def lines(services: Services) -> list[tuple[str, str]]:
        async with services.store.reading() as tx:
            return [(line.action, line.target) for line in await tx.audit.list()]

    assert deployment.work(lines)[-1] == ("rebuild", str(played.conversation))


def test_the_audit_chain_is_verified(deployment: Deployment) -> None:
    found = deployment.json("audit", "verify")
    assert found["holds"]
    assert found["count"] >= 3
    assert found["head"] in deployment.done("audit", "verify")
    deployment.damage("UPDATE audit SET actor = 'nobody' WHERE id = 2")
    broken = deployment.call("audit", "verify")
    assert broken.exit_code == 1
    assert "line 2 does not fit" in broken.stdout


def test_wrong_use(deployment: Deployment) -> None:
    assert deployment.call("rebuild", "everything").exit_code == 2
    assert deployment.call("audit", "verify", "twice").exit_code == 2
