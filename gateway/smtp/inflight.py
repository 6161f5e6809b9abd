"""A bound on the memory of mail that is being received: what comes beyond it is told to come again."""

from __future__ import annotations

from collections import Counter

from gateway.smtp.refusals import TooMuchAtOnce

__all__ = ["InFlight", "Lease"]

_END_MARK = len(b"\r\n.\r\n")
_SHARES = 4
"""One sender may hold this part of all: so many can keep everybody else waiting, and no fewer."""


class InFlight:
    """How many octets of mails are held between their DATA and its answer: at most ``total``, and of one
    sender a share of it, though never less than a mail of ``longest`` octets takes.
    """

    def __init__(self, total: int, longest: int) -> None:
        one = longest + _END_MARK
        self._total = max(total, one)
        self._share = max(total // _SHARES, one)
        self._held: Counter[str] = Counter()

    def lease(self, sender: str, announced: int = 0) -> Lease:
        """Begin to hold a mail of a sender (an account, or the address of another operator). Raises
        ``TooMuchAtOnce`` where what it announced of its size, 0 for nothing, finds no room now.
        """
        if not self._has_room(sender, max(announced, 1)):
            raise TooMuchAtOnce
        return Lease(self, sender)

    def _has_room(self, sender: str, octets: int) -> bool:
        held = self._held
        return octets <= min(self._total - held.total(), self._share - held[sender])

    def take(self, sender: str, octets: int) -> bool:
        """Count octets that came, if there is room for them."""
        if not self._has_room(sender, octets):
            return False
        self._held[sender] += octets
        return True

    def give_back(self, sender: str, octets: int) -> None:
        """Count them no more."""
        self._held[sender] -= octets
        if not self._held[sender]:
            del self._held[sender]


class Lease:
    """The octets of one mail that are held; whoever has it gives it back."""

    def __init__(self, within: InFlight, sender: str) -> None:
        self._within = within
        self._sender = sender
        self._octets = 0

    def grow(self, octets: int) -> bool:
        """Hold so many more; ``False``, and nothing changes, where there is no room."""
        if not self._within.take(self._sender, octets):
            return False
        self._octets += octets
        return True

    def end(self) -> None:
        """Hold nothing any more; harmless when repeated."""
        if self._octets:
            self._within.give_back(self._sender, self._octets)
            self._octets = 0
