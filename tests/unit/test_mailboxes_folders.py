"""Names of folders that people read."""

from datetime import date

import pytest

from mailboxes.folders import anonymous_folder, folder_component, patient_folder

BIRTH = date(1957, 3, 2)


def test_a_patient_s_folder_shows_name_first_name_and_birth_date() -> None:
    assert patient_folder("Dupont", "Jean Pierre", BIRTH) == ("Patients", "DUPONT Jean 1957-03-02")


def test_homonyms_are_numbered_by_the_first_free_number() -> None:
    taken = ["DUPONT Jean 1957-03-02", "dupont jean 1957-03-02 (2)"]
    assert patient_folder("DUPONT", "Jean", BIRTH, taken) == ("Patients", "DUPONT Jean 1957-03-02 (3)")


def test_a_decomposed_name_is_the_same_name() -> None:
    composed, decomposed = "Lef\u00e8vre", "Lefe\u0300vre"
    assert patient_folder(decomposed, "Zoé", BIRTH) == patient_folder(composed, "Zoé", BIRTH)


def test_a_very_long_name_keeps_its_birth_date() -> None:
    name = patient_folder("É" * 300, "Jean", BIRTH)[1]
    assert name.endswith(" 1957-03-02")
    assert len(name.encode()) <= 120


def test_a_missing_first_name_leaves_no_gap() -> None:
    assert patient_folder("DUPONT", " ", BIRTH) == ("Patients", "DUPONT 1957-03-02")


def test_an_anonymous_patient_s_folder_is_named_by_the_reference() -> None:
    assert anonymous_folder("TLE-2026-000123") == ("Patients", "Anonymes", "TLE-2026-000123")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("a/b", "a-b"),
        ("..", "Sans nom"),
        ("", "Sans nom"),
        (" . Dupont. ", "Dupont"),
        ("~root", "root"),
        ('a\r\nb\x00c\t%*"\\', "a b c ----"),
        ("INBOX", "INBOX_"),
        ("cur", "cur_"),
        ("\ud800", "Sans nom"),
        ("\u202eabc", "abc"),
    ],
)
def test_what_a_server_or_an_eye_would_misread_is_replaced(text: str, name: str) -> None:
    assert folder_component(text) == name
