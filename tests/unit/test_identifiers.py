"""Identifiers as people type them: valid ones, and each kind of wrong with the part that is wrong."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum import luhn

from teleexpertise import identifiers
from teleexpertise.forms import load_catalogue
from teleexpertise.identifiers import nir_disagreements, nir_key, read_billing_number, read_ins, read_nir

BODY = "2570299999123"
CORSICAN = "1850399999456".replace("99", "2A", 1)


def keyed(body: str) -> str:
    return body + nir_key(body)


@pytest.mark.parametrize("typed", [
    keyed(BODY),
    "2 57 02 99 999 123 " + nir_key(BODY),
    "2-57-02-99-999-123-" + nir_key(BODY),
    "2 57.02\u00a099 999 123\u202f" + nir_key(BODY),
])  # fmt: skip
def test_nir_is_read_with_the_separators_people_type(typed: str) -> None:
    assert read_nir(typed) == identifiers.Identifier(keyed(BODY))
    assert read_ins(typed).value == keyed(BODY)


@pytest.mark.parametrize(("department", "stand_in"), [("2A", "19"), ("2B", "18")])
def test_corsican_nir_has_the_key_of_its_stand_in(department: str, stand_in: str) -> None:
    body = f"18503{department}004123"
    assert nir_key(body) == f"{97 - int(body.replace(department, stand_in)) % 97:02d}"
    assert read_nir(f"1 85 03 {department.lower()} 004 123 {nir_key(body)}").value == keyed(body)


@pytest.mark.parametrize(("typed", "problem"), [
    ("", "nir_length"),
    ("25702", "nir_length"),
    (BODY, "nir_key_missing"),
    (keyed(BODY) + "1", "nir_length"),
    (keyed(BODY)[:-2] + "00", "nir_key"),
    ("0" + keyed(BODY)[1:], "nir_sex"),
    ("9" + keyed(BODY)[1:], "nir_sex"),
    ("3" + keyed(BODY)[1:], "nir_key"),
    ("4" + BODY[1:], "nir_key_missing"),
    ("25719" + keyed(BODY)[5:], "nir_month"),
    ("73570299999123", "nir_length"),
    ("7357029999912", "nir_temporary_sex"),
    ("5 0 57 02 99 999 12", "nir_temporary_sex"),
    ("72570299999B2", "nir_characters"),
    ("2X70299999123" + "00", "nir_characters"),
    (keyed(BODY) + " " * 60 + "1", "nir_length"),
    ("25713" + keyed(BODY)[5:], "nir_month"),
    ("25700" + keyed(BODY)[5:], "nir_month"),
    ("2570200999123" + "00", "nir_place"),
    ("2570299999000" + "00", "nir_order"),
    ("2570O99999123" + "00", "nir_characters"),
    ("257022C999123" + "00", "nir_characters"),
])  # fmt: skip
def test_wrong_nir_says_which_part_is_wrong(typed: str, problem: str) -> None:
    read = read_nir(typed)
    assert (read.value, read.problem) == ("", problem)


@pytest.mark.parametrize(("month", "warnings"), [
    *((f"{month:02d}", ()) for month in range(1, 13)),
    *((str(month), ("nir_month_unproven",)) for month in (20, 30, 31, 42, 50, 99)),
    *((str(month), ("nir_month_doubtful",)) for month in (43, 49)),
])  # fmt: skip
def test_months_that_insee_gives_out_and_others(month: str, warnings: tuple[str, ...]) -> None:
    read = read_nir(keyed(f"257{month}99999123"))
    assert (read.valid, read.warnings) == (True, warnings)


@pytest.mark.parametrize("place", ["20", "2A", "2B", "75", "91", "96", "97", "98", "99"])
def test_places_of_today_of_other_days_overseas_and_abroad(place: str) -> None:
    assert read_nir(keyed(f"25702{place}101123")).warnings == ()


@pytest.mark.parametrize(("typed", "warnings"), [
    (keyed("3570299999123"), ("nir_temporary",)),
    (keyed("4570299999123"), ("nir_temporary",)),
    (keyed("4573099999123"), ("nir_temporary", "nir_month_unproven")),
    ("5 1 57 02 99 999 12", ("nir_temporary",)),
    ("6257029999912", ("nir_temporary",)),
    ("7 2 57 02 99 999 12", ("nir_temporary",)),
    ("8-1-57-02-99-999-12", ("nir_temporary",)),
    (keyed("7257029999912"), ("nir_temporary",)),
    ("7257029999912" + "00", ("nir_temporary", "nir_temporary_key")),
])  # fmt: skip
def test_a_provisional_number_warns_and_is_no_ins(typed: str, warnings: tuple[str, ...]) -> None:
    assert read_nir(typed).warnings == warnings
    assert read_ins(typed).problem == "ins_temporary"


def test_nir_that_says_other_traits_is_doubted() -> None:
    value = keyed(BODY)
    assert nir_disagreements(value, "F", date(1957, 2, 3)) == ()
    assert nir_disagreements(value, "M", date(1957, 2, 3)) == ("nir_other_sex",)
    assert nir_disagreements(value, "F", date(1958, 2, 3)) == ("nir_other_birth",)
    assert nir_disagreements(value, "F", date(1957, 3, 3)) == ("nir_other_birth",)
    assert nir_disagreements(keyed("2573099999123"), "F", date(1957, 3, 3)) == ()
    assert nir_disagreements("", "F", None) == ()


@pytest.mark.parametrize(("reader", "typed", "value", "problem", "warnings"), [
    ("read_rpps", "100 0346 1033", "10003461033", "", ("rpps_key",)),
    ("read_rpps", "10003461009", "10003461009", "", ("rpps_key",)),
    ("read_rpps", "810102727017", "10102727017", "", ("rpps_key",)),
    ("read_rpps", "1000346103", "", "rpps_length", ()),
    ("read_rpps", "1000346103A", "", "rpps_characters", ()),
    ("read_rpps", "710003461033", "", "idnps_type", ()),
    ("read_rpps", "431000011", "", "rpps_adeli", ()),
    ("read_rpps", "0 43 1 00001 1", "", "rpps_adeli", ()),
    ("read_rpps", "00000000000", "", "rpps_zero", ()),
    ("read_finess", "000000000", "", "finess_zero", ()),
    ("read_am", "000000000", "", "am_zero", ()),
    ("read_am", "１２３ 456 789", "123456789", "", ()),
    ("read_billing_number", "10003461033", "", "billing_rpps", ()),
    ("read_billing_number", "8 100 0346 1033", "", "billing_rpps", ()),
    ("read_billing_number", "0 43 1 00001 1", "", "billing_rpps", ()),
    ("read_billing_number", "430000018/", "", "billing_specialty", ()),
    ("read_billing_number", "430000018/05/06", "", "billing_specialty", ()),
    ("read_billing_number", "10003461033/05", "", "billing_number", ()),
    ("read_billing_number", "000000000", "", "billing_number", ()),
    ("read_finess", "43 000 001 8", "430000018", "", ()),
    ("read_finess", "430000019", "430000019", "", ("finess_key",)),
    ("read_finess", "2A0000014", "2A0000014", "", ()),
    ("read_finess", "43000001", "", "finess_length", ()),
    ("read_finess", "?", "", "finess_characters", ()),
    ("read_am", "43 1 23456 7", "431234567", "", ()),
    ("read_am", "4312345", "", "am_length", ()),
    ("read_am", "43123456X", "", "am_characters", ()),
    ("read_billing_number", "431234567", "431234567", "", ()),
    ("read_billing_number", "43 000 001 8 / 05", "430000018/05", "", ()),
    ("read_billing_number", "2A0000014", "2A0000014", "", ()),
    ("read_billing_number", "430000018/5", "", "billing_specialty", ()),
    ("read_billing_number", "inconnu", "", "billing_number", ()),
])  # fmt: skip
def test_other_numbers(reader: str, typed: str, value: str, problem: str, warnings: tuple[str, ...]) -> None:
    read = getattr(identifiers, reader)(typed)
    assert (read.value, read.problem, read.warnings) == (value, problem, warnings)


@pytest.mark.parametrize(("reader", "typed", "value", "problem", "warnings"), [
    ("read_cog", "43157", "43157", "", ()),
    ("read_cog", " 2a 004 ", "2A004", "", ()),
    ("read_cog", "2B-033", "2B033", "", ()),
    ("read_cog", "20004", "20004", "", ()),
    ("read_cog", "97411", "97411", "", ()),
    ("read_cog", "98818", "98818", "", ()),
    ("read_cog", "98501", "98501", "", ()),
    ("read_cog", "99100", "99100", "", ()),
    ("read_cog", "99000", "99000", "", ()),
    ("read_cog", "4315", "", "cog_length", ()),
    ("read_cog", "43 157 1", "", "cog_length", ()),
    ("read_cog", "", "", "cog_length", ()),
    ("read_cog", "Lyon", "", "cog_length", ()),
    ("read_cog", "2C004", "", "cog_characters", ()),
    ("read_cog", "4315O", "", "cog_characters", ()),
    ("read_cog", "00157", "", "cog_department", ()),
    ("read_cog", "97911", "", "cog_department", ()),
    ("read_cog", "97011", "", "cog_department", ()),
    ("read_cog", "98118", "", "cog_department", ()),
    ("read_cog", "43000", "", "cog_place", ()),
    ("read_cog", "2A000", "", "cog_place", ()),
    ("read_ins_oid", "1.2.250.1.213.1.4.8", "1.2.250.1.213.1.4.8", "", ()),
    ("read_ins_oid", "urn:oid:1.2.250.1.213.1.4.9", "1.2.250.1.213.1.4.9", "", ()),
    ("read_ins_oid", "1.2.250.1.213.1.4.10", "1.2.250.1.213.1.4.10", "", ("ins_oid_test",)),
    ("read_ins_oid", "1.2.250.1.213.1.4.11", "1.2.250.1.213.1.4.11", "", ("ins_oid_demo",)),
    ("read_ins_oid", "1.2.250.1.213.1.4.12", "", "ins_oid_unknown", ()),
    ("read_ins_oid", "1..2", "", "ins_oid_shape", ()),
    ("read_ins_oid", "", "", "ins_oid_shape", ()),
    ("read_ins_oid", "1.2.250.1.213.1.4.08", "", "ins_oid_shape", ()),
    ("read_idnps", "8 10003461033", "810003461033", "", ("rpps_key",)),
    ("read_idnps", "0 43 1 00001 " + luhn.calc_check_digit("43100001"), "0431000011"[:9]
     + luhn.calc_check_digit("43100001"), "", ("adeli_legacy",)),
    ("read_idnps", "81000346103", "", "idnps_length", ()),
    ("read_idnps", "710003461033", "", "idnps_type", ()),
    ("read_idnps", "8431000011", "", "idnps_type", ()),
    ("read_idnps", "81000346103A", "", "rpps_characters", ()),
    ("read_adeli", "43 1 00001 " + luhn.calc_check_digit("43100001"), "43100001"
     + luhn.calc_check_digit("43100001"), "", ("adeli_legacy",)),
    ("read_adeli", "2A1000014", "2A1000014", "", ("adeli_legacy",)),
    ("read_adeli", "9D1000014", "9D1000014", "", ("adeli_legacy",)),
    ("read_adeli", "43100001", "", "adeli_length", ()),
    ("read_adeli", "4310000AB", "", "adeli_characters", ()),
    ("read_adeli", "001000014", "", "adeli_department", ()),
    ("read_adeli", "430000000", "", "adeli_rank", ()),
])  # fmt: skip
def test_codes_of_places_and_old_numbers(
    reader: str, typed: str, value: str, problem: str, warnings: tuple[str, ...]
) -> None:
    read = getattr(identifiers, reader)(typed)
    assert (read.value, read.problem, read.warnings) == (value, problem, warnings)


def test_a_wrong_key_of_an_old_number_warns_only() -> None:
    wrong = "43100001" + str((int(luhn.calc_check_digit("43100001")) + 1) % 10)
    assert identifiers.read_adeli(wrong).warnings == ("adeli_legacy", "adeli_key")


def test_every_problem_and_warning_has_its_sentence() -> None:
    sentences = load_catalogue().form("request").sentences
    source = Path(str(identifiers.__file__)).read_text("utf-8")
    codes = set(re.findall(r'"((?:nir|ins|rpps|finess|cog|idnps|adeli|billing)_[a-z_]+)"', source))
    codes.discard("nir_disagreements")
    codes |= {
        f"{name}_{part}" for name in ("rpps", "finess", "am") for part in ("length", "characters", "zero")
    }
    assert len(codes) > 25
    assert codes <= set(sentences)


@given(st.from_regex(r"[12]\d\d(0[1-9]|1[0-2])(0[1-9]|[1-8]\d|2A|2B)\d{3}(00[1-9]|[1-9]\d\d)", fullmatch=True,
                     alphabet=st.sampled_from("0123456789AB")))  # fmt: skip
def test_every_well_formed_nir_with_its_key_reads_as_itself_and_with_another_key_not(body: str) -> None:
    assert read_nir(keyed(body)).value == keyed(body)
    other = f"{(int(nir_key(body)) % 97) + 1:02d}"
    assert read_nir(body + other).problem == "nir_key"


@given(st.text(max_size=80))
def test_any_text_is_a_value_or_a_problem(text: str) -> None:
    more = (identifiers.read_cog, identifiers.read_idnps, identifiers.read_adeli, identifiers.read_ins_oid)
    plain = (read_nir, read_ins, identifiers.read_rpps, identifiers.read_finess, read_billing_number)
    for reader in (*plain, *more):
        read = reader(text)
        assert bool(read.value) != bool(read.problem)
