"""What several mails show alike: links, and the service that writes them."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Link", "ServiceView"]

_LINK_SCHEMES = ("mailto:", "https://")


@dataclass(frozen=True, slots=True)
class Link:
    """A command that the reader may click: ``label`` as shown, and beside it the address and subject to type.

    Raises ``ValueError`` for an ``href`` that is neither ``mailto:`` nor ``https://``.
    """

    label: str
    href: str
    address: str
    subject: str

    def __post_init__(self) -> None:
        if not self.href.lower().startswith(_LINK_SCHEMES):
            raise ValueError("a link of a mail is mailto: or https:")


@dataclass(frozen=True, slots=True)
class ServiceView:
    """The service that writes: name of the organisation and the service address that takes commands."""

    name: str
    address: str
