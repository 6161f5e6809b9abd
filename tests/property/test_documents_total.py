"""Whatever comes instead of a document: a reading with problems named, never an exception."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from teleexpertise.documents.checks import Fault, check_document
from teleexpertise.documents.reading import read_document, read_request
from teleexpertise.documents.sentences import reasons
from tests.support.documents import report, request

SEEDS = (report(0), report(4), request(0), request(2))


@st.composite
def altered(draw: st.DrawFn) -> bytes:
    """A document with pieces cut out, doubled or overwritten."""
    octets = draw(st.sampled_from(SEEDS))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(octets)))
        end = start + draw(st.integers(0, 200))
        piece = draw(st.one_of(st.just(b""), st.just(octets[start:end] * 2), st.binary(max_size=12)))
        octets = octets[:start] + piece + octets[end:]
    return octets


def known(octets: bytes) -> None:
    faults = check_document(octets)
    assert all(isinstance(fault, Fault) and fault.reason in reasons() for fault in faults)
    document, asked = read_document(octets), read_request(octets)
    assert {*document.problems, *document.warnings, *asked.problems, *asked.warnings} <= reasons()
    assert (asked.values is None) == bool(asked.problems)


@given(octets=altered())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_altered_documents_are_read_or_refused(octets: bytes) -> None:
    known(octets)


@given(octets=st.binary(max_size=400))
@settings(max_examples=100, deadline=None)
def test_any_octets_are_read_or_refused(octets: bytes) -> None:
    known(octets)


@given(
    name=st.sampled_from(["id", "code", "time", "value", "given", "family", "county", "text"]),
    n=st.integers(0, 9),
)
@settings(max_examples=100, deadline=None)
def test_elements_that_are_gone_are_faults_and_no_exception(name: str, n: int) -> None:
    """Every element of a name emptied of attributes and text in turn."""
    parts = SEEDS[n % len(SEEDS)].split(f"<{name}".encode())
    if n + 1 < len(parts):
        head, gap, tail = parts[n + 1].partition(b">")
        parts[n + 1] = (b"/" if head.endswith(b"/") else b"") + gap + tail
    known(f"<{name}".encode().join(parts))
