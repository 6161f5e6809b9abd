"""The header fields and keywords by which gateway and mailbox server understand each other.

Only the gateway writes these fields; it strips them from whatever comes in, so the mailbox server may believe
them.
"""

from typing import Final

DELIVERY_HEADER: Final = "X-TLE-Delivery"
"""Key of one delivery to one mailbox; a second message with the same key is not stored (RFC 7352)."""

CONVERSATION_HEADER: Final = "X-TLE-Id"
"""Identifier of the conversation that a message belongs to."""

STATE_HEADER: Final = "X-TLE-State"
"""State of the conversation when the message was delivered, one of `STATES`."""

PLACE_HEADER: Final = "X-TLE-Place"
"""``INBOX`` keeps a message of a conversation in the INBOX."""

COPY_HEADER: Final = "X-TLE-Copy"
"""``seen`` marks the author's own copy: it is stored as read."""

CONVERSATIONS_FOLDER: Final = "Téléexpertises"
"""Folder of every account into which conversations are filed."""

STATES: Final = ("requested", "in_progress", "on_hold", "completed", "declined", "cancelled", "redirected")
"""States of a conversation that are shown as an IMAP keyword."""


def state_keyword(state: str) -> str:
    """Return the IMAP keyword that shows ``state`` (RFC 3501 §2.3.2); ValueError when it is no member of
    `STATES`.
    """
    if state not in STATES:
        raise ValueError(f"no state of a conversation: {state!r}")
    return f"tle_{state}"
