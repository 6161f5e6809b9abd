"""IHE_XDM.zip: what we build satisfies the judge, what strangers send is read or refused by name."""

from __future__ import annotations

import io
import random
import stat
import struct
import subprocess
import sys
import warnings
import zipfile
from copy import copy
from pathlib import Path

import pytest

from teleexpertise.archives import (
    ArchiveDocument,
    ArchiveFault,
    ArchiveLimits,
    NotArchivable,
    Transfer,
    archive_in,
    build_archive,
    is_archive_name,
    open_archive,
)
from teleexpertise.archives.faults import BLOCKING, Finding, english_sentence
from teleexpertise.letters import Attachment
from teleexpertise.texts.words import load_words
from tests.support.archives import (
    METADATA,
    NOW,
    SENDER,
    VALIDATOR,
    archive,
    cda,
    files_of,
    repacked,
    zipped,
)

DOCUMENT = "IHE_XDM/SUBSET01/DOC0001.XML"
judged = pytest.mark.skipif(not VALIDATOR.is_dir(), reason="the validator is not beside the repository")


def faults(octets: bytes, limits: ArchiveLimits | None = None) -> set[ArchiveFault]:
    return {finding.fault for finding in open_archive(octets, limits).findings}


@judged
def test_the_judge_finds_our_archives_valid(tmp_path: Path) -> None:
    samples = [
        *(VALIDATOR / "data" / "ExemplesCDA").glob("TLM-*.xml"),
        VALIDATOR / "samples" / "TLM-CR_teleexpertise_2026.xml",
    ]
    paths = []
    for number, sample in enumerate(samples):
        octets = build_archive([ArchiveDocument(sample.read_bytes())], SENDER, "1.2.250.1.213.1.1.9.99", NOW)
        paths.append(tmp_path / f"{number}.zip")
        paths[-1].write_bytes(octets)
        assert open_archive(octets).findings == ()
    command = [sys.executable, str(VALIDATOR / "validate.py"), *map(str, paths)]
    judge = subprocess.run(command, capture_output=True, text=True, check=False)
    assert judge.returncode == 0, judge.stdout + judge.stderr


@judged
def test_the_samples_of_the_judge_are_read_as_it_reads_them() -> None:
    valid = open_archive((VALIDATOR / "samples" / "IHE_XDM_valid.zip").read_bytes())
    broken = open_archive((VALIDATOR / "samples" / "IHE_XDM_broken.zip").read_bytes())
    assert valid.findings == ()
    assert valid.patient.qualified
    assert not broken.sound
    assert {finding.fault for finding in broken.findings} == {
        ArchiveFault.NO_README,
        ArchiveFault.FIELD_MISSING,
        ArchiveFault.WRONG_HASH,
        ArchiveFault.WRONG_SIZE,
        ArchiveFault.FIELD_DIFFERS,
    }


def test_what_was_put_in_comes_out() -> None:
    first, second = cda(), cda(root="1.2.250.1.213.1.1.9.2", title="Compte-rendu <bis> & fin")
    opened = open_archive(archive(first, second))
    assert opened.findings == ()
    assert [document.content for document in opened.documents] == [first, second]
    assert [document.entry.uri for document in opened.documents] == ["DOC0001.XML", "DOC0002.XML"]
    assert opened.documents[1].entry.title == "Compte-rendu <bis> & fin"
    assert opened.documents[0].entry.creation_time == "20261125200000"
    assert opened.patient.birth_name == "SAULNIER"
    assert opened.patient.qualified


def test_the_tree_is_that_of_the_profile_and_follows_from_the_facts() -> None:
    made = archive()
    assert made == archive()
    files = files_of(made)
    assert list(files) == ["README.TXT", "INDEX.HTM", METADATA, DOCUMENT]
    assert b"R\xc3\xa9seau du Velay" in files["README.TXT"]
    assert b"\r\n" in files["README.TXT"]
    assert b'href="README.TXT"' in files["INDEX.HTM"]


def test_replacing_and_deleting_are_told_by_the_national_slot() -> None:
    replacing = cda(root="1.2.3.2", replaces="1.2.3.1")
    for transfer, document in ((Transfer.REPLACE, replacing), (Transfer.DELETE, cda())):
        octets = build_archive([ArchiveDocument(document, transfer)], SENDER, "1.2.3.9", NOW)
        assert b"urn:action:extraMetadataSlot" in files_of(octets)[METADATA]
        opened = open_archive(octets)
        assert opened.sound
        assert opened.documents[0].entry.transfer is transfer
    assert b"extraMetadataSlot" not in files_of(archive())[METADATA]
    header = open_archive(archive(replacing)).documents[0].header
    assert header is not None
    assert header.replaces == "1.2.3.1"


@pytest.mark.parametrize(
    ("documents", "missing"),
    [
        ([b"<x/>"], "ClinicalDocument"),
        ([b"no markup"], "ClinicalDocument"),
        ([cda().replace(b"<title>Compte-rendu de t\xc3\xa9l\xc3\xa9expertise</title>", b"")], "title"),
        ([cda(), cda(root="1.2.3", ins="1540763220005 20")], "patientId"),
        ([cda(), cda()], "uniqueId"),
    ],
)
def test_what_gives_no_valid_archive_is_not_built(documents: list[bytes], missing: str) -> None:
    with pytest.raises(NotArchivable) as caught:
        archive(*documents)
    assert missing in caught.value.missing


def test_a_replacement_without_its_parent_is_not_built() -> None:
    with pytest.raises(NotArchivable) as caught:
        build_archive([ArchiveDocument(cda(), Transfer.REPLACE)], SENDER, "1.2.3", NOW)
    assert caught.value.missing == ("relatedDocument",)


def _link() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as made:
        info = zipfile.ZipInfo(DOCUMENT)
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        made.writestr(info, "/etc/passwd")
    return buffer.getvalue()


def _encrypted() -> bytes:
    octets = bytearray(archive())
    at = octets.find(b"PK\x01\x02")
    octets[at + 8] |= 1
    return bytes(octets)


def _damaged() -> bytes:
    octets = bytearray(archive())
    at = octets.rfind(DOCUMENT.encode(), 0, octets.find(b"PK\x01\x02")) + len(DOCUMENT) + 40
    octets[at] ^= 0xFF
    return bytes(octets)


def _doubled() -> bytes:
    buffer = io.BytesIO(archive())
    with zipfile.ZipFile(buffer, "a") as made:
        made.writestr(DOCUMENT.lower(), b"another")
    return buffer.getvalue()


def _overlapping() -> bytes:
    """Ten names for one and the same compressed file (Fifield's bomb in its plain form)."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("F0", random.Random(5).randbytes(1000) * 20)
        for number in range(1, 10):
            again = copy(made.infolist()[0])
            again.filename = again.orig_filename = f"F{number}"
            made.filelist.append(again)
    return buffer.getvalue()


def _changed(octets: bytes, record: bytes, at: int, form: str, value: int) -> bytes:
    """The archive with one number of its first record of a kind changed."""
    raw = bytearray(octets)
    struct.pack_into(form, raw, raw.find(record) + at, value)
    return bytes(raw)


def _doubled_exactly() -> bytes:
    buffer = io.BytesIO(archive())
    with zipfile.ZipFile(buffer, "a") as made, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        made.writestr(DOCUMENT, b"another")
    return buffer.getvalue()


def _zip64(octets: bytes) -> bytes:
    """The same files, each with the fields of 64 bits."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in files_of(octets).items():
            with made.open(zipfile.ZipInfo(name), "w", force_zip64=True) as stream:
                stream.write(content)
    return buffer.getvalue()


def _metadata(old: bytes, new: bytes) -> bytes:
    made = archive()
    changed = files_of(made)[METADATA].replace(old, new)
    assert changed != files_of(made)[METADATA]
    return repacked(made, {METADATA: changed})


NESTED = zipped({"A": b"0" * 9_000_000})
#: Too many elements to build a tree of, and no two alike: they are not compressed much.
LAUGHS = b"".join(b'<!ENTITY l%d "%s">' % (n, b"ha" if n == 0 else b"&l%d;" % (n - 1) * 10) for n in range(9))
LAUGHS = b'<?xml version="1.0"?><!DOCTYPE a [' + LAUGHS + b"]><a>&l8;</a>"
MANY = b"<a>" + b"".join(b"<b%d/>" % number for number in range(300_001)) + b"</a>"
DTD = b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>'


@pytest.mark.parametrize(
    ("octets", "fault"),
    [
        (b"", ArchiveFault.NOT_A_ZIP),
        (b"PK\x03\x04 not really", ArchiveFault.NOT_A_ZIP),
        (zipped({}), ArchiveFault.NO_METADATA),
        (zipped({"a.pdf": b"%PDF-"}), ArchiveFault.NO_METADATA),
        (zipped({f"F{n}": b"" for n in range(501)}), ArchiveFault.TOO_MANY_FILES),
        (zipped({DOCUMENT: b" " * 8_000_000}), ArchiveFault.BOMB),
        (zipped({"../../etc/cron.d/x": b"x"}), ArchiveFault.UNSAFE_NAME),
        (zipped({"IHE_XDM\\..\\..\\X": b"x"}), ArchiveFault.UNSAFE_NAME),
        (zipped({"/etc/passwd": b"x"}), ArchiveFault.UNSAFE_NAME),
        (zipped({"C:X": b"x"}), ArchiveFault.UNSAFE_NAME),
        (zipped({"A\rB": b"x"}), ArchiveFault.UNSAFE_NAME),
        (_link(), ArchiveFault.LINK),
        (_encrypted(), ArchiveFault.ENCRYPTED),
        (_damaged(), ArchiveFault.DAMAGED_FILE),
        (_doubled(), ArchiveFault.DOUBLE_NAME),
        (_doubled_exactly(), ArchiveFault.DOUBLE_NAME),
        (_overlapping(), ArchiveFault.BOMB),
        # Lying sizes: of what is packed, of what comes out, of the file's own header.
        (_changed(archive(), b"PK\x01\x02", 20, "<I", 2**30), ArchiveFault.BOMB),
        (_changed(archive(), b"PK\x01\x02", 24, "<I", 12), ArchiveFault.DAMAGED_FILE),
        (_changed(archive(), b"PK\x01\x02", 24, "<I", 2**31), ArchiveFault.FILE_TOO_LARGE),
        (_changed(archive(), b"PK\x01\x02", 42, "<I", 7), ArchiveFault.BOMB),
        (_changed(archive(), b"PK\x03\x04", 26, "<H", 3), ArchiveFault.DAMAGED_FILE),
        (_changed(archive(), b"PK\x05\x06", 16, "<I", 2**32 - 1), ArchiveFault.NOT_A_ZIP),
        (repacked(archive(), {METADATA: None}), ArchiveFault.NO_METADATA),
        (repacked(archive(), {METADATA: b"<broken"}), ArchiveFault.METADATA_UNREADABLE),
        (repacked(archive(), {METADATA: DTD}), ArchiveFault.ENTITIES),
        (repacked(archive(), {METADATA: LAUGHS}), ArchiveFault.ENTITIES),
        (repacked(archive(), {DOCUMENT: LAUGHS}), ArchiveFault.ENTITIES),
        (repacked(archive(), {METADATA: DTD.decode().encode("utf-16")}), ArchiveFault.METADATA_UNREADABLE),
        (
            repacked(archive(), {METADATA: b'<?xml version="1.0" encoding="UTF-7"?><a/>'}),
            ArchiveFault.METADATA_UNREADABLE,
        ),
        (repacked(archive(), {METADATA: b"<a/>"}), ArchiveFault.NO_DOCUMENT),
        (repacked(archive(), {DOCUMENT: None}), ArchiveFault.DOCUMENT_ABSENT),
        (repacked(archive(), {DOCUMENT: cda(given="Odile")}), ArchiveFault.WRONG_HASH),
        (repacked(archive(), {DOCUMENT: cda(given="Od")}), ArchiveFault.WRONG_SIZE),
        (repacked(archive(), {DOCUMENT: DTD}), ArchiveFault.ENTITIES),
        (repacked(archive(), {DOCUMENT: b"<a/>"}), ArchiveFault.NOT_A_CDA),
        (repacked(archive(), {DOCUMENT: b"<a>"}), ArchiveFault.CDA_UNREADABLE),
        (repacked(archive(), {DOCUMENT: b"<a>" + b"<b/>" * 299_999 + b"</a>"}), ArchiveFault.BOMB),
        (repacked(archive(), {METADATA: MANY}), ArchiveFault.METADATA_UNREADABLE),
        (repacked(archive(), {DOCUMENT: cda(ins="154076322000520")}), ArchiveFault.CONTRADICTION),
        (_metadata(b'value="1.2.250.1.213.1.1.9.1"', b'value="1.2.3"'), ArchiveFault.CONTRADICTION),
        # The traits that a receiver takes from the metadata are another person's.
        (_metadata(b"PID-5|SAULNIER^", b"PID-5|AUTRE^"), ArchiveFault.CONTRADICTION),
        (_metadata(b"PID-7|19790328", b"PID-7|19790329"), ArchiveFault.CONTRADICTION),
        (_metadata(b"PID-8|F", b"PID-8|M"), ArchiveFault.CONTRADICTION),
        # Programs that read from the start see something else than those that read from the end.
        (archive(cda(root="1.2.3")) + archive(), ArchiveFault.NOT_A_ZIP),
        (b"%PDF-1.4\n" + archive(), ArchiveFault.NOT_A_ZIP),
        (archive(cda(ins="279035121518980")), ArchiveFault.WRONG_INS),
        (
            _metadata(b'<Slot name="hash">', b'<Slot name="urn:action:extraMetadataSlot"><ValueList><Value>X'
                      b'</Value></ValueList></Slot><Slot name="hash">'),
            ArchiveFault.UNKNOWN_ACTION,
        ),
    ],
)  # fmt: skip
def test_a_hostile_archive_is_refused_by_name(octets: bytes, fault: ArchiveFault) -> None:
    opened = open_archive(octets)
    assert fault in {finding.fault for finding in opened.findings}
    assert not opened.sound


def test_documents_of_two_patients_are_nobodys() -> None:
    other = repacked(archive(cda(ins="154076322000520", family="AUTRE", root="1.2.3")), {})
    both = repacked(
        archive(),
        {name.replace("01/", "02/").replace("0001", "0002"): content.replace(b"DOC0001", b"DOC0002")
         for name, content in files_of(other).items() if name.startswith("IHE_XDM")},
    )  # fmt: skip
    opened = open_archive(both)
    assert ArchiveFault.SEVERAL_PATIENTS in {finding.fault for finding in opened.findings}
    assert not opened.patient.ins
    assert not opened.sound


def test_a_document_listed_twice_is_told() -> None:
    made = archive(cda(), cda(root="1.2.3"))
    changed = files_of(made)[METADATA].replace(b"DOC0002.XML", b"DOC0001.XML")
    assert ArchiveFault.DOUBLE_DOCUMENT in faults(repacked(made, {METADATA: changed}))


@pytest.mark.parametrize(
    ("octets", "fault"),
    [
        (repacked(archive(), {"README.TXT": None}), ArchiveFault.NO_README),
        (repacked(archive(), {"INDEX.HTM": None}), ArchiveFault.NO_INDEX),
        (zipped({n.lower(): c for n, c in files_of(archive()).items()}), ArchiveFault.LOWER_CASE),
        (zipped({n.replace("/", "\\"): c for n, c in files_of(archive()).items()}), None),
        (repacked(archive(), {"IHE_XDM/SUBSET01/ANNEXE.PDF": b"%PDF-"}), ArchiveFault.UNLISTED_FILE),
        (repacked(archive(), {"IHE_XDM/SUBSET01/LONGER-NAME.PDF": b"%PDF-"}), ArchiveFault.LONG_NAME),
        (_metadata(b'<Slot name="languageCode">', b'<Slot name="other">'), ArchiveFault.FIELD_MISSING),
        (_metadata(b'<Slot name="hash">', b'<Slot name="other">'), ArchiveFault.NO_HASH),
        (archive(cda(set_id=False)), ArchiveFault.NO_SET_ID),
        (_zip64(archive()), None),
        # Other software writes traits its own way, or leaves them out.
        (_metadata(b"PID-5|SAULNIER^", b"PID-5|DUPONT^ODETTE^^^^^D~Saul-ni\xc3\xa8r^"), None),
        (_metadata(b"PID-5|SAULNIER^", b"PID-5|^"), None),
        (_metadata(b"PID-7|19790328", b"PID-7|197903280000"), None),
        (_metadata(b"PID-8|F", b"PID-8|U"), None),
        # An archive within the archive is a file like others: it is not opened.
        (
            repacked(archive(), {"IHE_XDM/SUBSET01/BOMB.ZIP": zipped({"A": b"0" * 9_000_000})}),
            ArchiveFault.UNLISTED_FILE,
        ),
    ],
)
def test_what_can_be_read_without_doubt_is_read(octets: bytes, fault: ArchiveFault | None) -> None:
    opened = open_archive(octets)
    assert opened.sound
    assert fault is None or fault in {finding.fault for finding in opened.findings}
    assert opened.documents[0].header is not None
    assert opened.patient.ins == "279035121518989"


def test_bounds_hold_before_anything_is_unpacked() -> None:
    assert faults(archive(), ArchiveLimits(archive=100)) == {ArchiveFault.TOO_LARGE}
    assert ArchiveFault.FILE_TOO_LARGE in faults(archive(), ArchiveLimits(file=100))
    assert ArchiveFault.BOMB in faults(archive(), ArchiveLimits(total=1000))


def test_every_fault_has_its_sentence_in_french_and_english() -> None:
    table = load_words().tables["archive_faults"]
    assert set(table) == {str(fault) for fault in ArchiveFault}
    assert all(sentence.format(name="X", detail="Y").endswith(".") for sentence in table.values())
    english = [english_sentence(Finding(fault, "X", "Y")) for fault in ArchiveFault]
    assert all(sentence.endswith(".") and " " in sentence for sentence in english)
    for fault, sentence in zip(ArchiveFault, english, strict=True):
        french = table[fault].format(name="X", detail="Y")
        assert [mark in sentence for mark in "XY"] == [mark in french for mark in "XY"], fault
    assert ArchiveFault.NO_SET_ID not in BLOCKING


def test_findings_tell_no_identity() -> None:
    opened = open_archive(repacked(archive(), {DOCUMENT: cda(ins="154076322000520")}))
    assert "154076322000520" not in repr(opened.findings)
    assert "279035121518989" not in repr(opened.findings)


def test_of_two_archives_in_a_mail_none_is_opened() -> None:
    one = Attachment("ihe_xdm.ZIP", "application/zip", archive())
    page = Attachment("compte-rendu.pdf", "application/pdf", b"%PDF-")
    found, several = archive_in([page, one]), archive_in([one, page, one])
    assert found is not None
    assert found.sound
    assert several is not None
    assert [finding.fault for finding in several.findings] == [ArchiveFault.SEVERAL_ARCHIVES]
    assert not several.documents
    assert archive_in([page]) is None


def test_the_name_counts_whatever_its_case() -> None:
    assert is_archive_name("IHE_XDM.ZIP")
    assert is_archive_name("ihe_xdm.zip")
    assert not is_archive_name("xdm.zip")
