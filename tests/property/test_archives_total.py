"""Archives: any octets are answered, what is built comes back."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from teleexpertise.archives import open_archive
from tests.support.archives import METADATA, archive, cda, files_of, repacked

_GOOD = archive()
_PARTS = files_of(_GOOD)
#: What XML can hold, without the spaces that a reader may fold.
_TEXT = st.text(
    st.characters(blacklist_categories=("Cs", "Cc", "Cn", "Zs", "Zl", "Zp")), min_size=1, max_size=30
)


@given(st.binary(max_size=300))
def test_any_octets_are_answered(octets: bytes) -> None:
    opened = open_archive(octets)
    assert opened.findings
    assert not opened.sound


@settings(max_examples=300)
@given(st.lists(st.tuples(st.integers(0, len(_GOOD) - 1), st.integers(1, 255)), min_size=1, max_size=8))
def test_a_mutilated_archive_is_answered_and_never_believed_wrongly(changes: list[tuple[int, int]]) -> None:
    octets = bytearray(_GOOD)
    for at, flip in changes:
        octets[at] ^= flip
    opened = open_archive(bytes(octets))
    if opened.sound and opened.documents:
        assert all(document.content == cda() for document in opened.documents)


@settings(max_examples=200)
@given(
    st.sampled_from([METADATA, "IHE_XDM/SUBSET01/DOC0001.XML"]),
    st.integers(0, 4000),
    st.integers(0, 40),
    st.binary(max_size=20),
)
def test_mutilated_markup_is_answered(name: str, at: int, length: int, inserted: bytes) -> None:
    content = _PARTS[name]
    changed = content[:at] + inserted + content[at + length :]
    opened = open_archive(repacked(_GOOD, {name: changed}))
    if opened.sound and name != METADATA:
        assert changed == content


@settings(max_examples=60)
@given(_TEXT, _TEXT, _TEXT)
def test_any_words_come_back(title: str, family: str, given_: str) -> None:
    document = cda(title=title, family=family, given=given_)
    opened = open_archive(archive(document))
    assert opened.findings == ()
    assert opened.documents[0].content == document
    assert opened.documents[0].entry.title == title
    assert opened.patient.birth_name == family
    assert opened.patient.first_name == given_
