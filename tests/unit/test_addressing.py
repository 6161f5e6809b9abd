"""Addresses of the service: what an envelope recipient means."""

from uuid import UUID

import pytest

from teleexpertise.addressing import AddressBook, Addressed
from teleexpertise.tokens import TOKEN_LENGTH, seal, unseal
from tests.support.cases import CONVERSATION

OTHER = UUID("0c0fb7a1-2c5e-4d28-8d3a-111111111111")
BOOK = AddressBook("teleexpertise", "demo.mssante.example", b"k" * 32)
FOREIGN = AddressBook("teleexpertise", "demo.mssante.example", b"f" * 32)


def test_a_reply_address_fits_and_survives_any_letter_case() -> None:
    address = BOOK.reply(CONVERSATION)
    assert address == address.lower()
    assert len(address.partition("@")[0].encode()) <= 64
    for spelled in (address, address.upper(), address.title(), address.swapcase()):
        assert BOOK.conversation(spelled) == CONVERSATION
        assert BOOK.valid(spelled)


def test_a_bounce_address_is_no_reply_address() -> None:
    address = BOOK.bounce(OTHER)
    assert BOOK.bounced(address.upper()) == OTHER
    assert BOOK.conversation(address) is None
    token = address.partition("+")[2]
    assert BOOK.conversation(f"teleexpertise+{token}") is None


@pytest.mark.parametrize(
    "address",
    [
        FOREIGN.reply(CONVERSATION),
        FOREIGN.bounce(CONVERSATION),
        "teleexpertise+@demo.mssante.example",
        "teleexpertise+abc@demo.mssante.example",
        f"teleexpertise+{'a' * TOKEN_LENGTH}@demo.mssante.example",
        f"teleexpertise+{'=' * TOKEN_LENGTH}@demo.mssante.example",
        f"teleexpertise+{'é' * TOKEN_LENGTH}@demo.mssante.example",
        f"teleexpertise+{'1' * TOKEN_LENGTH}@demo.mssante.example",
        BOOK.reply(CONVERSATION).replace("@", "a@"),
        BOOK.reply(CONVERSATION).replace("+", "++"),
        "retour@demo.mssante.example",
    ],
)
def test_forged_and_foreign_tokens_are_broken_addresses_of_ours(address: str) -> None:
    assert BOOK.is_ours(address)
    assert not BOOK.valid(address)
    assert BOOK.sort([address]) == Addressed(
        service=False, conversations=frozenset(), bounces=frozenset(), others=()
    )


@pytest.mark.parametrize(
    "address",
    ["", "@", "teleexpertise", "teleexpertise@autre.example", "teleexpertises@demo.mssante.example", "a@b@c"],
)
def test_other_addresses_are_not_ours(address: str) -> None:
    assert not BOOK.is_ours(address)
    assert not BOOK.valid(address)


def test_one_octet_changed_breaks_a_token() -> None:
    token = seal(b"key", "reply", CONVERSATION)
    assert unseal(b"key", "reply", token) == CONVERSATION
    # The last character holds two bits that count for nothing; every other one is bound.
    for place in range(TOKEN_LENGTH - 1):
        changed = "b" if token[place] == "a" else "a"
        assert unseal(b"key", "reply", token[:place] + changed + token[place + 1 :]) is None


def test_several_addresses_of_one_conversation_count_once() -> None:
    address = BOOK.reply(CONVERSATION)
    found = BOOK.sort([address, address.upper(), "Lea.Martin@demo.mssante.example"])
    assert found.conversations == {CONVERSATION}
    assert found.others == ("lea.martin@demo.mssante.example",)


def test_local_parts_of_others_are_left_as_they_were_sent() -> None:
    sent = ["Anne.Brun@autre.example", "anne.brun@autre.example", "X@tiers.example"]
    assert BOOK.sort(sent).others == ("Anne.Brun@autre.example", "X@tiers.example")


def test_addresses_of_two_conversations_are_both_seen() -> None:
    assert BOOK.sort([BOOK.reply(CONVERSATION), BOOK.reply(OTHER)]).conversations == {CONVERSATION, OTHER}


def test_mail_between_people_is_not_placed() -> None:
    found = BOOK.sort(["lea.martin@demo.mssante.example", BOOK.bounce(OTHER)])
    assert (found.service, found.conversations) == (False, frozenset())
    assert BOOK.sort(["TeleExpertise@Demo.MSSante.example"]).service
