"""Ending the open mail sessions of an account in the mailbox server of a gateway that another process
runs.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from mailboxes.dovecot.account import service_account
from mailboxes.dovecot.processes import instance_processes
from mailboxes.dovecot.run import kick
from mailboxes.dovecot.settings import DovecotSettings, RunFiles

__all__ = ["end_sessions"]

#: Dovecot looks at its list of logins once in each second: a later login sees what was written before.
_REREAD_SECONDS = 1.1


def _running(settings: DovecotSettings) -> RunFiles | None:
    """The files of the run that serves these mails, found by the command line of Dovecot's master."""
    account = service_account(settings)
    for pid in instance_processes(settings.instance, account.uid):
        try:
            arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except (FileNotFoundError, ProcessLookupError):
            continue
        for argument in arguments:
            files = RunFiles(Path(argument.decode("utf-8", "surrogateescape")).parent)
            if argument.endswith(b"/dovecot.conf") and files.configuration.exists():
                return files
    return None


async def end_sessions(settings: DovecotSettings, *addresses: str) -> bool:
    """End the sessions of mailboxes that just lost their login or a right; ``False`` where no mailbox server
    runs.

    Waits until the server is certain to know, so that nobody comes back in between. Raises ``MailboxError``.
    """
    files = _running(settings)
    if files is None:
        return False
    await asyncio.sleep(_REREAD_SECONDS)
    for address in addresses:
        await asyncio.to_thread(kick, files, service_account(settings), address)
    return True
