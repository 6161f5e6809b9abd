"""What must be known to run a private Dovecot, and where its files lie."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

# Dovecot's configuration gives a meaning to blanks, ':', '%', '$', '#' and quotes inside of values
_SAFE_PATH = re.compile(r"/[\w./+@=,-]*")
_SAFE_HOST = re.compile(r"[A-Za-z0-9:.-]+")

MASTER_USER: Final = "gateway"
"""Master user of the gateway: it logs in as ``address*gateway``."""

OWN_PREFIX: Final = "Autres comptes/"
"""Before the accounts that one reads with ``\\Seen`` marks of one's own."""

COMMON_PREFIX: Final = "Comptes communs/"
"""Before the accounts of which all readers have the same marks."""


@dataclass(frozen=True, slots=True)
class LoginQuestions:
    """Where Dovecot asks about logins: a port of 127.0.0.1, and by which name and secret (letters, digits,
    ``-`` and ``_``) it is known there. ``tokens`` says that it takes access tokens (XOAUTH2, OAUTHBEARER).
    """

    port: int
    user: str
    secret: str
    tokens: bool = False

    def __post_init__(self) -> None:
        """Refuse what would end a value in the configuration file."""
        if not all(re.fullmatch(r"[\w-]+", each, re.ASCII) for each in (self.user, self.secret)):
            raise ValueError("name and secret hold letters, digits, '-' and '_' only")

    def url(self, path: str) -> str:
        """The address of one kind of question."""
        return f"http://{self.user}:{self.secret}@127.0.0.1:{self.port}/{path}"


@dataclass(frozen=True, slots=True)
class DovecotSettings:
    """Settings of one private Dovecot instance; ValueError when one could break the configuration file.

    ``home`` holds the mails (``<home>/<domain>/<user>/Maildir``) and tells instances apart. ``certificate``
    is a PEM chain, leaf first, ``key`` its unencrypted PEM key; both are copied at each start, so that only
    the caller needs to read them. ``hostname`` appears in Received fields. ``user`` is the unprivileged
    account that everything runs as when the caller is root; otherwise everything runs as the caller.
    ``run_parent`` is where the short-lived run directory is made (None: /run as root, else XDG_RUNTIME_DIR or
    /tmp). ``questions`` says where to ask about tokens and about logins that failed too often; without it
    there are passwords only.
    """

    home: Path
    certificate: Path
    key: Path
    hostname: str
    bind: str = "127.0.0.1"
    starttls_port: int = 1430
    tls_port: int = 9930
    managesieve_port: int | None = None
    user: str = "dovecot"
    run_parent: Path | None = None
    connections: int = 1024
    connections_per_user: int = 50
    duplicate_days: int = 45
    questions: LoginQuestions | None = None

    def __post_init__(self) -> None:
        """Refuse what Dovecot would read differently from what was meant."""
        if not _SAFE_PATH.fullmatch(str(self.home)):
            raise ValueError(
                f"the mail directory must be an absolute path without blanks or signs: {self.home}"
            )
        for name in (self.hostname, self.bind):
            if not _SAFE_HOST.fullmatch(name):
                raise ValueError(f"neither a host name nor an address: {name!r}")
        if self.duplicate_days < 1 or self.connections < 1 or self.connections_per_user < 1:
            raise ValueError("days and connections must be positive")

    @property
    def instance(self) -> str:
        """Name of the instance, in the process titles and directory names: the same for the same ``home``
        only.
        """
        return "tle-" + hashlib.sha256(str(self.home).encode()).hexdigest()[:12]

    @property
    def control(self) -> Path:
        """Directory beside the mails for what is kept between starts: logins, log, lock, list of shared
        folders.
        """
        return self.home / ".tle"

    @property
    def logins(self) -> Path:
        """The passwd-file with the mailboxes, see `mailboxes.dovecot.logins`."""
        return self.control / "logins"

    @property
    def acl(self) -> Path:
        """Directory with one file of rights per mailbox, see `mailboxes.dovecot.sharing`."""
        return self.control / "acl"

    @property
    def shared_mailboxes(self) -> Path:
        """Dovecot's dictionary of who shares with whom, see `mailboxes.dovecot.sharing`."""
        return self.control / "shared-mailboxes"

    @property
    def log(self) -> Path:
        """Dovecot's own log."""
        return self.control / "dovecot.log"

    @property
    def on_loopback(self) -> bool:
        """True when only this machine can connect."""
        return self.bind.startswith("127.") or self.bind in {"::1", "localhost"}


@dataclass(frozen=True, slots=True)
class RunFiles:
    """The files of one run, all in ``run``, a directory that only Dovecot's account can read."""

    run: Path

    @property
    def base(self) -> Path:
        """Dovecot's base_dir with its sockets; short, as a socket's path is limited to 107 bytes."""
        return self.run / "b"

    @property
    def configuration(self) -> Path:
        """The rendered configuration."""
        return self.run / "dovecot.conf"

    @property
    def before_script(self) -> Path:
        """The global Sieve script that runs before those of the users."""
        return self.run / "before.sieve"

    @property
    def tokens(self) -> Path:
        """How to ask whose an access token is (passdb ``oauth2``)."""
        return self.run / "tokens.conf"

    @property
    def masters(self) -> Path:
        """The passwd-file of the master user."""
        return self.run / "masters"

    @property
    def certificate(self) -> Path:
        """Copy of the certificate chain."""
        return self.run / "tls.crt"

    @property
    def key(self) -> Path:
        """Copy of the private key."""
        return self.run / "tls.key"

    @property
    def lmtp(self) -> Path:
        """The LMTP socket."""
        return self.base / "lmtp"
