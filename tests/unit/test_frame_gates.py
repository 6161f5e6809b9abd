"""The gates of the frame hold: lengths, locks, packages, and no trace of the machine that wrote a file."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

LOCKS = ("requirements.lock", "requirements-dev.lock")


def gate(root: Path, *paths: Path) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, root / "scripts/gates.py", *paths], capture_output=True, text=True, check=False
    )
    assert not done.stderr
    return done.returncode, done.stdout


def function(lines: int, comment: str = "") -> str:
    return f"def long():{comment}\n" + '    """Do."""\n' + "    pass\n" * (lines - 1)


@pytest.mark.parametrize(
    ("text", "finding"),
    [
        ("x = 1\n" * 500, None),
        ("x = 1\n" * 501, ":1: 501 lines (limit 500)"),
        ("# gate: one table\n" + "x = 1\n" * 501, None),
        ("# gate:\n" + "x = 1\n" * 500, ":1: 501 lines (limit 500)"),
        (function(60), None),
        (function(61), ":1: long: 61 lines (limit 60)"),
        ("async " + function(61), ":1: long: 61 lines (limit 60)"),
        (function(61, "  # gate: a dialogue reads best in one piece"), None),
        ("class A:\n" + re.sub("^", "    ", function(61), flags=re.M), ":2: long: 61 lines (limit 60)"),
    ],
)
def test_lengths_need_a_reason(root: Path, tmp_path: Path, text: str, finding: str | None) -> None:
    path = tmp_path / "module.py"
    path.write_text(text, encoding="utf-8")
    code, output = gate(root, tmp_path)
    assert output == (f"{path}{finding}\n" if finding else "")
    assert code == (1 if finding else 0)


def tracked_files(root: Path) -> list[Path]:
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=root, capture_output=True, text=True, check=False)
    if listing.returncode != 0:
        pytest.skip("not a git work tree")
    return [root / name for name in listing.stdout.split("\0") if name and (root / name).is_file()]


def test_no_file_holds_a_path_of_a_machine_or_a_registry(root: Path) -> None:
    # Written apart, so that this file does not hold them either.
    hosts = ["pypi.", "pythonhosted.", "files.pythonhosted.", "deb.debian.", "registry.npmjs."]
    folders = ["wo" + "rk/", "ro" + "ot/", "op" + "t/pypi", "op" + "t/wheels", "tmp/" + "bash_jobs"]
    pattern = re.compile(
        "|".join(rf"{re.escape(host)}org" for host in hosts)
        + "|"
        + "|".join(f"(?<![\\w.*-])/{f}" for f in folders)
    )
    found = []
    for path in tracked_files(root):
        text = path.read_bytes().decode("utf-8", errors="ignore")
        found += [f"{path.relative_to(root)}: {match[0]}" for match in pattern.finditer(text)]
    assert found == []


@pytest.mark.parametrize("lock", LOCKS)
def test_locks_pin_every_package_with_hashes_and_no_address(root: Path, lock: str) -> None:
    text = (root / lock).read_text(encoding="utf-8")
    assert "://" not in text
    assert "--index-url" not in text
    assert "--find-links" not in text
    packages = re.findall(
        r"^([a-z0-9][a-z0-9._-]*)==\S+(?: ; [^\\\n]*)? \\\n((?: +--hash=sha256:[0-9a-f]{64}.*\n)+)",
        text,
        re.M,
    )
    assert len(packages) == len(re.findall(r"^[a-z0-9]", text, re.M)) > 30
    # One file per package would be the files of one machine, not those of the public index.
    several = [name for name, hashes in packages if hashes.count("sha256:") > 1]
    assert len(several) > 0.9 * len(packages)


def test_both_locks_agree(root: Path) -> None:
    run, dev = (
        dict(re.findall(r"^([a-z0-9._-]+)==([^\s;]+)", (root / lock).read_text(encoding="utf-8"), re.M))
        for lock in LOCKS
    )
    assert run.items() <= dev.items()


def test_every_debian_package_says_what_it_is_for(root: Path) -> None:
    lines = (root / "debian-packages.txt").read_text(encoding="utf-8").splitlines()
    packages = [line for line in lines if line and not line.startswith("#")]
    assert packages
    assert all(re.fullmatch(r"[a-z0-9][a-z0-9.+-]+ +# (run|test) +\S.*", line) for line in packages)


def test_the_automatic_check_is_make_test(root: Path) -> None:
    commands = [
        line
        for line in (root / ".ci/run").read_text(encoding="utf-8").splitlines()
        if line and not line.startswith("#")
    ]
    assert commands[-1] == "exec make test"
    assert [line for line in commands if "make" in line] == ["exec make test"]
