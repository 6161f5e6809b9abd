"""Archives of documents for tests: a small CDA, archives built of it, and hostile ones made by hand."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

from teleexpertise.archives import ArchiveDocument, Sender, build_archive

__all__ = ["METADATA", "NOW", "SENDER", "VALIDATOR", "archive", "cda", "files_of", "repacked", "zipped"]

VALIDATOR = Path(__file__).parents[2].parent / "shared" / "cda-validator"
NOW = datetime(2026, 11, 25, 20, 0, tzinfo=UTC)
SENDER = Sender("Réseau du Velay", "1430000018", "teleexpertise", "0.1")
METADATA = "IHE_XDM/SUBSET01/METADATA.XML"
#: A valid test matricule (test authority below).
INS = "279035121518989"
TEST_OID = "1.2.250.1.213.1.4.10"

_CDA = """<?xml version="1.0" encoding="UTF-8"?>
<ClinicalDocument xmlns="urn:hl7-org:v3">
  <id root={root}/>
  <code code="85208-7" codeSystem="2.16.840.1.113883.6.1" displayName="Compte-rendu d'acte de télémédecine"/>
  <title>{title}</title>
  <effectiveTime value="20261125210000+0100"/>
  <confidentialityCode code="N" codeSystem="2.16.840.1.113883.5.25" displayName="Normal"/>
  <languageCode code="fr-FR"/>
  {set_id}<versionNumber value="1"/>
  <recordTarget><patientRole>
    <id root={oid} extension={ins}/>
    <patient><name><family qualifier="BR">{family}</family><given>{given}</given>
      <given qualifier="BR">{given}</given></name>
      <administrativeGenderCode code="F"/><birthTime value="19790328"/>
      <birthplace><place><addr><county>51215</county></addr></place></birthplace></patient>
  </patientRole></recordTarget>
  <author><time value="20261125210000+0100"/><assignedAuthor>
    <id root="1.2.250.1.71.4.2.1" extension="810000000007"/>
    <code code="G15_10/SM26" codeSystem="1.2.250.1.213.1.1.4.5" displayName="Médecin"/>
    <assignedPerson><name><given>Rémy</given><family>PERRET</family></name></assignedPerson>
    <representedOrganization><id root="1.2.250.1.71.4.2.2" extension="1430000018"/>
      <name>Hôpital du Velay</name></representedOrganization>
  </assignedAuthor></author>
  <legalAuthenticator><time value="20261125210000+0100"/><signatureCode code="S"/><assignedEntity>
    <id root="1.2.250.1.71.4.2.1" extension="810000000007"/>
    <assignedPerson><name><given>Rémy</given><family>PERRET</family></name></assignedPerson>
  </assignedEntity></legalAuthenticator>
  <documentationOf><serviceEvent>
    <code code="TE2" codeSystem="1.2.250.1.215.300.3" displayName="Téléexpertise"/>
    <effectiveTime><low value="20261125203000+0100"/></effectiveTime>
    <performer typeCode="PRF"><assignedEntity><representedOrganization>
      <standardIndustryClassCode code="ETABLISSEMENT" codeSystem="1.2.250.1.213.1.1.4.9" displayName="ES"/>
    </representedOrganization></assignedEntity></performer>
  </serviceEvent></documentationOf>
  {related}<componentOf><encompassingEncounter><location><healthCareFacility>
    <code code="SA01" codeSystem="1.2.250.1.71.4.2.4" displayName="Etablissement public de santé"/>
  </healthCareFacility></location></encompassingEncounter></componentOf>
  <component><nonXMLBody><text mediaType="application/pdf" representation="B64">JVBERi0=</text>
  </nonXMLBody></component>
</ClinicalDocument>
"""


def cda(
    *,
    root: str = "1.2.250.1.213.1.1.9.1",
    title: str = "Compte-rendu de téléexpertise",
    ins: str = INS,
    oid: str = TEST_OID,
    family: str = "SAULNIER",
    given: str = "Odette",
    set_id: bool = True,
    replaces: str = "",
) -> bytes:
    """A CDA whose header has all that metadata need; no judge was asked whether it is valid."""
    related = (
        f'<relatedDocument typeCode="RPLC"><parentDocument><id root={quoteattr(replaces)}/></parentDocument>'
        "</relatedDocument>"
        if replaces
        else ""
    )
    return _CDA.format(
        root=quoteattr(root),
        title=escape(title),
        ins=quoteattr(ins),
        oid=quoteattr(oid),
        family=escape(family),
        given=escape(given),
        set_id='<setId root="1.2.250.1.213.1.1.9"/>' if set_id else "",
        related=related,
    ).encode()


def archive(*documents: bytes) -> bytes:
    """An archive as we build it, of one small CDA where none is given."""
    chosen = documents or (cda(),)
    return build_archive([ArchiveDocument(d) for d in chosen], SENDER, "1.2.250.1.213.1.1.9.99", NOW)


def files_of(octets: bytes) -> dict[str, bytes]:
    """The files of a ZIP."""
    with zipfile.ZipFile(io.BytesIO(octets)) as opened:
        return {name: opened.read(name) for name in opened.namelist()}


def zipped(files: Mapping[str, bytes]) -> bytes:
    """A ZIP of some files, under whatever names."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in files.items():
            made.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def repacked(octets: bytes, changes: Mapping[str, bytes | None]) -> bytes:
    """The same archive with some files changed, added, or (``None``) left out."""
    files = {**files_of(octets), **{name: c for name, c in changes.items() if c is not None}}
    return zipped({name: content for name, content in files.items() if changes.get(name, b"") is not None})
