"""The closure of delegations against a model that knows only one step: follow it until nothing changes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from teleexpertise.delegation import closure, losers

NAMES = st.sampled_from("abcdefg")
NAMED = st.dictionaries(NAMES, st.sets(NAMES, max_size=4), max_size=7)
ENTITIES = st.sets(NAMES)


def model(direct: dict[str, set[str]], entities: set[str]) -> set[tuple[str, str]]:
    """All (principal, delegate) pairs, by adding one step at a time."""
    pairs = {(principal, name) for principal, names in direct.items() for name in names}
    while True:
        more = {
            (principal, far)
            for principal, near in pairs
            for other, far in pairs
            if near == other and near in entities
        } - pairs
        if not more:
            return {(principal, name) for principal, name in pairs if principal != name}
        pairs |= more


@given(NAMED, ENTITIES)
def test_the_closure_is_what_the_model_reaches(direct: dict[str, set[str]], entities: set[str]) -> None:
    rights = closure(direct, entities)
    found = {(principal, name) for principal, names in rights.delegates.items() for name in names}
    assert found == model(direct, entities)
    for actor in "abcdefg":
        assert set(rights.principals(actor)) == {principal for principal, name in found if name == actor}
        assert all(rights.may_act(actor, principal) for principal in rights.principals(actor))


@given(NAMED, ENTITIES, NAMES, NAMES)
def test_a_withdrawal_takes_from_those_alone_whom_the_model_loses(
    direct: dict[str, set[str]], entities: set[str], principal: str, delegate: str
) -> None:
    after = {name: names - ({delegate} if name == principal else set()) for name, names in direct.items()}
    lost = {name for _, name in model(direct, entities) - model(after, entities)}
    assert losers(closure(direct, entities), closure(after, entities)) == lost


def test_a_long_circle_of_entities_ends() -> None:
    names = [f"s{number}" for number in range(300)]
    direct = {name: {names[(number + 1) % 300]} for number, name in enumerate(names)}
    rights = closure(direct, names)
    assert rights.delegates["s0"] == frozenset(names) - {"s0"}


def test_a_person_passes_nothing_on() -> None:
    direct = {"doctor": {"secretary"}, "secretary": {"friend"}}
    assert closure(direct, set()).delegates["doctor"] == {"secretary"}
