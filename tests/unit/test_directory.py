"""The directory finds experts as people look for them."""

import pytest

from config import departments, specialties
from teleexpertise.directory import Directory, DirectoryEntry

SYNONYMS = {specialty.name: specialty.synonyms for specialty in specialties()}


def entry(
    name: str, specialty: str, department: str, town: str, postcode: str, **more: object
) -> DirectoryEntry:
    """An entry whose address is made of its name."""
    return DirectoryEntry(
        address=f"{name.lower().replace(' ', '.')}@demo.test",
        name=name,
        specialties=(specialty,),
        department=department,
        town=town,
        postcode=postcode,
        service=name.startswith("Avis"),
        **more,  # type: ignore[arg-type]
    )


PUY = entry("Avis Dermatologie CH LE PUY", "Dermatologie", "43", "Le Puy-en-Velay", "43000", delay_days=2)
BRIOUDE = entry("Avis Cardiologie CH BRIOUDE", "Cardiologie", "43", "Brioude", "43100", covered=("15",))
SAINT = entry(
    "Avis Dermatologie CH SAINT-ÉTIENNE", "Dermatologie", "42", "Saint-Étienne", "42000", covered=("43",)
)
PERRET = entry("Dr Rémy PERRET", "Dermatologie", "43", "Yssingeaux", "43200")
AVISSE = entry("Dr Ombeline AVISSE", "Pédiatrie", "2A", "Ajaccio", "20000")
AIN = entry("Avis Néphrologie CH BOURG", "Néphrologie", "01", "Bourg-en-Bresse", "01000")
ALL = (PUY, BRIOUDE, SAINT, PERRET, AVISSE, AIN)
DIRECTORY = Directory(ALL, SYNONYMS, departments())


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("dermatologie 43", [PUY, PERRET, SAINT]),
        ("43 DERMATOLOGIE", [PUY, PERRET, SAINT]),
        ("dermato 43200", [PERRET]),
        ("dermatologue haute-loire", [PUY, PERRET, SAINT]),
        ("Haute Loire cardio", [BRIOUDE]),
        ("peau", [PUY, PERRET, SAINT]),
        ("rein", [AIN]),
        ("st etienne", [SAINT]),
        ("Saint-Etienne dermatologie", [SAINT]),
        ("perret", [PERRET]),
        ("PERRET Remy", [PERRET]),
        ("docteur perret", [PERRET]),
        ("le puy en velay", [PUY]),
        ("avis", [PUY, SAINT, BRIOUDE, AIN]),
        ("Avis cardiologie", [BRIOUDE]),
        ("avisse", [AVISSE]),
        ("2a", [AVISSE]),
        ("corse du sud", [AVISSE]),
        ("1", [AIN]),
        ("cantal", [BRIOUDE]),
        ("dermatologie cantal", []),
        ("alchimie", []),
        ("!!! ???", []),
    ],
)
def test_search(query: str, found: list[DirectoryEntry]) -> None:
    hits = DIRECTORY.search(query)
    assert sorted(hits, key=lambda e: e.address) == sorted(found, key=lambda e: e.address)


@pytest.mark.parametrize(
    ("query", "near"),
    [
        ("dermatto 43", ("dermato 43", "dermato", "43")),
        ("cardiologie lyon", ("cardiologie",)),
        ("43 63 dermato", ("43 dermato",)),
        ("perett", ("perret",)),
        ("zzzz", ()),
        ("", ()),
    ],
)
def test_a_search_that_finds_nobody_has_near_ones_that_do(query: str, near: tuple[str, ...]) -> None:
    assert DIRECTORY.nearest(query, 3) == near


def test_a_word_that_must_be_whole_is_asked_for_beside_one_that_it_begins() -> None:
    both = entry("Avis Dr AVISSE", "Pédiatrie", "43", "Brioude", "43100")
    found = Directory([*ALL, both], SYNONYMS, departments()).search
    assert found("avis avisse") == [both]
    assert found("1 12") == []
    assert set(found("43 43100")) == {BRIOUDE, both}


def test_hits_are_counted_and_read_by_the_page() -> None:
    hits = DIRECTORY.find("dermatologie 43")
    assert len(hits) == 3
    assert hits.page(0, 2) == [PUY, PERRET]
    assert hits.page(1, 2) == [PERRET, SAINT]
    assert hits.page(2, 20) == [SAINT]
    assert hits.page(3, 20) == hits.page(0, 0) == []
    assert SAINT in hits
    assert AIN not in hits


def test_entries_of_some_addresses_are_left_out() -> None:
    hits = DIRECTORY.find("dermatologie 43", without=[PUY.address, AIN.address, "nobody@demo.test"])
    assert (len(hits), list(hits)) == (2, [PERRET, SAINT])
    assert len(DIRECTORY.find("", without=[PUY.address])) == len(ALL) - 1


def test_own_department_comes_before_a_department_that_is_only_covered() -> None:
    assert DIRECTORY.search("dermatologie 43") == [PUY, PERRET, SAINT]


def test_an_empty_query_lists_everybody_the_quickest_first() -> None:
    everybody = DIRECTORY.search("  ")
    assert everybody[0] == PUY
    assert len(everybody) == len(DIRECTORY) == len(ALL)


def test_an_expert_is_designated_by_address_or_whole_name() -> None:
    twin = entry("Avis Dermatologie CH LE PUY EST", "Dermatologie", "43", "Le Puy-en-Velay", "43000")
    directory = Directory((*ALL, twin), SYNONYMS)
    assert directory.exactly(f" {PERRET.address.upper()} ") == [PERRET]
    assert directory.exactly("avis dermatologie ch le puy") == [PUY]
    assert directory.exactly("perret") == []
    assert directory.exactly("") == []


def test_queries_are_bounded() -> None:
    assert DIRECTORY.search("dermatologie " * 100_000) == DIRECTORY.search("dermatologie")
    assert DIRECTORY.search("\x00\ud800" + "é" * 1_000_000) == []
