"""Whatever a person is called, the folder has a name that every server takes."""

import unicodedata
from datetime import date

from hypothesis import given
from hypothesis import strategies as st

from mailboxes.connection import wire_name
from mailboxes.folders import MAX_COMPONENT_BYTES, folder_component, patient_folder

TEXT = st.text(st.characters(), max_size=300)


@given(TEXT)
def test_a_component_is_one_bounded_name_and_stays_what_it_is(text: str) -> None:
    name = folder_component(text)
    assert 0 < len(name.encode()) <= MAX_COMPONENT_BYTES
    assert not set(name) & set('/\\%*"\r\n\0')
    assert name == name.strip(" .")
    assert unicodedata.is_normalized("NFC", name)
    assert folder_component(name) == name


@given(TEXT, TEXT, st.dates(), st.integers(min_value=0, max_value=12))
def test_homonyms_get_folders_of_their_own(birth: str, first: str, day: date, homonyms: int) -> None:
    taken: list[str] = []
    for _ in range(homonyms + 1):
        folder = patient_folder(birth, first, day, taken)
        assert day.isoformat() in folder[-1]
        assert folder_component(folder[-1]) == folder[-1]
        wire_name(folder)
        taken.append(folder[-1])
    assert len({name.casefold() for name in taken}) == homonyms + 1
