"""The demonstration data are complete, shaped like the real thing, and nobody's."""

import io
import zipfile

import pytest
from lxml import etree
from PIL import Image

from config import departments, specialties
from gateway.demo.data import DemoData, load_demo
from teleexpertise.directory import Directory, DirectoryEntry
from teleexpertise.identifiers import read_billing_number, read_finess, read_ins, read_rpps
from teleexpertise.people import AccountKind, Document, ItemKind


@pytest.fixture(scope="module")
def demo() -> DemoData:
    return load_demo()


def test_every_specialty_with_a_usual_checklist_has_an_expert_service(demo: DemoData) -> None:
    served = {
        expert.account.specialty for expert in demo.experts if expert.account.kind is AccountKind.SERVICE
    }
    assert served == {specialty.name for specialty in specialties() if specialty.usual_items}


def test_the_search_of_the_conversation_finds_its_expert_among_a_few(demo: DemoData) -> None:
    synonyms = {specialty.name: specialty.synonyms for specialty in specialties()}
    directory = Directory(map(DirectoryEntry.of, demo.experts), synonyms, departments())
    found = directory.search(demo.conversation.search.removeprefix("Annuaire "))
    assert 2 <= len(found) <= 4
    assert found[0].address == demo.conversation.expert
    assert len(directory.search("avis")) > 20


def test_identifiers_have_the_shape_and_key_of_real_ones(demo: DemoData) -> None:
    for account in demo.accounts:
        for value, read in (
            (account.rpps, read_rpps),
            (account.finess, read_finess),
            (account.billing_number, read_billing_number),
        ):
            assert not value or (read(value).valid and not read(value).warnings), account.name
    patient = read_ins(demo.conversation.patient.ins)
    assert patient.valid
    assert not patient.warnings
    assert demo.conversation.patient.ins[5:10] == "99999"


def test_addresses_are_unique_and_in_the_domain_asked_for(demo: DemoData) -> None:
    addresses = [account.address for account in demo.accounts]
    assert len(set(addresses)) == len(addresses)
    assert all(address.endswith("@demo.mssante.example") for address in addresses)
    for principal, delegate in demo.delegations:
        assert {principal, delegate} <= set(addresses)
    assert (demo.conversation.expert, demo.conversation.answering) in demo.delegations
    assert all(account.address.endswith("@a.test") for account in load_demo("a.test").accounts)


def test_the_request_answers_what_the_expert_asks_for(demo: DemoData) -> None:
    expert = next(e for e in demo.experts if e.account.address == demo.conversation.expert)
    fields = {item.name for item in expert.items if item.kind is ItemKind.FIELD}
    assert dict(demo.conversation.answers).keys() == fields
    assert [document.filename for document in expert.documents] == ["fiche-dermatologie.docx"]


def test_pictures_are_small_and_the_same_every_time(demo: DemoData) -> None:
    attachments = [d for message in demo.conversation.messages for d in message.attachments]
    pictures = [d for d in (*demo.conversation.photos, *attachments) if d.content_type == "image/jpeg"]
    assert len(pictures) == 3
    for picture in pictures:
        assert 10_000 < len(picture.content) < 60_000
        assert min(Image.open(io.BytesIO(picture.content)).size) >= 700
    assert [d.content for d in load_demo().conversation.photos] == [
        d.content for d in demo.conversation.photos
    ]


def words_of(document: Document) -> str:
    """The text of a DOCX, its XML checked on the way."""
    with zipfile.ZipFile(io.BytesIO(document.content)) as archive:
        assert archive.testzip() is None
        parts = {name: etree.fromstring(archive.read(name)) for name in archive.namelist()}
    return " ".join(str(text) for text in parts["word/document.xml"].itertext() if text.strip())


def test_papers_are_small_forms(demo: DemoData) -> None:
    papers = [document for expert in demo.experts for document in expert.documents]
    assert len(papers) >= 4
    for document in papers:
        assert document.filename.endswith(".docx")
        assert "À compléter" in words_of(document)
        assert len(document.content) < 10_000
    filled = next(
        d for m in demo.conversation.messages for d in m.attachments if d.filename.endswith(".docx")
    )
    assert "Mollet droit, face externe" in words_of(filled)
