"""The register of patients by ``gateway patient``: nobody's identity unless asked for, and then audited."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime

import pytest

from gateway.services import Services
from gateway.store import AuditRow, ConversationRow, PatientRow
from teleexpertise.identifiers import nir_key
from teleexpertise.patients import Patient
from tests.support.deployment import Deployment, deployed, play

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
BODY = "2570299999123"
INS = BODY + nir_key(BODY)
OTHER = "2570299999124" + nir_key("2570299999124")
JEANNE = Patient(birth_name="DUPONT-ÉVRARD", first_names="Jeanne Marie", birth_date=date(1957, 2, 3), sex="F")
SECRETS = ("DUPONT", "EVRARD", "ÉVRARD", "Jeanne", "1957", INS)


@pytest.fixture(scope="module")
def deployment() -> Iterator[Deployment]:
    with deployed() as made:
        yield made


def entered(deployment: Deployment, *people: Patient) -> list[int]:
    async def add(services: Services) -> list[int]:
        async with services.store.transaction() as tx:
            return [(await tx.patients.add(each, NOW)).id for each in people]

    return deployment.work(add)


def audited(deployment: Deployment, number: int) -> list[AuditRow]:
    async def read(services: Services) -> list[AuditRow]:
        async with services.store.reading() as tx:
            return list(await tx.audit.about([f"patient {number}"]))

    return deployment.work(read)


def patient(deployment: Deployment, number: int) -> PatientRow:
    async def read(services: Services) -> PatientRow | None:
        async with services.store.reading() as tx:
            return await tx.patients.get(number)

    found = deployment.work(read)
    assert found is not None
    return found


def refused(deployment: Deployment, *arguments: object, code: int = 1) -> str:
    called = deployment.call("patient", *arguments)
    assert called.exit_code == code, called.output
    return called.output


def hidden(text: str) -> bool:
    return not [secret for secret in SECRETS if secret in text]


def test_search_shows_identities_only_where_that_is_asked_for(deployment: Deployment) -> None:
    (number,) = entered(deployment, replace(JEANNE, ins=INS))
    bare = deployment.done("patient", "search", "evrard", "jeanne")
    assert str(number) in bare
    assert hidden(bare)
    assert hidden(json.dumps(deployment.json("patient", "search", "dupont", "03/02/1957")))
    assert audited(deployment, number) == []
    shown = deployment.done("patient", "search", "jeanne", "dupont", "--patient")
    assert f"DUPONT-ÉVRARD Jeanne Marie, F, born 1957-02-03, INS {INS}" in shown
    (line,) = audited(deployment, number)
    assert (line.action, line.target, line.result) == ("show patient", f"patient {number}", "shown")
    assert hidden(f"{line}".replace("2026", ""))
    found = deployment.json("patient", "search", INS, "--patient")
    assert [each["patient"]["birth_name"] for each in found["patients"]] == ["DUPONT-ÉVRARD"]
    assert deployment.json("patient", "search", "nobody") == {"patients": [], "more": False}
    assert refused(deployment, "search", " ", code=2)


def test_a_history_shows_every_conversation(deployment: Deployment) -> None:
    played = deployment.work(play)
    (number,) = entered(deployment, JEANNE)

    async def link(services: Services) -> ConversationRow | None:
        async with services.store.transaction() as tx:
            await tx.patients.link(played.conversation, number)
            return await tx.conversations.get(played.conversation)

    row = deployment.work(link)
    assert row is not None
    found = deployment.json("patient", "show", number)
    (past,) = found["conversations"]
    assert (past["ref"], past["state"], past["reports"]) == (played.ref, row.projection.state, 0)
    text = deployment.done("patient", "show", number)
    assert played.ref in text
    assert hidden(text)
    assert "DUPONT-ÉVRARD" in deployment.done("patient", "show", number, "--patient")
    assert "no patient" in refused(deployment, "show", 4711)


def test_a_corrected_identity_is_typed_audited_and_never_printed(deployment: Deployment) -> None:
    (number,) = entered(deployment, JEANNE)
    told = deployment.done(
        "patient", "correct", number, "--birth-name", " DUPOND  ÉVRARD ", "--birth-date", "1957-02-13",
        "--ins", f"2 57 02 {OTHER[5:]}", "--ins-oid", "urn:oid:1.2.250.1.213.1.4.10",
        "--birth-place", "2a 004", "--used-name", "ROUX", "--ipp", "430000018=0042317", "--qualified",
        "--birth-order", "2",
    )  # fmt: skip
    assert hidden(told)
    row = patient(deployment, number)
    assert row.patient == replace(
        JEANNE, birth_name="DUPOND ÉVRARD", birth_date=date(1957, 2, 13), ins=OTHER, birth_place="2A004",
        used_name="ROUX", qualified=True, ins_oid="1.2.250.1.213.1.4.10", birth_order=2,
    )  # fmt: skip
    for words in (("roux",), ("0042317",), (OTHER,)):
        assert deployment.json("patient", "search", *words)["patients"][-1]["id"] == number
    lines = audited(deployment, number)
    assert [line.action for line in lines] == ["correct patient", "patient number"]
    assert "birth_name" in str(lines[0].detail["fields"])
    assert hidden(str([line.detail for line in lines]))
    # another trait, and nobody answers for the whole any more
    deployment.done("patient", "correct", number, "--first-names", "Jeanne")
    assert not patient(deployment, number).patient.qualified


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--ins", INS[:-1] + "0"), "nir_key"),
        (("--ins", "123"), "nir_length"),
        (("--ins-oid", "1.2.3"), "ins_oid_unknown"),
        (("--birth-place", "43000"), "cog_place"),
        (("--birth-name", " "), "cannot be empty"),
        (("--birth-name", "x" * 101), "at most 100"),
        (("--birth-date", "2999-01-01"), "to come"),
        (("--ipp", "0042317"), "PLACE=NUMBER"),
        (("--qualified",), "without INS"),
        (("--ins", INS, "--qualified", "--sex", "M"), "nir_other_sex"),
    ],
)
def test_a_wrong_correction_changes_nothing(
    deployment: Deployment, options: tuple[str, ...], said: str
) -> None:
    (number,) = entered(deployment, JEANNE)
    output = refused(deployment, "correct", number, *options)
    assert said in output
    assert INS not in output
    assert patient(deployment, number).patient == JEANNE
    assert audited(deployment, number) == []


def test_nothing_to_correct_and_nobody_to_correct_are_told(deployment: Deployment) -> None:
    assert refused(deployment, "correct", 1, code=2)
    assert "no patient 4711" in refused(deployment, "correct", 4711, "--sex", "F")


def test_doubles_are_listed_and_merged_only_by_yes(deployment: Deployment) -> None:
    first, second, third = entered(
        deployment, JEANNE, replace(JEANNE, birth_name="DUPOND-ÉVRARD"), replace(JEANNE, birth_name="ROUX")
    )

    def listed() -> list[object]:
        pairs = deployment.json("patient", "doubles")
        return [pair for pair in pairs if {first, second, third} >= set(pair["patients"])]

    assert listed() == [{"patients": [first, second], "why": "near_name"}]
    assert hidden(deployment.done("patient", "doubles"))
    assert "DUPOND-ÉVRARD" in deployment.done("patient", "doubles", "--patient")
    assert refused(deployment, "merge", second, first, code=2)
    assert len(listed()) == 1
    assert deployment.json("patient", "merge", second, first, "--yes")["patient"] == first
    assert listed() == []
    assert deployment.json("patient", "show", second)["id"] == first
    assert "turned out" in deployment.done("patient", "show", second)
    line = audited(deployment, second)[-1]
    assert (line.action, line.target, dict(line.detail)) == (
        "merge patient", f"patient {second}", {"into": first},
    )  # fmt: skip
    assert "one patient already" in refused(deployment, "merge", second, first, "--yes")
    body = "2570299999125"
    deployment.done("patient", "correct", first, "--ins", body + nir_key(body))
    assert "differ in birth_name" in refused(deployment, "merge", third, first, "--yes")
