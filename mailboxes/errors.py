"""The errors of the mailbox server, each knowing whether a later attempt can succeed."""


class MailboxError(Exception):
    """Base of all errors of this package."""


class DovecotMissing(MailboxError):
    """Dovecot, or a part of it that is needed, is not installed.

    ``packages`` are the names of the Debian packages to install, sorted.
    """

    def __init__(self, packages: tuple[str, ...]) -> None:
        self.packages = packages
        super().__init__(f"Dovecot is not complete on this machine: apt-get install {' '.join(packages)}")


class DovecotFailed(MailboxError):
    """The private Dovecot cannot be started or kept; the text holds its own last words."""


class DeliveryFailed(MailboxError):
    """A message was not taken by the mailbox server (RFC 2033).

    ``permanent`` is true for a 5yz answer; ``code`` is the three-digit answer (451 when there was none, as
    after a lost connection) and ``text`` what the server said, on one line.
    """

    def __init__(self, *, permanent: bool, code: int, text: str) -> None:
        self.permanent = permanent
        self.code = code
        self.text = text
        super().__init__(f"{code} {text}")


class FilingFailed(MailboxError):
    """A folder or a message could not be put in order over IMAP.

    ``permanent`` is true when the server refused the command (RFC 3501 §7.1.2, ``NO`` or ``BAD``) and false
    when it could not be reached or did not answer in time.
    """

    def __init__(self, *, permanent: bool, text: str) -> None:
        self.permanent = permanent
        self.text = text
        super().__init__(text)
