"""What the sender of a mail wants to hear of each recipient (``RFC 3461``), as the outbox keeps it."""

from __future__ import annotations

from gateway.smtp.envelope import Envelope, RecipientOptions

__all__ = ["wishes_of"]


def wishes_of(envelope: Envelope, recipient: str) -> dict[str, object]:
    """The wishes for one recipient; empty without DSN parameters."""
    named = zip(envelope.recipients, envelope.options, strict=False)
    options = next(
        (option for name, option in named if name.lower() == recipient.lower()), RecipientOptions()
    )
    wishes: dict[str, object] = {
        "notify": sorted(options.notify),
        "original": options.original,
        "ret": envelope.dsn.ret,
        "envid": envelope.dsn.envid,
    }
    return {name: value for name, value in wishes.items() if value}
