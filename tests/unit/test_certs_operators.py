"""The trust list of operators: read strictly, compared tolerantly, decided with an SMTP answer."""

from datetime import UTC, datetime, timedelta

import pytest

from certs.names import DistinguishedName, NameFault
from certs.operators import (
    OperatorReason,
    TrustEntry,
    TrustList,
    TrustListFault,
    list_is_current,
    normal_domain,
    read_trust_list,
    recipient_listed,
    render_trust_list,
    sender_allowed,
    server_allowed,
)

NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
A = DistinguishedName.from_text("CN=mx.a.example,OU=318310021300028,O=GIP A,ST=Haute-Garonne (31),C=FR")
A2 = DistinguishedName.from_text("CN=mx2.a.example,OU=318310021300028,O=GIP A,ST=Haute-Garonne (31),C=FR")
B = DistinguishedName.from_text("CN=mx.b.example,OU=1430000017,O=CH B,ST=Haute-Loire (43),C=FR")
ENTRIES = [
    TrustEntry("a.mssante.example", A),
    TrustEntry("A.mssante.example", A2),
    TrustEntry("b.mssante.example", B, "Centre hospitalier & co"),
    TrustEntry("hôpital.example", B),
]


@pytest.fixture
def trusted() -> TrustList:
    return read_trust_list(render_trust_list(ENTRIES, NOW))


def test_a_rendered_list_is_read_back(trusted: TrustList) -> None:
    assert trusted.generated == NOW
    assert trusted.domains["a.mssante.example"] == {A, A2}
    assert trusted.domains["hôpital.example".encode("idna").decode()] == {B}
    assert trusted.faults == ()


NATIONAL = """<?xml version="1.0" encoding="UTF-8"?>
<ListeBlancheMSSante xmlns="https://listeblanche.mssante.fr/schema">
<DateDeGeneration>2025-03-13T14:54:10Z</DateDeGeneration><ListeDomaines>{entries}</ListeDomaines>
</ListeBlancheMSSante>"""
ENTRY = """<Domaine><Nom>{domain}</Nom><Description/><DNCertificatOperateur>{name}</DNCertificatOperateur>
<ResponsableContact/><SupportContact/><DateMAJ>2025-03-14T15:34:10Z</DateMAJ></Domaine>"""


def national(*entries: tuple[str, str]) -> bytes:
    return NATIONAL.format(entries="".join(ENTRY.format(domain=d, name=n) for d, n in entries)).encode()


def test_the_national_format_is_read() -> None:
    trusted = read_trust_list(national((" AE.mssante.example ", A.text)))
    assert trusted.domains["ae.mssante.example"] == {A}
    assert trusted.generated == datetime(2025, 3, 13, 14, 54, 10, tzinfo=UTC)


def test_an_unreadable_entry_is_left_out_and_told() -> None:
    trusted = read_trust_list(
        national(("ok.example", A.text), ("mauvais.example", "CN=x,,"), ("a b", A.text))
    )
    assert set(trusted.domains) == {"ok.example"}
    assert len(trusted.faults) == 2


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"pas du XML",
        national(("a.example", A.text)).replace(b"</ListeBlancheMSSante>", b""),
        national(("a.example", A.text)).replace(b"listeblanche.mssante.fr", b"ailleurs.example"),
        national(("a.example", A.text)).replace(b"2025-03-13T14:54:10Z", b"hier"),
        national(("a.example", "")),
        national(),
        b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
        + national(("a.example", "&x;")).split(b"?>")[1],
        b"<!DOCTYPE ListeBlancheMSSante>" + national(("a.example", A.text)).split(b"?>")[1],
    ],
)
def test_a_faulty_list_is_refused_as_a_whole(document: bytes) -> None:
    with pytest.raises(TrustListFault):
        read_trust_list(document)


def test_entity_bombs_are_refused() -> None:
    lines = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 12))
    bomb = (
        f'<!DOCTYPE x [<!ENTITY e0 "x">{lines}]>' + national(("a.example", "&e11;")).decode().split("?>")[1]
    )
    with pytest.raises(TrustListFault):
        read_trust_list(bomb.encode())


def test_sender_needs_both_domains_under_its_name(trusted: TrustList) -> None:
    ours, theirs = "medecin@a.mssante.example", "secretariat@B.mssante.example"
    assert sender_allowed(trusted, A, ours, ours).allowed
    assert sender_allowed(trusted, A2, ours, ours).allowed
    for decision in (sender_allowed(trusted, A, ours, theirs), sender_allowed(trusted, A, theirs, ours)):
        assert (decision.allowed, decision.code, decision.enhanced) == (False, 550, "5.7.1")
        assert (decision.reason, decision.subject) == (OperatorReason.NAME_UNLISTED, "b.mssante.example")


def test_a_null_sender_leaves_the_from_domain_to_decide(trusted: TrustList) -> None:
    assert sender_allowed(trusted, B, "", "postmaster@b.mssante.example").allowed
    assert not sender_allowed(trusted, B, "", "postmaster@a.mssante.example").allowed


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("x@gmail.example", OperatorReason.DOMAIN_UNLISTED),
        ("x@sous.a.mssante.example", OperatorReason.DOMAIN_UNLISTED),
        ("x@", OperatorReason.DOMAIN_INVALID),
        ("x", OperatorReason.DOMAIN_INVALID),
        ("x@a..example", OperatorReason.DOMAIN_INVALID),
    ],
)
def test_domains_outside_of_the_list_are_refused(
    trusted: TrustList, address: str, reason: OperatorReason
) -> None:
    decision = sender_allowed(trusted, A, address, address)
    assert (decision.allowed, decision.code, decision.reason) == (False, 550, reason)


def test_recipient_and_server(trusted: TrustList) -> None:
    assert recipient_listed(trusted, "HÔPITAL.example").allowed
    assert recipient_listed(trusted, "ailleurs.example").reason is OperatorReason.DOMAIN_UNLISTED
    assert server_allowed(trusted, B, "b.mssante.example").allowed
    assert not server_allowed(trusted, A, "b.mssante.example").allowed


def test_an_old_list_answers_451(trusted: TrustList) -> None:
    assert list_is_current(trusted, NOW + timedelta(days=1), timedelta(days=7)).allowed
    stale = list_is_current(trusted, NOW + timedelta(days=8), timedelta(days=7))
    assert (stale.code, stale.enhanced, stale.reason) == (451, "4.7.1", OperatorReason.LIST_STALE)


def test_nine_thousand_entries() -> None:
    entries = [TrustEntry(f"d{n}.mssante.example", (A, A2, B)[n % 3]) for n in range(9000)]
    assert len(read_trust_list(render_trust_list(entries, NOW)).domains) == 9000


@pytest.mark.parametrize("domain", ["", ".", "a b", "a..b", "-a.example", "x" * 64 + ".example", "é" * 300])
def test_what_is_no_domain(domain: str) -> None:
    with pytest.raises(ValueError):
        normal_domain(domain)


# -- names


@pytest.mark.parametrize(
    "text",
    [
        "C=FR,ST=Haute-Garonne (31),O=GIP A,OU=318310021300028,CN=mx.a.example",
        "cn=MX.A.EXAMPLE, ou=318310021300028, o=gip  a, st=Haute-Garonne (31), c=fr",
        'CN="mx.a.example";OU=318310021300028;O=GIP A;S=Haute-Garonne (31);C=FR',
        r"CN=mx\2Ea.example+OU=318310021300028,O=GIP\20A,ST=Haute-Garonne (31),2.5.4.6=FR",
    ],
)
def test_spellings_of_one_name(text: str) -> None:
    assert DistinguishedName.from_text(text) == A


@pytest.mark.parametrize("change", [("GIP A", "GIP B"), ("OU=318310021300028,", ""), ("C=FR", "C=FR,C=FR")])
def test_other_names_differ(change: tuple[str, str]) -> None:
    assert DistinguishedName.from_text(A.text.replace(*change)) != A


@pytest.mark.parametrize(
    "text",
    ["", "CN", "CN=a,", "CN=a,,O=b", "CN=a\\", "XX=a", "CN=#0403", "CN=\\FF", 'CN="a', "CN=" + "a" * 5000],
)
def test_what_is_no_name(text: str) -> None:
    with pytest.raises(NameFault):
        DistinguishedName.from_text(text)


def test_values_and_parts_of_a_name() -> None:
    assert A.values("OU") == ("318310021300028",)
    assert A.includes(DistinguishedName.from_text("O=gip a,C=FR"))
    assert not A.includes(DistinguishedName.from_text("O=CH B"))
