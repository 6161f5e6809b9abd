"""The agency's own documents beside the validator are accepted on receipt, each as the table says."""

from __future__ import annotations

from pathlib import Path

import pytest
from lxml import etree

from teleexpertise.archives import ArchiveDocument, ArchiveFault, archive_in, build_archive, open_archive
from teleexpertise.documents.reading import read_document
from teleexpertise.letters import Attachment
from tests.support.archives import NOW, SENDER
from tests.support.documents import VALIDATOR

HL7 = "{urn:hl7-org:v3}"
#: File -> document code, whether a PDF is its body, whether the identity is qualified, faults that are told.
EXAMPLES: dict[str, tuple[str, bool, bool, set[str]]] = {
    "data/ExemplesCDA/DOC_NON_STRUCTURE_CDA-R2-N1.xml": (
        *("11502-2", True, True),
        {
            *("wrong.document_code", "wrong.instant", "wrong.authenticator_role", "wrong.recipient"),
            *("wrong.act_code", "wrong.act_system", "wrong.performer_role", "wrong.encounter"),
        },
    ),
    "data/ExemplesCDA/TLM-CR_2022.01.xml": (
        *("85208-7", True, True),
        {"wrong.act_code", "wrong.act_system", "wrong.order"},
    ),
    "data/ExemplesCDA/TLM-DA_2022.01_TE1_anamnèse-non-structurée.xml": (
        *("75496-0", False, True),
        {"wrong.act_system"},
    ),
    "samples/TLM-CR_teleexpertise_2026.xml": ("85208-7", True, True, {"wrong.order"}),
    # Six edits that the agency's rules refuse: readable for people, and nothing of it automatic.
    "samples/TLM-CR_broken.xml": (
        *("11488-4", True, False),
        {
            *("doubtful.no_set_id", "wrong.document_code", "wrong.birth_place", "wrong.act_code"),
            *("wrong.act_system", "wrong.telecom"),
        },
    ),
}


def example(name: str) -> bytes:
    path = VALIDATOR / name
    if not path.is_file():
        pytest.skip("the agency's examples are not beside the repository (../shared/cda-validator)")
    return path.read_bytes()


def test_the_table_names_every_example() -> None:
    example(next(iter(EXAMPLES)))
    found = [
        path for folder in ("data/ExemplesCDA", "samples") for path in (VALIDATOR / folder).glob("*.xml")
    ]
    assert {str(Path(path).relative_to(VALIDATOR)) for path in found} == set(EXAMPLES)


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_accepted_with_what_is_told_of_it(name: str) -> None:
    code, pdf, qualified, told = EXAMPLES[name]
    read = read_document(example(name))
    assert read.problems == ()
    assert (read.code, bool(read.pdf), read.patient.qualified) == (code, pdf, qualified)
    assert set(read.warnings) == told
    assert read.patient.ins == "279035121518989"


@pytest.mark.parametrize("name", EXAMPLES)
@pytest.mark.parametrize("set_id", [True, False])
def test_an_example_is_received_in_an_archive_and_bare(name: str, set_id: bool) -> None:
    root = etree.fromstring(example(name))
    given = root.find(f"{HL7}setId")
    if given is not None and not set_id:
        root.remove(given)
        given = None
    octets = etree.tostring(root, encoding="UTF-8", xml_declaration=True)
    bare = archive_in([Attachment("document.xml", "text/xml", octets)])
    packed = open_archive(build_archive([ArchiveDocument(octets)], SENDER, "1.2.250.1.213.1.1.9.99", NOW))
    for opened in (bare, packed):
        assert opened is not None
        assert opened.sound
        faults = {finding.fault for finding in opened.findings}
        assert (ArchiveFault.NO_SET_ID in faults) == (given is None)
        assert opened.patient.ins == "279035121518989"
