"""NIST's PKITS: 246 certification paths through our `validate`, its signed mails through `verify_message`.

Each path is judged with the revocation lists and policy inputs of its case, once with all algorithms allowed,
as the suite means it (two cases use DSA), and once as a deployment does.
"""

import hashlib
import importlib.util
import json
import re
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from certs.pathrules import PathRules
from certs.paths import RevocationMode, TrustAnchors, Usage, read_crl, validate
from certs.smime import verify_message
from certs.verdicts import Reason, Verdict

NOW = datetime(2026, 11, 22, tzinfo=UTC)  # the certificates end in 2030
DSA = {"valid_dsa_signatures_test4", "valid_dsa_parameter_inheritance_test5"}
#: What the suite's reference says went wrong, and what we answer.
REASONS = {
    "RevokedError": {Reason.REVOKED},
    "InsufficientRevinfoError": {Reason.REVOCATION_UNKNOWN},
    "StaleRevinfoError": {Reason.REVOCATION_UNKNOWN},
    "PathValidationError": {
        Reason.PATH_INVALID, Reason.UNTRUSTED, Reason.EXPIRED, Reason.NOT_YET_VALID,
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def pkits(shared: Path) -> Path:
    return shared / "vectors" / "pkits"


@pytest.fixture(scope="module")
def cases(pkits: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((pkits / "pkits.json").read_text())
    assert len(found) == 246
    return found


def believed(case: dict[str, Any], pkits: Path, modern: bool) -> TrustAnchors:
    """The anchors of a case: NIST's root, the certificates and lists that the case names."""
    given = case.get("params", {})
    rules = PathRules(
        frozenset(given.get("user_initial_policy_set", ["any_policy"])),
        given.get("initial_explicit_policy", False),
        given.get("initial_policy_mapping_inhibit", False),
        given.get("initial_any_policy_inhibit", False),
        modern_algorithms=modern,
    )
    names = [*case.get("crls", []), "TrustAnchorRootCRL.crl"]
    return TrustAnchors(
        (certificate(pkits, "TrustAnchorRootCertificate.crt"),),
        tuple(certificate(pkits, name) for name in case.get("other_certs", [])),
        tuple(read_crl((pkits / "crls" / name).read_bytes()) for name in names),
        RevocationMode.REQUIRE if case.get("revocation", True) else RevocationMode.WHEN_KNOWN,
        rules=rules,
    )


def certificate(pkits: Path, name: str) -> bytes:
    return (pkits / "certs" / name).read_bytes()


def test_246_of_246_paths_are_decided_as_the_suite_says_and_for_its_reason(
    pkits: Path, cases: list[dict[str, Any]]
) -> None:
    for case in cases:
        trust = believed(case, pkits, modern=False)
        found = validate(certificate(pkits, case["cert"]), (), trust, Usage.EMAIL_SIGNATURE, NOW)
        if "error" in case:
            assert found.reason in REASONS[case["error"]["class"]], case["name"]
        else:
            assert found.verdict is Verdict.PASSED, case["name"]


def test_under_our_rules_the_two_paths_with_dsa_are_refused_and_all_others_decided_alike(
    pkits: Path, cases: list[dict[str, Any]]
) -> None:
    different = set()
    for case in cases:
        trust = believed(case, pkits, modern=True)
        found = validate(certificate(pkits, case["cert"]), (), trust, Usage.EMAIL_SIGNATURE, NOW)
        if (found.verdict is Verdict.PASSED) is ("error" in case):
            different.add(case["name"])
            assert found.reason is Reason.ALGORITHM_UNSUPPORTED
    assert different == DSA


@pytest.fixture(scope="module")
def mails(pkits: Path) -> list[Path]:
    """NIST's signed mails: beside the vectors, or in PyPI's cryptography-vectors where that is installed."""
    folder = pkits / "smime"
    if not folder.is_dir():
        package = importlib.util.find_spec("cryptography_vectors")
        if package is None or package.origin is None:
            pytest.skip("neither ../shared/vectors/pkits/smime nor the package cryptography-vectors is here")
        folder = Path(package.origin).parent / "x509" / "PKITS_data" / "smime"
    return sorted(folder.glob("*.eml"))


def test_224_signed_mails_are_judged_as_the_path_of_their_signer(
    pkits: Path, mails: list[Path], cases: list[dict[str, Any]]
) -> None:
    """The case of a mail is that of its signer's certificate; seven certificates have none and are valid."""
    by_print: dict[str, dict[str, Any]] = {}
    for case in sorted(
        cases, key=lambda case: "params" in case
    ):  # the case without inputs, where there is one
        by_print.setdefault(hashlib.sha256(certificate(pkits, case["cert"])).hexdigest(), case)
    lists = sorted(path.name for path in (pkits / "crls").glob("*.crl"))
    counted: Counter[str] = Counter()
    for path in mails:
        raw = re.sub(rb"(?<!\r)\n", b"\r\n", path.read_bytes())
        [signer] = verify_message(raw, believed(cases[0], pkits, modern=False), NOW).signers
        case = by_print.get(signer.fingerprint, {"name": path.name, "crls": lists})
        [signer] = verify_message(raw, believed(case, pkits, modern=False), NOW).signers
        if "dsa" in case["name"]:
            # The mail itself is signed with DSA and SHA-1: refused whatever the path is worth.
            assert signer.reason is Reason.ALGORITHM_WEAK, path.name
            counted["dsa"] += 1
        elif "error" in case:
            assert signer.reason in REASONS[case["error"]["class"]], path.name
            counted["refused"] += 1
        else:
            assert signer.verdict is Verdict.PASSED, path.name
            counted["accepted"] += 1
    assert counted == {"accepted": 100, "refused": 121, "dsa": 3}
