"""Authentication-Results (RFC 8601) with the result of S/MIME (RFC 7281): written, and removed where it is
forged.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from certs.dkim.reports import DkimReason, DkimReport, DkimSignature
from certs.fields import FieldFault
from certs.protection import render_field
from certs.verdicts import Note, Reason, SignatureReport, Verdict

__all__ = [
    "MethodResult",
    "dkim_results",
    "remove_forged",
    "render_results",
    "smime_result",
    "told_note",
]

_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+\-.^_`{|}~]+")
_FIELD_START = re.compile(rb"(?<=\n)(?![ \t])")
_RESULTS_NAME = re.compile(rb"authentication-results[ \t]*:", re.IGNORECASE)
_COMMENT = re.compile(rb"\((?:[^()\\]|\\.)*\)", re.DOTALL)
_AUTHSERV = re.compile(rb"\s*(?:\"((?:[^\"\\]|\\.)*)\"|([^\s;\"()]+))", re.DOTALL)

# RFC 7281 §3.2.2: `policy` is a genuine signature that the receiver's rules do not accept.
_POLICY = frozenset(
    {
        Reason.ALGORITHM_WEAK,
        Reason.ALGORITHM_UNSUPPORTED,
        Reason.KEY_WEAK,
        Reason.COMPRESSED,
        Reason.TOO_MANY_SIGNERS,
        Reason.ATTRIBUTES_MISSING,
        Reason.SENDER_UNBOUND,
        Reason.DATE_DIFFERS,
        Reason.SIGNED_IN_FUTURE,
    }
)
_PERMANENT = frozenset(
    {Reason.MALFORMED, Reason.CERTIFICATE_MISSING, Reason.CONTENT_MISSING, Reason.CONTENT_TWICE}
)

_DKIM_FAIL = frozenset(
    {
        DkimReason.BODY_CHANGED,
        DkimReason.SIGNATURE_WRONG,
        DkimReason.EXPIRED,
        DkimReason.SIGNED_IN_FUTURE,
    }
)
# Signatures that may hold by RFC 6376 and that we take no word from.
_DKIM_POLICY = frozenset(
    {
        DkimReason.BODY_LENGTH,
        DkimReason.FROM_AMBIGUOUS,
        DkimReason.KEY_TESTING,
        DkimReason.KEY_WEAK,
    }
)


@dataclass(frozen=True, slots=True)
class MethodResult:
    """One method's result: for example `smime`, `pass`, a reason and properties (`body.smime-identifier`,
    value).
    """

    method: str
    result: str
    reason: str = ""
    properties: tuple[tuple[str, str], ...] = ()


def smime_result(report: SignatureReport) -> MethodResult:
    """Express a signature report in the terms of RFC 7281 §3; identities are named only when proven.

    The reason also tells what a reader must know beside the result: notes, and which fields differ by name.
    """
    said = [] if report.reason in (Reason.GENUINE, Reason.UNSIGNED) else [report.reason.value]
    reason = "; ".join(said + [told_note(note, report) for note in report.notes])
    properties: list[tuple[str, str]] = []
    if report.verdict is Verdict.PASSED:
        for signer in report.signers:
            properties += [("body.smime-identifier", address) for address in signer.addresses[:1]]
            properties.append(("body.smime-serial", f"{signer.serial:X}"))
            properties.append(("body.smime-issuer", signer.issuer))
    return MethodResult("smime", _result(report), reason, tuple(properties))


def told_note(note: Note, report: SignatureReport) -> str:
    """A note in one phrase of identifiers: names of header fields, never their values."""
    if note is Note.HEADERS_DIFFER:
        return f"{note.value} ({', '.join(report.differing_headers)[:200]})"
    return note.value


def dkim_results(report: DkimReport) -> tuple[MethodResult, ...]:
    """Express the DKIM signatures in the terms of RFC 8601 §2.7.1, each with its key and the first digits of
    b= (RFC 6008); the identity is named only when proven.
    """
    if report.fault is not None:
        return (MethodResult("dkim", "permerror", report.fault.value),)
    return tuple(map(_dkim_result, report.signatures)) or (MethodResult("dkim", "none"),)


def _dkim_result(signature: DkimSignature) -> MethodResult:
    named = {"header.d": signature.domain, "header.s": signature.selector, "header.b": signature.digits}
    properties = [(name, value) for name, value in named.items() if value]
    if signature.verdict is Verdict.PASSED:
        properties.insert(1, ("header.i", signature.identity))
        return MethodResult("dkim", "pass", properties=tuple(properties))
    result = "temperror" if signature.verdict is Verdict.INDETERMINATE else "permerror"
    if signature.reason in _DKIM_FAIL:
        result = "fail"
    elif signature.reason in _DKIM_POLICY:
        result = "policy"
    return MethodResult("dkim", result, signature.reason.value, tuple(properties))


def _result(report: SignatureReport) -> str:
    if report.verdict is Verdict.PASSED:
        return "pass"
    if report.verdict is Verdict.NONE:
        return "none"
    if report.verdict is Verdict.INDETERMINATE:
        return "temperror"
    if report.reason in _POLICY:
        return "policy"
    return "permerror" if report.reason in _PERMANENT else "fail"


def render_results(authserv_id: str, results: Sequence[MethodResult]) -> bytes:
    """Write the whole field, folded, with its final CRLF; `none` where there is no result (RFC 8601 §2.2).

    Raises SigningFault where a value holds line breaks or is not ASCII after quoting.
    """
    parts = [authserv_id]
    for result in results:
        words = [f"{result.method}={result.result}"]
        if result.reason:
            words.append(f"reason={_value(result.reason)}")
        words += [f"{name}={_value(value)}" for name, value in result.properties]
        parts.append(" ".join(words))
    return render_field("Authentication-Results", "; ".join(parts) if results else f"{authserv_id}; none")


def _value(text: str) -> str:
    """Write a pvalue: bare where the grammar allows it (`@domain` too), else a quoted string of ASCII."""
    plain = "".join(character if " " <= character <= "~" else "?" for character in text)
    local, at, domain = plain.partition("@")
    if (_TOKEN.fullmatch(local) or (at and not local)) and (not at or _TOKEN.fullmatch(domain)):
        return plain
    quoted = plain.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{quoted}"'


def remove_forged(header: bytes, authserv_id: str) -> bytes:
    """Remove from a raw header block every Authentication-Results that bears our id (RFC 8601 §5).

    Fields of other servers stay byte for byte. A field whose id cannot be read is removed too: another reader
    might find ours in it. `header` may end with the empty line or without it.
    """
    starts = [0, *(matched.start() for matched in _FIELD_START.finditer(header))]
    ends = [*starts[1:], len(header)]
    kept = [
        header[start:end]
        for start, end in zip(starts, ends, strict=True)
        if not _is_forged(header[start:end], authserv_id)
    ]
    return b"".join(kept)


def _is_forged(field: bytes, authserv_id: str) -> bool:
    name = _RESULTS_NAME.match(field)
    if name is None:
        return False
    try:
        return _authserv_id(field[name.end() :]) == authserv_id.lower()
    except FieldFault:
        return True


def _authserv_id(value: bytes) -> str:
    """Return the id in lower case, comments and quoting removed. Raises FieldFault."""
    for _ in range(8):  # comments may nest; deeper ones are nobody's honest field
        value, removed = _COMMENT.subn(b" ", value)
        if not removed:
            break
    matched = _AUTHSERV.match(value)
    if matched is None or not value[matched.end() : matched.end() + 1].strip(b"\t\r\n ;") == b"":
        raise FieldFault("authserv-id")
    quoted, bare = matched.groups()
    octets = bare if bare is not None else re.sub(rb"\\(.)", rb"\1", quoted)
    try:
        return octets.decode("ascii").strip().rstrip(".").lower()
    except UnicodeDecodeError as error:
        raise FieldFault("authserv-id") from error
