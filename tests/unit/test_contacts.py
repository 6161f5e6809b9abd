"""The extraction of the national directory: rows as they are, rows as an attacker or a cut file has them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from teleexpertise.contacts import LONGEST_LINE, Contact, Fault, NotAnExtraction, Rejected, read_extraction
from teleexpertise.people import AccountKind
from tests.support.extraction import HEADER, row


def read(*rows: bytes) -> list[Contact | Rejected]:
    return list(read_extraction([HEADER, *rows]))


def test_a_person_with_a_structure() -> None:
    assert read(row()) == [
        Contact(
            address="lea.roche@cabinet.mssante.example",
            kind=AccountKind.PERSON,
            name="Mme Léa ROCHE",
            profession="Infirmier",
            specialty="",
            organisation="MSP DU VELAY",
            department="43",
            postcode="43000",
            town="LE PUY EN VELAY",
        )
    ]


def test_a_service_is_called_by_its_unit_and_its_structure() -> None:
    (found,) = read(
        row(
            kind="ORG", address="Cardio@CH.mssante.example", unit="Cardiologie", family="", first="", title=""
        )
    )
    assert isinstance(found, Contact)
    assert (found.kind, found.name, found.address) == (
        AccountKind.SERVICE,
        "Cardiologie, MSP DU VELAY",
        "cardio@ch.mssante.example",
    )


@pytest.mark.parametrize(
    ("postcode", "department"),
    [
        ("43000", "43"),
        ("01000", "01"),
        ("20000", "2A"),
        ("20200", "2B"),
        ("97410", "974"),
        ("4300", ""),
        ("", ""),
    ],
)
def test_the_department_of_a_postcode(postcode: str, department: str) -> None:
    (found,) = read(row(postcode=postcode))
    assert isinstance(found, Contact)
    assert found.department == department


@pytest.mark.parametrize(
    ("bad", "fault"),
    [
        (row(address=""), Fault.ADDRESS),
        (row(address="lea.roche@cabinet"), Fault.ADDRESS),
        (row(address="a@b.example, c@d.example"), Fault.ADDRESS),
        (row(address="<script>@cabinet.example"), Fault.ADDRESS),
        (row(address="é@cabinet.example"), Fault.ADDRESS),
        (row(kind="XYZ"), Fault.KIND),
        (row(kind="APP"), Fault.APPLICATION),
        (row(family="", first=""), Fault.NAME),
        (row(red="O"), Fault.RED),
        (b"PER|lea.roche@cabinet.mssante.example\r\n", Fault.COLUMNS),
        (row().rstrip(b"\r\n") + b"|more|\r\n", Fault.COLUMNS),
        (row(family="RO\x00CHE"), Fault.NOT_TEXT),
        (row(family="RO\x1b[2JCHE"), Fault.NOT_TEXT),
        (row().replace("é".encode(), b"\xe9"), Fault.NOT_TEXT),
        (row(town="x" * LONGEST_LINE), Fault.TOO_LONG),
    ],
)
def test_a_row_that_is_none_is_named_by_number_and_reason(bad: bytes, fault: Fault) -> None:
    good = row(address="other@cabinet.mssante.example")
    red = "" if fault is not Fault.RED else "lea.roche@cabinet.mssante.example"
    _, rejected, taken = read(good, bad, b"\r\n", row(address="third@cabinet.mssante.example"))
    assert rejected == Rejected(3, fault, red)
    assert isinstance(taken, Contact)


def test_an_address_on_the_red_list_is_named_and_taken_from_no_later_row() -> None:
    first, red, later = read(row(), row(red="O"), row())
    assert isinstance(first, Contact)
    assert red == Rejected(3, Fault.RED, first.address)
    assert later == Rejected(4, Fault.DUPLICATE)


def test_the_first_row_of_an_address_counts() -> None:
    first, second = read(row(), row(address="LEA.ROCHE@cabinet.mssante.example", town="LYON"))
    assert isinstance(first, Contact)
    assert first.town == "LE PUY EN VELAY"
    assert second == Rejected(3, Fault.DUPLICATE)


@pytest.mark.parametrize(
    "header", [b"", b"a|b\n", b"|" * 30, HEADER.replace(b"Adresse BAL", b"Adresse"), b"\xff"]
)
def test_another_file_is_refused_as_a_whole(header: bytes) -> None:
    with pytest.raises(NotAnExtraction):
        list(read_extraction([header, row()]))


def test_columns_are_found_by_name_behind_a_byte_order_mark_and_a_last_separator() -> None:
    header = b"\xef\xbb\xbf" + HEADER.rstrip(b"\r\n") + b"|\r\n"
    found = list(read_extraction([header, row().rstrip(b"\r\n") + b"|\r\n"]))
    assert found == read(row())


@given(
    st.lists(
        st.binary(max_size=200) | st.just(row()) | st.builds(lambda t: row(family=t), st.text(max_size=30))
    )
)
def test_whatever_a_row_holds_is_a_contact_or_a_reason(rows: list[bytes]) -> None:
    lines = [line for text in rows for line in text.splitlines(keepends=True)]
    found = list(read_extraction([HEADER, *lines]))
    assert len(found) == sum(bool(line.strip()) for line in lines)
    contacts = [each for each in found if isinstance(each, Contact)]
    assert len({each.address for each in contacts}) == len(contacts)
    assert all(each.name.isprintable() for each in contacts)
