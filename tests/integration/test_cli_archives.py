"""``gateway document open``: an archive told in words and JSON, its patient only when asked for."""

import json
from pathlib import Path

from click.testing import CliRunner, Result

from gateway.cli.root import cli
from tests.support.archives import METADATA, archive, cda, repacked


def opened(folder: Path, octets: bytes, *options: str) -> Result:
    path = folder / "IHE_XDM.zip"
    path.write_bytes(octets)
    return CliRunner().invoke(cli, ["document", "open", str(path), *options], standalone_mode=False)


def test_a_sound_archive_is_shown_without_its_patient(tmp_path: Path) -> None:
    told = opened(tmp_path, archive())
    assert told.return_value == 0
    assert "DOC0001.XML" in told.output
    assert "85208-7" in told.output
    assert "qualified" in told.output
    assert "SAULNIER" not in told.output
    assert "279035121518989" not in told.output
    assert "SAULNIER Odette" in opened(tmp_path, archive(), "--patient").output


def test_faults_are_told_in_french_and_end_in_1(tmp_path: Path) -> None:
    told = opened(tmp_path, repacked(archive(), {"IHE_XDM/SUBSET01/DOC0001.XML": cda(given="Odile")}))
    assert told.return_value == 1
    assert "L'empreinte du document DOC0001.XML n'est pas celle annoncée" in told.output
    missing = opened(tmp_path, repacked(archive(), {METADATA: None}), "--json")
    assert missing.return_value == 1
    described = json.loads(missing.output)
    assert described["sound"] is False
    assert [fault["fault"] for fault in described["faults"]] == ["no_metadata"]
    assert described["documents"] == []


def test_a_file_that_is_not_there_is_one_line() -> None:
    told = CliRunner().invoke(cli, ["document", "open", "/nowhere/IHE_XDM.zip"])
    assert told.exit_code == 1
    assert "No such file" in told.stderr
