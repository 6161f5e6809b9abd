"""Looking into conversations, messages and the queue of a deployment, by ``gateway``."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from gateway.services import Services
from gateway.store import OutboxRow, OutboxState
from tests.support import region
from tests.support.deployment import Deployment, Played, deployed, play

NIR = "261054300000186"
NOBODY = "6f1c2a52-6ab1-4ef0-9c0a-5a3f1f0c7d11"
NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)


@pytest.fixture(scope="module")
def deployment() -> Iterator[Deployment]:
    with deployed() as made:
        yield made


@pytest.fixture(scope="module")
def played(deployment: Deployment) -> Played:
    return deployment.work(play)


def put(deployment: Deployment, **changes: object) -> OutboxRow:
    """An action in the queue."""
    row = OutboxRow(
        id=uuid4(), key=str(uuid4()), action="relay", recipient="x@y.example", first_at=NOW, next_at=NOW
    )
    row = replace(row, **changes)  # type: ignore[arg-type]

    async def write(services: Services) -> None:
        async with services.store.transaction() as tx:
            await tx.outbox.put([row])

    deployment.work(write)
    return row


# -- conversation -------------------------------------------------------------------------------------------


def test_conversations_are_listed_by_state_and_member(deployment: Deployment, played: Played) -> None:
    (found,) = deployment.json("conversation", "list")
    assert (found["ref"], found["id"]) == (played.ref, str(played.conversation))
    assert found["requester"] == region.GP.address
    assert deployment.json("conversation", "list", "--state", found["state"], "--member", region.GP.address)
    assert deployment.json("conversation", "list", "--member", region.STRANGER.address) == []
    assert deployment.json("conversation", "list", "--state", "completed") == []
    assert played.ref in deployment.done("conversation", "list")


def test_a_conversation_shows_who_did_what_and_what_is_missing(
    deployment: Deployment, played: Played
) -> None:
    found = deployment.json("conversation", "show", played.ref)
    assert found["fhir"] == ["on-hold", ""]
    assert found["missing"] == ["Vue rapprochée avec règle"]
    first, *_, last = found["events"]
    assert (first["seq"], first["kind"], first["message"]) == (1, "opened", str(played.request))
    assert first["author"] == "Mme Nadia ROUX pour Dr Claire MARTIN"
    assert (last["kind"], last["mail_id"]) == ("exchanged", played.answer_mail_id)
    assert [each["side"] for each in found["exchanges"]] == ["requester", "expert"]
    assert {each["address"] for each in found["members"]} == {region.GP.address, region.DERMATOLOGIST.address}
    assert {each["state"] for each in found["actions"]} == {"pending"}
    text = deployment.done("conversation", "show", str(played.conversation))
    for word in (
        played.ref,
        "Mme Nadia ROUX pour Dr Claire MARTIN",
        "Vue rapprochée avec règle",
        "FHIR on-hold",
    ):
        assert word in text


@pytest.mark.parametrize("command", [("conversation", "show"), ("explain",)], ids=" ".join)
@pytest.mark.parametrize("more", [(), ("--json",)], ids=["text", "json"])
def test_nothing_of_the_patient_is_shown(
    deployment: Deployment, played: Played, command: tuple[str, ...], more: tuple[str, ...]
) -> None:
    text = deployment.done(*command, played.ref, *more)
    assert "urand" not in text.lower().replace("durant", "")
    assert "Zoé" not in text
    assert NIR not in text
    assert "Lésion" not in text


def test_the_patient_is_shown_when_asked_for_and_that_is_noted(
    deployment: Deployment, played: Played
) -> None:
    found = deployment.json("conversation", "show", played.ref, "--patient")
    assert (found["patient"]["birth_name"], found["patient"]["ins"]) == ("Durand", NIR)
    assert "DURAND Zoé" in deployment.done("conversation", "show", played.ref, "--patient")

    async def noted(services: Services) -> int:
        async with services.store.reading() as tx:
            lines = await tx.audit.list()
        return sum((line.action, line.target) == ("show patient", str(played.conversation)) for line in lines)

    assert deployment.work(noted) == 2


def test_an_unknown_conversation_is_refused_and_a_bad_name_is_wrong_use(deployment: Deployment) -> None:
    assert deployment.call("conversation", "show", "TLE-1999-000001").exit_code == 1
    assert deployment.call("conversation", "show", NOBODY).exit_code == 1
    assert deployment.call("conversation", "show", "la dernière").exit_code == 2
    assert deployment.call("conversation", "list", "--state", "lost").exit_code == 2
    assert deployment.call("conversation", "list", "--limit", "0").exit_code == 2


# -- explain ------------------------------------------------------------------------------------------------


def test_a_conversation_is_explained_with_every_rule_that_was_read(
    deployment: Deployment, played: Played
) -> None:
    found = deployment.json("explain", played.ref)
    assert found["conversation"]["ref"] == played.ref
    first = found["messages"][0]
    assert first["id"] == str(played.request)
    assert first["login"] == region.GP.address
    assert first["signature"] == "none"
    assert any(name == "Received" and "192.0.2.7" in value for name, value in first["trace"])
    assert [line["result"] for line in first["audit"]] == ["opened"]
    (decision,) = first["decisions"]
    assert decision["trigger"] == "request"
    assert decision["symbols"]["missing_count"] == 1
    fired = {each["rule"]: each["fired"] for each in decision["rules"]}
    assert (fired["ouverture"], fired["urgence-vitale"]) == (True, False)
    assert [each["kind"] for each in first["events"]] == ["opened", "held"]
    sent = [each for message in found["messages"] for each in message["actions"]]
    assert {each["action"] for each in sent} == {"deliver"}
    assert {each["recipient"] for each in sent} == {region.GP.address, region.DERMATOLOGIST.address}
    sequence = [event["seq"] for message in found["messages"] for event in message["events"]]
    assert sequence == sorted(sequence)


def test_one_message_is_found_by_each_of_its_names(deployment: Deployment, played: Played) -> None:
    named = deployment.json("explain", played.answer_mail_id)
    message = named["messages"][0]
    assert message["events"][0]["kind"] == "exchanged"
    action = message["actions"][0]["id"]
    bare = played.answer_mail_id.strip("<>")
    for name in (message["id"], bare, played.answer_queue_id, played.answer_queue_id.lower(), action):
        assert deployment.json("explain", name)["messages"] == named["messages"]


def test_a_letter_is_explained_with_the_mails_that_announce_it(
    deployment: Deployment, played: Played
) -> None:
    letter, *others = deployment.json("explain", played.answer_queue_id)["messages"]
    assert letter["cause"] is None
    assert others
    assert {each["cause"] for each in others} == {letter["id"]}
    told = {action["recipient"] for each in others for action in each["actions"]}
    assert region.GP.address in told


def test_mail_outside_any_conversation_and_refused_mail_are_explained(
    deployment: Deployment, played: Played
) -> None:
    search = deployment.json("explain", played.search_queue_id)
    assert search["conversation"] is None
    command, answer = search["messages"]
    assert (command["queue_id"], command["audit"][0]["result"]) == (played.search_queue_id, "directory")
    assert (answer["direction"], answer["cause"]) == ("written", command["id"])
    (delivery,) = answer["actions"]
    assert (delivery["action"], delivery["recipient"]) == ("deliver", region.GP.address)
    assert f"because of  {command['id']}" in deployment.done("explain", played.search_queue_id)
    assert [each["id"] for each in deployment.json("explain", answer["mail_id"])["messages"]] == [
        answer["id"]
    ]
    refused = deployment.json("explain", played.refused_queue_id)
    assert refused["messages"] == []
    assert [(line["actor"], line["result"]) for line in refused["audit"]] == [
        (region.STRANGER.address, "550 5.7.1")
    ]


def test_the_explanation_fits_a_terminal_of_100_columns(deployment: Deployment, played: Played) -> None:
    text = deployment.done("explain", played.ref)
    assert max(map(len, text.splitlines())) <= 100
    for word in (
        "fired       ouverture",
        "not fired   urgence-vitale: urgency == 'vitale'",
        "outcome     accept",
    ):
        assert word in text


@pytest.mark.parametrize(
    "name", [NOBODY, "TLE-1999-000001", "<nothing@client.example>", "00000000000000FF", "x"]
)
def test_what_is_not_known_is_refused(deployment: Deployment, name: str) -> None:
    told = deployment.call("explain", name)
    assert told.exit_code == 1
    assert told.stdout == ""
    assert deployment.call("explain").exit_code == 2


# -- queue --------------------------------------------------------------------------------------------------


def test_the_queue_is_listed_by_state_and_conversation(deployment: Deployment, played: Played) -> None:
    mine = deployment.json("queue", "list", "--conversation", played.ref)
    assert mine
    assert {each["conversation_id"] for each in mine} == {str(played.conversation)}
    held = put(deployment, state=OutboxState.HELD, last_error="poison")
    (found,) = deployment.json("queue", "list", "--state", "held")
    assert (found["id"], found["last_error"]) == (str(held.id), "poison")
    assert len(deployment.json("queue", "list", "--limit", "2")) == 2
    assert str(held.id) in deployment.done("queue", "list")
    assert deployment.done("queue", "list", "--state", "done").strip() == "the queue is empty"


def test_a_patients_address_is_masked_wherever_it_stands(deployment: Deployment) -> None:
    recipient = f"{NIR}@patient.mssante.example"
    row = put(deployment, recipient=recipient, last_error=f"550 <{recipient}> unknown")
    for more in ((), ("--json",)):
        text = deployment.done("queue", "list", *more)
        assert "@patient.mssante.example" in text
        assert NIR not in text
    assert NIR not in deployment.done("queue", "hold", row.id, "--json")


def test_an_action_is_held_released_and_tried_again(deployment: Deployment) -> None:
    row = put(deployment, next_at=NOW + timedelta(days=36500))
    assert deployment.json("queue", "hold", row.id)["state"] == "held"
    released = deployment.json("queue", "release", row.id)
    assert released["state"] == "pending"
    assert released["attempts"] == 0
    waiting = put(deployment, next_at=NOW + timedelta(days=36500), last_error="421 later")
    again = deployment.json("queue", "retry", waiting.id)
    assert datetime.fromisoformat(again["next_at"]) < NOW + timedelta(days=36000)
    assert again["last_error"] == "421 later"
    failed = put(deployment, state=OutboxState.FAILED)
    assert "pending, due" in deployment.done("queue", "retry", failed.id)


def test_what_cannot_be_moved_is_refused(deployment: Deployment) -> None:
    done = put(deployment, state=OutboxState.DONE)
    pending = put(deployment)
    claimed = put(deployment, claimed_until=NOW + timedelta(days=36500))
    for verb, action, why in (
        ("retry", done.id, "is done"),
        ("hold", done.id, "is done"),
        ("release", pending.id, "is pending"),
        ("retry", claimed.id, "a worker is at it"),
        ("hold", claimed.id, "a worker is at it"),
        ("retry", NOBODY, "no action"),
    ):
        told = deployment.call("queue", verb, action)
        assert told.exit_code == 1
        assert why in told.stderr
    assert deployment.call("queue", "retry", "12").exit_code == 2
    assert deployment.call("queue", "list", "--state", "lost").exit_code == 2
    assert deployment.call("queue", "list", "--conversation", "TLE-1999-000001").exit_code == 1


def test_hostile_text_cannot_drive_the_terminal(deployment: Deployment) -> None:
    put(deployment, recipient="\x1b]0;owned\x07@y.example", last_error="[bold]x[/] \x1b[2J\nnext")
    text = deployment.done("queue", "list")
    assert "\x1b" not in text
    assert "[bold]x[/]" in text
    assert json.loads(deployment.done("queue", "list", "--json"))
