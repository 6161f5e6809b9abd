"""Whatever is typed, word order, accents and letter case do not change what the directory finds."""

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from config import departments, specialties
from teleexpertise.directory import Directory, DirectoryEntry

NAMES = [specialty.name for specialty in specialties()]
TOWNS = ["Le Puy-en-Velay", "Saint-Étienne", "Clermont-Ferrand", "Aurillac", "L'Arbresle", "Vals-près-le-Puy"]
CODES = ["43", "42", "63", "15", "69", "2A", "07"]


@st.composite
def entries(draw: st.DrawFn) -> DirectoryEntry:
    name = draw(st.sampled_from(NAMES))
    town = draw(st.sampled_from(TOWNS))
    code = draw(st.sampled_from(CODES))
    number = draw(st.integers(0, 999))
    return DirectoryEntry(
        address=f"{number}@demo.test",
        name=f"Avis {name} CH {town.upper()}",
        service=draw(st.booleans()),
        specialties=(name,),
        department=code,
        postcode=f"{code.replace('A', '0')}{number:03d}",
        town=town,
        delay_days=draw(st.integers(1, 9)),
    )


def without_accents(text: str) -> str:
    return "".join(c for c in unicodedata.normalize("NFD", text) if not unicodedata.combining(c))


def build(some: list[DirectoryEntry]) -> Directory:
    return Directory(some, {s.name: s.synonyms for s in specialties()}, departments())


@given(st.lists(entries(), max_size=12), st.data())
def test_order_case_and_accents_do_not_matter(some: list[DirectoryEntry], data: st.DataObject) -> None:
    directory = build(some)
    words = data.draw(st.lists(st.sampled_from([*NAMES, *TOWNS, *CODES, "avis"]), min_size=1, max_size=3))
    shuffled = data.draw(st.permutations(words))
    typed = " ".join(shuffled)
    for variant in (typed.upper(), typed.lower(), without_accents(typed), typed.replace("-", " ")):
        assert directory.search(variant) == directory.search(" ".join(words))


@given(st.lists(entries(), min_size=1, max_size=12), st.data())
def test_an_expert_is_found_by_specialty_and_town_and_department(
    some: list[DirectoryEntry], data: st.DataObject
) -> None:
    wanted = data.draw(st.sampled_from(some))
    query = f"{wanted.town} {wanted.specialties[0]} {wanted.department} {wanted.postcode}"
    assert wanted in build(some).search(query)


@given(st.lists(entries(), max_size=5), st.text(max_size=300))
def test_any_text_is_a_query(some: list[DirectoryEntry], query: str) -> None:
    found = build(some).search(query)
    assert all(entry in some for entry in found)


@given(
    st.lists(entries(), max_size=12), st.lists(st.sampled_from([*NAMES, *TOWNS, "avis", "43"]), max_size=2)
)
def test_pages_put_together_are_what_a_search_finds(some: list[DirectoryEntry], words: list[str]) -> None:
    directory, query = build(some), " ".join(words)
    hits = directory.find(query)
    pages = [hits.page(first, 5) for first in range(0, 15, 5)]
    assert [entry for page in pages for entry in page] == directory.search(query)
    assert len(hits) == len(directory.search(query))
    shown = {entry.address for entry in hits.page(0, 3)}
    others = directory.find(query, without=shown)
    assert list(others) == [entry for entry in hits if entry.address not in shown]
