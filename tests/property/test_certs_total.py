"""Whatever arrives, the deciding parts of `certs` answer with a value or with their one declared fault."""

import re
from contextlib import suppress
from datetime import timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certs.authority import issue_crl
from certs.ber import EncodingFault, check_encoding
from certs.cms import CmsFault, check_signers, read_signed_data
from certs.crls import CrlFault, crl_facts, verified_crl
from certs.fields import FieldFault, parse_mailbox, split_message
from certs.listsignature import ListSigner, signed_list
from certs.names import DistinguishedName, NameFault
from certs.operators import TrustEntry, TrustListFault, normal_domain, read_trust_list, render_trust_list
from certs.paths import Usage, read_certificates, validate
from certs.results import remove_forged
from certs.signing import SigningFault, sign_detached
from certs.smime import sign_message, verify_message
from certs.verdicts import SignatureReport, Verdict
from tests.support.certificates import (
    ENTITY,
    NOW,
    certificate,
    headers,
    signed_trust_list,
    signer,
    space,
    trust,
)
from tests.support.mutations import EDITS, Edits, mutated

TRUST = trust()
SIGNED = sign_message(headers(), ENTITY, signer(), NOW)
ED25519 = signer("ed25519")
STRUCTURE = sign_detached(ENTITY, [signer()], NOW)
CERTIFICATE = read_certificates(certificate().certificate_pem)[0]
CHAIN = read_certificates(certificate().chain_pem)


@given(st.binary(max_size=400))
def test_any_octets_give_a_report(raw: bytes) -> None:
    assert verify_message(raw, TRUST, NOW).verdict is not Verdict.PASSED


@given(EDITS)
def test_a_mutated_mail_gives_a_report_and_never_passes_with_other_content(edits: Edits) -> None:
    raw = mutated(SIGNED, edits)
    report = verify_message(raw, TRUST, NOW)
    assert isinstance(report, SignatureReport)
    if report.verdict is Verdict.PASSED:  # an edit outside of the signed part, or one that changes nothing
        assert report.entity is not None
        assert report.entity in SIGNED


@given(EDITS)
def test_a_mutated_structure_is_a_fault_or_does_not_verify_other_content(edits: Edits) -> None:
    encoded = mutated(STRUCTURE, edits)
    try:
        signed = read_signed_data(encoded)
    except CmsFault:
        return
    assert len(check_signers(signed, b"autre contenu")) == len(signed.signers)
    assert all(signer.reason != "genuine" for signer in check_signers(signed, b"autre contenu"))


@given(EDITS)
def test_a_mutated_certificate_gets_a_verdict_and_never_passes(edits: Edits) -> None:
    der = mutated(CERTIFICATE, edits)
    if der != CERTIFICATE:
        assert validate(der, CHAIN, TRUST, Usage.EMAIL_SIGNATURE, NOW).verdict is not Verdict.PASSED


@given(EDITS)
def test_mutated_enclosed_certificates_do_not_raise(edits: Edits) -> None:
    enclosed = [mutated(CHAIN[0], edits)]
    assert validate(CERTIFICATE, enclosed, TRUST, Usage.EMAIL_SIGNATURE, NOW).verdict in Verdict


@given(st.binary(max_size=300))
def test_the_encoding_guard_is_total(octets: bytes) -> None:
    with suppress(EncodingFault):
        check_encoding(octets)


@given(st.binary(max_size=300))
def test_the_header_reader_is_total(octets: bytes) -> None:
    try:
        fields, body = split_message(octets)
    except FieldFault:
        return
    assert body <= len(octets)
    assert all(re.fullmatch(r"[!-9;-~]+", field.name) for field in fields)


@given(st.one_of(st.binary(max_size=80), st.text('<>@(),:;"\\ .aé', max_size=40).map(str.encode)))
def test_the_address_reader_is_total(octets: bytes) -> None:
    try:
        found = parse_mailbox(octets)
    except FieldFault:
        return
    assert found.address.count("@") == 1


@given(st.binary(max_size=300), st.text(max_size=20))
def test_removal_keeps_a_part_of_the_header(octets: bytes, ours: str) -> None:
    kept = remove_forged(octets, ours)
    assert len(kept) <= len(octets)
    assert remove_forged(kept, ours) == kept


@given(st.text(max_size=80))
def test_domains_are_normal_or_refused(text: str) -> None:
    try:
        normal = normal_domain(text)
    except ValueError:
        return
    assert normal_domain(normal) == normal


@given(st.binary(max_size=300))
def test_any_document_is_a_list_or_a_fault(document: bytes) -> None:
    with suppress(TrustListFault):
        read_trust_list(document)


LIST = render_trust_list([TrustEntry("a.example", DistinguishedName.from_text("CN=a,C=FR"))], NOW)
SIGNED_LIST = signed_trust_list(LIST)
CRL = issue_crl(space().organisations, NOW)
AUTHORITIES = (read_certificates(space().organisations.certificate_pem)[0],)


@given(EDITS)
def test_a_mutated_signed_list_is_a_fault_or_the_list_that_was_signed(edits: Edits) -> None:
    try:
        signed = signed_list(mutated(SIGNED_LIST, edits), ListSigner(TRUST), NOW)
    except TrustListFault:
        return
    assert read_trust_list(signed).domains == read_trust_list(LIST).domains


@given(st.binary(max_size=300))
def test_any_octets_are_no_crl(octets: bytes) -> None:
    with pytest.raises(CrlFault):
        crl_facts(octets)


@given(EDITS)
def test_a_mutated_crl_is_a_fault_or_the_same(edits: Edits) -> None:
    with suppress(CrlFault):
        assert verified_crl(mutated(CRL, edits), AUTHORITIES, NOW, timedelta(0)).der == CRL


LENGTHS = st.lists(st.sampled_from([0, 1, 76, 499, 997, 998, 999, 1000, 1001, 1998]), max_size=8)


@given(LENGTHS, st.sampled_from([b"\r\n", b""]))
def test_lines_of_998_octets_are_signed_and_longer_ones_refused(lengths: list[int], end: bytes) -> None:
    entity = b"Content-Type: text/plain\r\n\r\n" + b"\r\n".join(b"x" * length for length in lengths) + end
    if max(lengths, default=0) > 998:
        with pytest.raises(SigningFault):
            sign_message(headers(), entity, ED25519, NOW)
    else:
        signed = sign_message(headers(), entity, ED25519, NOW)
        assert verify_message(signed, TRUST, NOW).verdict is Verdict.PASSED


VALUE = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), min_size=1, max_size=20)
ATTRIBUTES = st.lists(
    st.tuples(st.sampled_from(["2.5.4.3", "2.5.4.10", "2.5.4.11", "2.5.4.8", "2.5.4.6"]), VALUE),
    min_size=1,
    max_size=6,
)


@given(ATTRIBUTES, st.randoms())
def test_a_name_survives_its_text_and_any_order(attributes: list[tuple[str, str]], chance: Random) -> None:
    name = DistinguishedName(tuple(attributes))
    read = DistinguishedName.from_text(name.text)
    assert read == name
    assert hash(read) == hash(name)
    shuffled = list(attributes)
    chance.shuffle(shuffled)
    assert DistinguishedName(tuple(shuffled)) == name


@given(ATTRIBUTES)
def test_names_are_compared_without_case_and_spacing(attributes: list[tuple[str, str]]) -> None:
    spaced = tuple((oid, f"  {value.replace(' ', '   ')} ") for oid, value in attributes)
    assert DistinguishedName(spaced) == DistinguishedName(tuple(attributes))
    ascii_only = tuple((oid, value) for oid, value in attributes if value.isascii())
    upper = tuple((oid, value.upper()) for oid, value in ascii_only)
    assert DistinguishedName(upper) == DistinguishedName(ascii_only)


@given(st.text(max_size=60))
def test_any_text_is_a_name_or_a_fault(text: str) -> None:
    with suppress(NameFault):
        DistinguishedName.from_text(text)
