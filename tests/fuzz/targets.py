"""What is fuzzed: each parser with seeds that it reads, and the faults that it declares."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import UUID

from certs.authority import issue_crl
from certs.bindings import certificate_names
from certs.cms import CmsFault, check_signers, read_signed_data
from certs.crls import CrlFault, verified_crl
from certs.dkim import KeyKind, KeyRecordFault, parse_key_record, sign_dkim, signatures_in, verify_dkim
from certs.envelopes import (
    DecryptionFailed,
    decrypt_message,
    encrypt_message,
    open_envelope,
    read_capabilities,
    seal_envelope,
)
from certs.listsignature import ListSigner, signed_list
from certs.names import DistinguishedName
from certs.operators import TrustEntry, TrustListFault, read_trust_list, render_trust_list
from certs.paths import TrustAnchors, Usage, read_certificates, validate
from certs.signing import sign_detached
from certs.smime import sign_message, verify_message
from certs.tokens import KeySetFault, TokenPolicy, judge_token, read_keys
from gateway.intake.faults import IntakeFault
from gateway.intake.letter import read_letter
from gateway.intake.limits import IntakeLimits
from gateway.intake.rawmail import wire_fault
from gateway.relay.dsn import Action, RecipientReport, ReportFacts, build_report, read_report
from gateway.smtp.bearer import read_oauthbearer, read_xoauth2
from gateway.smtp.refusals import BadSyntax
from teleexpertise.automatic import classify
from teleexpertise.commands import read_command
from teleexpertise.documents.reading import read_document, read_request
from teleexpertise.errors import RuleError
from teleexpertise.forms import FormCopy, find_form, read_form, render_html, render_text
from teleexpertise.forms import validate as validate_form
from teleexpertise.letters import Mailbox
from teleexpertise.plaintext import html_lines, readable_text
from teleexpertise.quotation import own_words
from teleexpertise.rules import load_rules
from teleexpertise.texts import Texts
from teleexpertise.tokens import seal, unseal
from tests.fuzz.mutation import Mutator, mutated_octets
from tests.support import certificates, documents, envelopes, samples
from tests.support.cases import DEFAULT_RULES
from tests.support.dkim import NOW, dkim_signer, keys_of, record_text
from tests.support.forms import FILLED, FORM_ID, TODAY, quoted, sample_request
from tests.support.prosante import CLIENT, ISSUER, ProSante

__all__ = ["Target", "targets"]

_FORM = sample_request()
_KEY = b"a key for tests"


@dataclass(frozen=True, slots=True)
class Target:
    """One parser: octets that it can read, and the exceptions that are its answer to others.

    ``mutate`` makes its inputs. A target with a ``share`` is fed that part of a number of inputs, one without
    is fed for a time.
    """

    name: str
    seeds: tuple[bytes, ...]
    read: Callable[[bytes], object]
    declared: tuple[type[Exception], ...] = ()
    mutate: Mutator = mutated_octets
    share: float = 0.0


def _document(octets: bytes) -> object:
    return read_document(octets), read_request(octets)


def _as_text(read: Callable[[str], object]) -> Callable[[bytes], object]:
    return lambda octets: read(octets.decode("utf-8", "replace"))


def _letter_and_kind(octets: bytes) -> object:
    letter = read_letter(octets, IntakeLimits())
    own_words(readable_text(letter))
    return classify(letter, "") or classify(letter, "a@b.test")


def _form(text: str) -> object:
    found = find_form(text)
    if found is None:
        return None
    return validate_form(_FORM, read_form(_FORM, found, FILLED).values, TODAY)


def _signed_data(octets: bytes) -> object:
    return check_signers(read_signed_data(octets), certificates.ENTITY)


def _report() -> bytes:
    recipient = RecipientReport(
        Action.FAILED, "5.1.1", "a@b.test", "a@b.test", "550 5.1.1 Inconnu", "mx.b.test"
    )
    facts = ReportFacts(
        sender=Mailbox("postmaster@a.test", "Courrier"),
        addressee="c@d.test",
        subject="Message non remis",
        message_id="<r@a.test>",
        now=certificates.NOW,
        reporting_mta="mx.a.test",
        arrived_at=certificates.NOW,
        recipients=(recipient, replace(recipient, final_recipient="é@b.test")),
    )
    return build_report(
        facts, "Votre message n'a pas été remis.", b"Message-ID: <1@a.test>\r\nSubject: x\r\n"
    )


def _mails(signed: bytes, html: str) -> tuple[bytes, ...]:
    plain = b"".join(f"{name}: {value}\r\n".encode() for name, value in certificates.headers())
    away = b"Auto-Submitted: auto-replied (vacation)\r\nPrecedence: bulk\r\nList-Id: <l.d.test>\r\n"
    page = plain + b"Content-Type: text/html; charset=utf-8\r\n\r\n" + html.encode().replace(b"\n", b"\r\n")
    nested = b"Content-Type: message/rfc822\r\n\r\n" + page
    return plain + certificates.ENTITY, signed, away + page, away + nested, _report()


def _dkim(octets: bytes) -> object:
    signatures_in(octets)
    report = verify_dkim(octets, keys_of(record_text()), NOW)
    return [(one.covers_all("X-TLE-"), one.oversigns("From")) for one in report.signatures]


def _dkim_mails(plain: bytes) -> tuple[bytes, ...]:
    """Signed mails: ours, one that names other canonical forms, one with a tag of each kind."""
    field = sign_dkim(plain, dkim_signer(), NOW)
    tags = b"v=1; i=@sub.demo.mssante.example; q=dns/txt; x=9999999999; z=From:a|To:b;"
    simple = field.replace(b"relaxed/simple", b"simple/relaxed")
    return field + plain, simple + field + plain, field.replace(b"v=1;", tags) + plain


def _encrypted() -> list[Target]:
    """Envelopes for a key of each kind, as structures and as mails, with both ciphers."""
    keys = [envelopes.decryptor(kind) for kind in envelopes.KINDS]
    ours = [(envelopes.target(kind, gcm=gcm),) for kind in envelopes.KINDS for gcm in (False, True)]
    content, chance = certificates.ENTITY, envelopes.entropy
    structures = tuple(seal_envelope(content, target, chance)[0] for target in ours)
    chunked = envelopes.rewritten_in_chunks(structures[0])
    mails = tuple(encrypt_message(certificates.headers(), content, target, chance) for target in ours)
    announced = sign_message(certificates.headers(), content, certificates.signer(), certificates.NOW)
    signers = verify_message(announced, certificates.trust(), certificates.NOW).signers
    failed = (DecryptionFailed,)
    return [
        Target("open_envelope", (*structures, chunked), lambda octets: open_envelope(octets, keys), failed),
        Target("decrypt_message", mails, lambda octets: decrypt_message(octets, keys), failed),
        Target("read_capabilities", (signers[0].capabilities,), read_capabilities),
    ]


def _trust_list() -> bytes:
    name = DistinguishedName.from_text(
        "CN=mx.a.example,OU=318310021300028,O=GIP A,ST=Haute-Garonne (31),C=FR"
    )
    entries = [TrustEntry(f"{host}.mssante.example", name, "Centre & co") for host in ("a", "hôpital")]
    return render_trust_list(entries, certificates.NOW)


def _single_rules() -> tuple[str, ...]:
    """Each default rule alone: an edit of the whole file mostly ends at its TOML."""
    return tuple(f"[rules.{rule}" for rule in DEFAULT_RULES.split("[rules.")[1:])


def _text_targets(texts: Mapping[str, tuple[str, str]]) -> list[Target]:
    copy = FormCopy(form=_FORM, form_id=FORM_ID, values=FILLED)
    filled, page = render_text(copy), render_html(copy)
    subjects = [text for _, text in texts.values()]
    commands = ("Annuaire dermatologie 43", "Re: [TLE-2026-000123 - en cours] Finaliser TLE-2026-000123")
    bodies = (filled, quoted(filled), page, *subjects)

    def encoded(strings: tuple[str, ...]) -> tuple[bytes, ...]:
        return tuple(text.encode() for text in strings)

    token = seal(_KEY, "form", UUID(int=1))
    unsealed = _as_text(partial(unseal, _KEY, "form"))
    rules = _as_text(lambda text: load_rules([text]))
    return [
        Target("find_form, read_form, validate", encoded((filled, quoted(filled))), _as_text(_form)),
        Target("read_command", encoded(commands), _as_text(read_command)),
        Target("html_lines", encoded((page, *(html for html, _ in texts.values()))), _as_text(html_lines)),
        Target("own_words", encoded(bodies), _as_text(own_words)),
        Target("unseal", encoded((token,)), unsealed),
        Target("load_rules", encoded((DEFAULT_RULES, *_single_rules())), rules, (RuleError,)),
    ]


def _login_targets() -> list[Target]:
    """What clients and an identity provider say at a login."""
    issuer = ProSante()
    policy, now = TokenPolicy(ISSUER, frozenset({CLIENT})), certificates.NOW
    keys, token = read_keys(issuer.key_set()), issuer.token("10100000017")

    def judged(text: str) -> object:
        return judge_token(text, keys, policy, now)

    messages = (
        f"user=a@b.test\x01auth=Bearer {token}\x01\x01",
        f"n,a=a@b.test,\x01auth=Bearer {token}\x01\x01",
    )
    xoauth2, oauthbearer = (message.encode() for message in messages)
    own = read_certificates(certificates.certificate().certificate_pem)[0]
    return [
        Target("judge_token", (token.encode(),), _as_text(judged)),
        Target("read_keys", (issuer.key_set(),), read_keys, (KeySetFault,)),
        Target("read_xoauth2", (xoauth2,), _as_text(read_xoauth2), (BadSyntax,)),
        Target("read_oauthbearer", (oauthbearer,), _as_text(read_oauthbearer), (BadSyntax,)),
        Target("certificate_names", (own,), certificate_names),
    ]


def _signed_list(trust: TrustAnchors, now: datetime) -> Callable[[bytes], object]:
    return lambda octets: signed_list(octets, ListSigner(trust), now)


def _verified_crl(octets: bytes) -> object:
    authorities = read_certificates(certificates.space().root.certificate_pem)
    return verified_crl(octets, authorities, certificates.NOW, timedelta(days=3))


def targets() -> list[Target]:
    """All parsers that read what others write."""
    texts = Texts(samples.SERVICE, UTC)
    written = {name: texts.render(mail) for name, mail in samples.all_mails().items()}
    pages = {name: (body.html, body.text) for name, body in written.items()}
    trust = certificates.trust()
    signer = certificates.signer()
    signed = sign_message(certificates.headers(), certificates.ENTITY, signer, certificates.NOW)
    structure = sign_detached(certificates.ENTITY, [signer], certificates.NOW)
    issued = certificates.certificate()
    own, chain = read_certificates(issued.certificate_pem)[0], read_certificates(issued.chain_pem)
    mails = _mails(signed, pages["ouverture"][0])
    signed_trust = certificates.signed_trust_list(_trust_list())
    crls = (issue_crl(certificates.space().root, certificates.NOW),)
    now = certificates.NOW

    def validated(octets: bytes) -> object:
        return validate(octets, [octets, *chain], trust, Usage.EMAIL_SIGNATURE, now)

    return [
        Target("read_letter, classify", mails, _letter_and_kind, (IntakeFault,)),
        Target("wire_fault", mails, wire_fault),
        Target("verify_message", (signed,), lambda octets: verify_message(octets, trust, now)),
        Target("read_signed_data, check_signers", (structure,), _signed_data, (CmsFault,)),
        Target(
            "validate (certificates)", (own, chain[0], issue_crl(certificates.space().root, now)), validated
        ),
        Target("verify_dkim", _dkim_mails(mails[0]), _dkim),
        Target(
            "parse_key_record",
            tuple((record_text(kind) + "; t=y:s; h=sha256; s=email; n=x").encode() for kind in KeyKind),
            parse_key_record,
            (KeyRecordFault,),
        ),
        *_encrypted(),
        Target("read_trust_list", (_trust_list(),), read_trust_list, (TrustListFault,)),
        Target("signed_list", (signed_trust,), _signed_list(trust, now), (TrustListFault,)),
        Target("verified_crl", crls, _verified_crl, (CrlFault,)),
        Target("read_report", (_report(), signed), read_report),
        Target("read_document, read_request", (documents.report(4), documents.request(2)), _document),
        *_login_targets(),
        *_text_targets(pages),
    ]
