"""Edits of octets, for tests of parsers that must answer anything."""

from hypothesis import strategies as st

Edits = list[tuple[float, int, bytes]]
EDITS = st.lists(
    st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 3), st.binary(max_size=6)),
    min_size=1,
    max_size=4,
)


def mutated(octets: bytes, edits: Edits) -> bytes:
    """Cut, overwrite or insert at relative places."""
    for place, cut, put in edits:
        at = int(place * len(octets))
        octets = octets[:at] + put + octets[at + cut :]
    return octets
