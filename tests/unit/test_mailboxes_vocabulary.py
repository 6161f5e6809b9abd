"""What the mailbox server's room and the domain's each say for themselves is the same."""

from mailboxes.vocabulary import CONVERSATIONS_FOLDER, STATES
from teleexpertise.states import State
from teleexpertise.texts import load_words


def test_the_folder_that_mails_name_is_the_one_that_mails_are_filed_into() -> None:
    assert load_words().of("folders", "conversations") == CONVERSATIONS_FOLDER


def test_every_state_of_a_conversation_has_a_keyword() -> None:
    assert set(STATES) == set(State) - {State.NEW}
