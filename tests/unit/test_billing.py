"""Billing: each row of the rules, both sides of each change of date, limits, overseas, and what is
refused."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from itertools import permutations
from typing import Any

import pytest

from teleexpertise.billing.rating import (
    Anomaly,
    Billable,
    BillingParty,
    Line,
    NotBillable,
    Year,
    claimed_number,
    rate,
)
from teleexpertise.billing.tariffs import Role, TariffFault, Tariffs, Territory, load_tariffs, territory_of
from teleexpertise.patients import Patient
from tests.support.billing import PATIENT, shipped_tariffs

REQUESTER = BillingParty(
    address="nadege.arsac@demo.mssante.example",
    profession="Médecin généraliste",
    rpps="10999900011",
    number="439900101",
    department="43",
)
EXPERT = BillingParty(
    address="remy.perret@demo.mssante.example",
    profession="Médecin dermatologue",
    rpps="10999900029",
    number="439900119",
    department="43",
)


@pytest.fixture(scope="module")
def tariffs() -> Tariffs:
    return shipped_tariffs()


def case(day: date, **changes: Any) -> Billable:
    values: dict[str, Any] = {
        "ref": f"TLE-{day:%Y-%m%d}",
        "day": day,
        "asked": day - timedelta(days=2),
        "patient": PATIENT,
        "requester": REQUESTER,
        "expert": EXPERT,
    }
    return Billable(**values | changes)


def person(profession: str, **changes: Any) -> BillingParty:
    values: dict[str, Any] = {
        "address": "quelqu.un@demo.mssante.example",
        "profession": profession,
        "rpps": "10999900045",
        "number": "439900101",
        "department": "43",
    }
    return BillingParty(**values | changes)


def rated(tariffs: Tariffs, conversation: Billable) -> tuple[Line, Line]:
    expert, requester = rate([conversation], tariffs)
    assert (expert.role, requester.role) == (Role.EXPERT, Role.REQUESTER)
    return expert, requester


def told(line: Line) -> tuple[str, int | None]:
    return (line.act.code if line.act else str(line.refusal), line.amount)


@pytest.mark.parametrize(
    ("day", "level", "expert", "requester"),
    [
        (date(2019, 2, 9), "TE2", ("before-convention", 0), ("before-convention", 0)),
        (date(2019, 2, 10), "TE1", ("TE1", 1200), ("RQT", 500)),
        (date(2019, 2, 10), "TE2", ("TE2", 2000), ("RQT", 1000)),
        (date(2022, 3, 31), "TE1", ("TE1", 1200), ("RQT", 500)),
        (date(2022, 4, 1), "TE1", ("TE2", 2000), ("RQD", 1000)),
        (date(2022, 4, 1), "", ("TE2", 2000), ("RQD", 1000)),
        (date(2025, 12, 31), "", ("TE2", 2000), ("RQD", 1000)),
        (date(2026, 1, 1), "", ("TE2", 2300), ("RQD", 1000)),
    ],
)
def test_both_sides_of_each_change_of_date(
    tariffs: Tariffs, day: date, level: str, expert: tuple[str, int], requester: tuple[str, int]
) -> None:
    lines = rated(tariffs, case(day, level=level, listed_patient=True))
    assert tuple(map(told, lines)) == (expert, requester)
    assert all(line.anomalies == () for line in lines)


def test_before_april_2022_only_listed_patients_and_a_level_are_billed(tariffs: Tariffs) -> None:
    day = date(2021, 6, 1)
    assert [line.refusal for line in rated(tariffs, case(day, level="TE1", listed_patient=False))] == [
        NotBillable.PATIENT_NOT_LISTED,
        NotBillable.PATIENT_NOT_LISTED,
    ]
    for line in rated(tariffs, case(day, level="TE1")):
        assert line.act is not None
        assert line.anomalies == (Anomaly.PATIENT_SITUATION,), "what nobody said is to be settled"
    expert, requester = rated(tariffs, case(day, listed_patient=True))
    assert expert.amount is None
    assert expert.anomalies[0] is requester.anomalies[0] is Anomaly.LEVEL_UNKNOWN


@pytest.mark.parametrize(
    ("profession", "first", "code"),
    [
        ("Médecin généraliste", date(2022, 4, 1), "RQD"),
        ("Sage-femme", date(2022, 4, 1), "RQD"),
        ("Orthophoniste", date(2022, 4, 1), "RQD"),
        ("Infirmière libérale", date(2023, 3, 23), "RQD"),
        ("Infirmier en pratique avancée", date(2023, 3, 23), "RQD"),
        ("Kinésithérapeute", date(2024, 3, 1), "RQD"),
        ("Pédicure-podologue", date(2024, 3, 1), "RQD"),
        ("Chirurgien-dentiste", date(2025, 1, 18), "RQD"),
    ],
)
def test_a_profession_bills_its_requests_from_its_day_on(
    tariffs: Tariffs, profession: str, first: date, code: str
) -> None:
    asking = person(profession)
    _, before = rated(
        tariffs, case(first - timedelta(days=1), requester=asking, listed_patient=True, level="TE2")
    )
    _, after = rated(tariffs, case(first, requester=asking))
    assert told(after) == (code, 1000)
    assert before.act is None or before.act.code == "RQT"


@pytest.mark.parametrize("day", [date(2025, 1, 18), date(2025, 12, 31), date(2026, 1, 1)])
def test_a_dentist_bills_for_patients_in_some_situations_alone(tariffs: Tariffs, day: date) -> None:
    asking, answering = person("Chirurgien-dentiste"), EXPERT
    for parties in (
        {"requester": asking, "expert": answering},
        {"requester": answering, "expert": asking},
    ):
        lines = rated(tariffs, case(day, **parties))
        mine = next(line for line in lines if line.party is asking)
        others = next(line for line in lines if line.party is answering)
        assert mine.act is not None
        assert (mine.anomalies, others.anomalies) == ((Anomaly.PATIENT_SITUATION,), ())
        lines = rated(tariffs, case(day, listed_patient=False, **parties))
        assert {line.refusal for line in lines} == {NotBillable.PATIENT_NOT_LISTED, None}
        assert all(line.anomalies == () for line in rated(tariffs, case(day, listed_patient=True, **parties)))


@pytest.mark.parametrize(
    ("stated", "profession"),
    [
        ("Docteur en médecine", "médecin"),
        ("Docteur en pharmacie", "sans acte"),
        ("Docteur en chirurgie dentaire", "chirurgien-dentiste"),
        ("Docteur", ""),
        ("Praticien hospitalier", ""),
        ("Assistant hospitalier", ""),
        ("Chirurgien oral", "chirurgien-dentiste"),
        ("Chirurgien orthopédiste", "médecin"),
        ("Dermatologue", "médecin"),
        ("Pharmacienne", "sans acte"),
        ("Masseuse-kinésithérapeute", "masseur-kinésithérapeute"),
        ("Pédicure", "pédicure-podologue"),
        ("Maïeuticienne", "sage-femme"),
        ("Sage femme", "sage-femme"),
    ],
)
def test_professions_as_people_write_them(tariffs: Tariffs, stated: str, profession: str) -> None:
    assert tariffs.profession(stated) == profession


@pytest.mark.parametrize("profession", ["", "Dermatologie", "Idempotent", "Médecine"])
def test_an_unknown_profession_is_an_anomaly_and_never_taken_for_another(
    tariffs: Tariffs, profession: str
) -> None:
    _, requester = rated(tariffs, case(date(2026, 2, 1), requester=person(profession)))
    assert (requester.act, requester.amount, requester.refusal) == (None, None, None)
    assert Anomaly.PROFESSION_UNKNOWN in requester.anomalies


@pytest.mark.parametrize("profession", ["Orthoptiste", "Pharmacien d'officine", "Secrétaire", "Psychologue"])
def test_other_professions_ask_unpaid_and_the_expert_is_paid(tariffs: Tariffs, profession: str) -> None:
    expert, requester = rated(tariffs, case(date(2026, 2, 1), requester=person(profession)))
    assert requester.refusal is NotBillable.PROFESSION
    assert requester.amount == 0
    assert told(expert) == ("TE2", 2300)


@pytest.mark.parametrize(
    ("profession", "day", "billed"),
    [
        ("Sage-femme", date(2022, 4, 1), True),
        ("Chirurgien-dentiste", date(2025, 1, 17), False),
        ("Chirurgien-dentiste", date(2025, 1, 18), True),
        ("Infirmière libérale", date(2026, 3, 1), False),
    ],
)
def test_who_may_bill_an_answer(tariffs: Tariffs, profession: str, day: date, billed: bool) -> None:
    expert, _ = rated(tariffs, case(day, expert=person(profession)))
    assert (expert.act is not None) is billed


@pytest.mark.parametrize(
    ("profession", "day", "settled"),
    [
        ("Sage-femme", date(2021, 5, 31), False),
        ("Infirmière libérale", date(2021, 5, 31), False),
        ("Infirmière libérale", date(2021, 6, 1), True),
        ("Infirmière libérale", date(2022, 4, 1), True),
        ("Médecin généraliste", date(2021, 5, 31), True),
    ],
)
def test_before_june_2021_who_may_ask_but_doctors_is_to_be_settled(
    tariffs: Tariffs, profession: str, day: date, settled: bool
) -> None:
    expert, _ = rated(tariffs, case(day, requester=person(profession), level="TE2", listed_patient=True))
    assert expert.amount == 2000
    assert (Anomaly.REQUESTER_PROFESSION not in expert.anomalies) is settled


def test_a_request_to_a_profession_without_act_is_paid_to_nobody_as_a_matter_of_course(
    tariffs: Tariffs,
) -> None:
    nurse = person("Infirmière libérale")
    expert, requester = rated(tariffs, case(date(2026, 2, 1), expert=nurse))
    assert (expert.refusal, told(requester)) == (NotBillable.PROFESSION, ("RQD", 1000))
    assert requester.anomalies == (Anomaly.EXPERT_WITHOUT_ACT,)
    # The lump sum of 2019 to 2022 is computed from the expert's claim: where there is none, nothing is due.
    for level in ("TE1", "TE2", ""):
        _, requester = rated(tariffs, case(date(2020, 2, 1), expert=nurse, level=level, listed_patient=True))
        assert (requester.refusal, requester.amount) == (NotBillable.NO_EXPERT_CLAIM, 0)


def test_overseas_amounts_are_those_of_the_biller_and_unknown_ones_an_anomaly(tariffs: Tariffs) -> None:
    reunion = person("Médecin généraliste", department="974")
    expert, requester = rated(tariffs, case(date(2026, 1, 1), requester=reunion))
    assert (expert.amount, requester.amount) == (2300, 1200)
    expert, _ = rated(tariffs, case(date(2026, 1, 1), expert=person("Médecin", department="971")))
    assert expert.amount == 2760
    expert, _ = rated(tariffs, case(date(2025, 12, 31), expert=person("Médecin", department="971")))
    assert expert.amount is None
    assert Anomaly.AMOUNT_UNKNOWN in expert.anomalies


def test_a_site_tells_the_territory_where_the_account_names_no_department(tariffs: Tariffs) -> None:
    hospital = person("", department="", number="974000012/05", rpps="")
    expert, _ = rated(tariffs, case(date(2026, 1, 1), expert=hospital))
    assert expert.amount == 2760
    moved = replace(hospital, department="43")
    expert, _ = rated(tariffs, case(date(2026, 1, 1), expert=moved))
    assert expert.amount == 2300, "what the account says comes first"


@pytest.mark.parametrize(("profession", "limit"), [("Médecin généraliste", 4), ("Sage-femme", 2)])
def test_the_act_above_the_yearly_limit_is_an_anomaly_and_not_silence(
    tariffs: Tariffs, profession: str, limit: int
) -> None:
    days = [date(2026, 1, 10) + timedelta(days=30 * number) for number in range(limit + 1)]
    asking = person(profession)
    lines = [
        line
        for line in rate([case(day, requester=asking) for day in days], tariffs)
        if line.role is Role.REQUESTER
    ]
    assert [line.count for line in lines] == list(range(1, limit + 2))
    assert [line.amount for line in lines] == [1000] * limit + [0]
    assert lines[-1].anomalies == (Anomaly.LIMIT_EXCEEDED,)
    assert all(line.anomalies == () for line in lines[:-1])


def test_the_limit_is_for_one_patient_and_one_professional(tariffs: Tariffs) -> None:
    other_patient = Patient(birth_name="ESSAI", first_names="Camille", birth_date=date(1980, 7, 14), sex="F")
    anybody = Patient(birth_name="ESSAI", birth_date=date(1980, 7, 14), sex="F")
    assert case(date(2026, 1, 1), patient=anybody).patient_key == (), (
        "nobody is recognised by half an identity"
    )
    days = [date(2026, 1, 1) + timedelta(days=number) for number in range(4)]
    fifth = case(date(2026, 2, 1), expert=person("Médecin", rpps="10999900037"))
    elsewhere = case(date(2026, 2, 2), patient=other_patient)
    lines = {(line.ref, line.role): line for line in rate([*map(case, days), fifth, elsewhere], tariffs)}
    assert lines[fifth.ref, Role.EXPERT].count == 1
    assert lines[fifth.ref, Role.REQUESTER].anomalies == (Anomaly.LIMIT_EXCEEDED,)
    assert lines[elsewhere.ref, Role.EXPERT].count == 1


def test_a_patient_of_the_register_is_one_however_each_request_wrote_the_identity(tariffs: Tariffs) -> None:
    spelled = (
        PATIENT,
        replace(PATIENT, ins=""),
        replace(PATIENT, ins="", first_names="Bertille Anne"),
        replace(PATIENT, ins="", birth_name="FAUX-COMPTE"),
        replace(PATIENT, ins=""),
    )
    cases = [
        case(date(2026, 1, day), patient=patient, patient_id=7)
        for day, patient in enumerate(spelled, start=1)
    ]
    lines = [line for line in rate(cases, tariffs) if line.role is Role.EXPERT]
    assert [line.count for line in lines] == [1, 2, 3, 4, 5]
    assert Anomaly.LIMIT_EXCEEDED in lines[-1].anomalies
    plain = replace(cases[1], patient_id=None)
    accents = replace(plain, ref="TLE-X", patient=replace(spelled[1], birth_name="Fauxcompté"))
    counts = [line.count for line in rate([plain, accents], tariffs) if line.role is Role.EXPERT]
    assert counts == [1, 2], "without a number in the register the traits count, without case and accents"


def test_a_year_is_the_calendar_s_or_rolls_by_setting(tariffs: Tariffs) -> None:
    days = [date(2026, 12, day) for day in (1, 2, 3, 4)] + [date(2027, 1, 5), date(2027, 12, 1)]
    cases = [case(day) for day in days]

    def counts(year: Year) -> list[int]:
        return [line.count for line in rate(cases, tariffs, year) if line.role is Role.EXPERT]

    assert counts(Year.CALENDAR) == [1, 2, 3, 4, 1, 2]
    # on 1 December 2027 that of a year before counts no more, and the one refused in January never did
    assert counts(Year.ROLLING) == [1, 2, 3, 4, 5, 4]


def test_the_requester_s_lump_sum_ends_at_its_cap(tariffs: Tariffs) -> None:
    cases = [
        case(
            date(2020, 1, 1) + timedelta(days=number),
            level="TE2",
            listed_patient=True,
            patient=Patient(birth_name=f"N{number}", first_names="X", birth_date=date(1950, 1, 1), sex="F"),
        )
        for number in range(52)
    ]
    lines = [line for line in rate(cases, tariffs) if line.role is Role.REQUESTER]
    assert sum(line.amount or 0 for line in lines) == 50_000
    assert [line.amount for line in lines[-3:]] == [1000, 0, 0]
    assert Anomaly.CAP_REACHED in lines[50].anomalies
    assert Anomaly.CAP_REACHED not in lines[49].anomalies


def test_what_cannot_be_billed_says_why(tariffs: Tariffs) -> None:
    day = date(2026, 5, 5)
    practice = {"finess": "430000018"}
    same = case(day, requester=replace(REQUESTER, **practice), expert=replace(EXPERT, **practice))
    hospital = {"finess": "430000018", "number": "430000018/05"}
    internal = case(day, requester=replace(REQUESTER, **hospital), expert=replace(EXPERT, **hospital))
    by_number = case(
        day,
        requester=replace(REQUESTER, number="430000018/05"),
        expert=replace(EXPERT, number="430000018/03"),
    )
    for conversation, reason in (
        (by_number, NotBillable.HOSPITAL_INTERNAL),
        (case(day, requester=EXPERT), NotBillable.SAME_PERSON),
        (case(day, requester=replace(EXPERT, address="autre@x.example")), NotBillable.SAME_PERSON),
        (same, NotBillable.SAME_PRACTICE),
        (internal, NotBillable.HOSPITAL_INTERNAL),
        (case(day, cumulated=True), NotBillable.CUMULATED),
    ):
        for line in rated(tariffs, conversation):
            assert (line.refusal, line.amount, line.act) == (reason, 0, None)


def test_a_refused_act_is_not_counted(tariffs: Tariffs) -> None:
    days = [date(2026, 1, day) for day in range(1, 6)]
    cases = [case(day, cumulated=day == days[0]) for day in days]
    lines = [line for line in rate(cases, tariffs) if line.role is Role.EXPERT]
    assert [line.count for line in lines] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("changes", "expert", "requester"),
    [
        ({"expert": person("Médecin", number="")}, ["number-missing"], ["counterpart-number-missing"]),
        ({"requester": person("Médecin", number="12")}, ["counterpart-number-wrong"], ["number-wrong"]),
        (
            {"patient": Patient(birth_name="ESSAI", first_names="C", birth_date=date(1980, 7, 14), sex="F")},
            ["insured-number-missing"],
            ["insured-number-missing"],
        ),
        ({"insured_number": "257039999900114"}, ["insured-number-wrong"], ["insured-number-wrong"]),
        ({"patient": Patient(anonymous=True)}, ["patient-unidentified"], ["patient-unidentified"]),
        ({"expert": replace(EXPERT, rpps="")}, ["rpps-missing"], ["counterpart-rpps-missing"]),
        ({"requester": replace(REQUESTER, rpps="")}, ["counterpart-rpps-missing"], ["rpps-missing"]),
        ({"asked": date(2026, 4, 27), "answered": date(2026, 5, 4)}, [], []),
        ({"asked": date(2026, 4, 26), "answered": date(2026, 5, 4)}, ["answer-late"], ["answer-late"]),
        ({"asked": date(2026, 4, 27)}, ["answer-late"], ["answer-late"]),
        ({"asked": date(2026, 4, 28)}, [], []),
    ],
)
def test_what_has_to_be_settled_is_named(
    tariffs: Tariffs, changes: dict[str, Any], expert: list[str], requester: list[str]
) -> None:
    lines = rated(tariffs, case(date(2026, 5, 5), **changes))
    assert [list(line.anomalies) for line in lines] == [expert, requester]
    assert [line.amount for line in lines] == [2300, 1000], "an anomaly is settled, not dropped"


def test_the_newborn_s_claim_takes_the_parent_s_number(tariffs: Tariffs) -> None:
    newborn = Patient(birth_name="ESSAI", first_names="Bébé", birth_date=date(2026, 4, 1), sex="M")
    expert, _ = rated(tariffs, case(date(2026, 5, 5), patient=newborn, insured_number=PATIENT.ins))
    assert expert.anomalies == ()
    assert expert.count == 1


@pytest.mark.parametrize(
    ("born", "found"), [(date(2010, 5, 6), ["insured-number-missing"]), (date(2010, 5, 5), [])]
)
def test_a_child_s_own_number_is_not_taken_for_the_insured_person_s(
    tariffs: Tariffs, born: date, found: list[str]
) -> None:
    young = replace(PATIENT, birth_date=born)
    for line in rated(tariffs, case(date(2026, 5, 5), patient=young)):
        assert list(line.anomalies) == found
    assert claimed_number("", young, date(2026, 5, 5)) == ("" if found else PATIENT.ins)
    assert claimed_number("1", young, date(2026, 5, 5)) == "1"


def test_a_hospital_service_bills_by_its_doctors(tariffs: Tariffs) -> None:
    service = BillingParty(address="avis@ch.mssante.example", number="439900010/05", department="43")
    expert, _ = rated(tariffs, case(date(2026, 5, 5), expert=service))
    assert told(expert) == ("TE2", 2300)


def test_the_order_in_which_conversations_come_changes_nothing(tariffs: Tariffs) -> None:
    cases = [case(date(2026, 1, day)) for day in (1, 2, 3, 4, 5)]
    expected = rate(cases, tariffs)
    assert all(rate(order, tariffs) == expected for order in permutations(cases))


@pytest.mark.parametrize("role", list(Role))
def test_the_lines_of_one_role_are_those_of_both(tariffs: Tariffs, role: Role) -> None:
    cases = [case(date(2020 + number, 5, 5), level="TE2", listed_patient=True) for number in range(7)]
    both = rate(cases, tariffs)
    assert rate(cases, tariffs, roles=(role,)) == tuple(line for line in both if line.role is role)


def test_each_line_carries_the_other_s_number_and_its_source(tariffs: Tariffs) -> None:
    for line in rated(tariffs, case(date(2026, 5, 5))):
        assert line.counterpart.number
        assert line.party.number != line.counterpart.number
        assert line.act is not None
        assert line.act.source
        assert line.act.cnam in (1194, 1199)


def test_departments_tell_the_territory() -> None:
    assert {code: territory_of(code) for code in ("43", "2A", "971", "976", "988", "")} == {
        "43": Territory.METROPOLE,
        "2A": Territory.METROPOLE,
        "971": Territory.OVERSEAS,
        "976": Territory.OVERSEAS,
        "988": Territory.OVERSEAS,
        "": Territory.METROPOLE,
    }


ACT = """
[professions]
"médecin" = ["médecin"]
[[act]]
code = "TE2"
cnam = 1194
role = "expert"
label = "x"
from = 2026-01-01
professions = ["médecin"]
amount = { metropole = 2300 }
limits = { "médecin" = 4 }
source = "x"
"""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[", "not TOML"),
        (ACT.replace("2300", "-1"), "amount.metropole: "),
        (ACT.replace("amount = { metropole", "amount = { lune"), "amount.lune"),
        (ACT.replace('source = "x"', ""), "source: "),
        (ACT + "unknown = 1\n", "unknown: "),
        (ACT.replace('professions = ["médecin"]', 'professions = ["devin"]'), "unknown profession"),
        (ACT.replace("2026-01-01", "2026-01-01\nuntil = 2025-01-01"), "ends before it begins"),
        (ACT + ACT[ACT.index("[[act]]") :], "two rows hold on 2026-01-01"),
        (ACT.replace('["médecin"]\n[[', '["médecin", "Medecin"]\n[['), "stands for two professions or twice"),
        (ACT.replace('label = "x"', 'label = "x"\nanswers = "TE9"'), "answers an unknown act"),
    ],
)
def test_a_table_with_a_mistake_is_refused_by_name(text: str, words: str) -> None:
    with pytest.raises(TariffFault, match=words.replace(".", r"\.")):
        load_tariffs(text)
