"""Dovecot's configuration file, rendered from settings; pure.

One shape serves root and non-root callers: every process runs as the one unprivileged account that starts
Dovecot ("rootless" installation), hence the empty chroots and the many socket modes of 0600.
"""

from typing import Final

from mailboxes.dovecot.account import ServiceAccount
from mailboxes.dovecot.settings import COMMON_PREFIX, OWN_PREFIX, DovecotSettings, LoginQuestions, RunFiles
from mailboxes.vocabulary import CONVERSATION_HEADER, CONVERSATIONS_FOLDER, DELIVERY_HEADER

INNER_LOOPBACK: Final = "127.0.0.2"
"""Where Dovecot itself listens for STARTTLS when bound to loopback, see `listening_address`."""

# What users may write in their own scripts: nothing that sends mail (redirect is closed by
# sieve_max_redirects), and not `duplicate`, whose memory the delivery keys share.
_USER_SIEVE: Final = (
    "fileinto envelope encoded-character subaddress comparator-i;ascii-numeric relational regex imap4flags "
    "copy include body variables mailbox date index ihave mime foreverypart extracttext"
)

# the gateway itself waits for its issuer's keys no longer than a few seconds
_TOKEN_MILLISECONDS: Final = 15_000
_POLICY_MILLISECONDS: Final = 2_000

_SPECIAL_FOLDERS: Final = ("Sent", "Drafts", "Trash", "Junk", "Archive")


def listening_address(settings: DovecotSettings) -> str:
    """Return the address on which Dovecot listens for the protocols with STARTTLS.

    Dovecot holds a connection between two equal addresses to be secure and offers AUTH on it without TLS; no
    setting changes that (login-common, ``localhost connections are always secured``). Listening on another
    loopback address makes the two differ, and `mailboxes.dovecot.doorway` brings the clients of the
    configured address there.
    """
    return INNER_LOOPBACK if settings.on_loopback else settings.bind


def render_configuration(settings: DovecotSettings, files: RunFiles, account: ServiceAccount) -> str:
    """Return the whole ``dovecot.conf`` for an instance that runs as ``account``."""
    parts = (
        _general(settings, files, account),
        _tls(files),
        _authentication(settings, files, account),
        _storage(settings),
        _folders(),
        _sharing(settings),
        _listeners(settings),
        _services(settings),
        _protocols(),
        _sieve(settings, files),
    )
    return "\n".join(part.strip("\n") + "\n" for part in parts)


def _general(settings: DovecotSettings, files: RunFiles, account: ServiceAccount) -> str:
    protocols = "imap lmtp sieve" if settings.managesieve_port else "imap lmtp"
    return f"""
# Written at each start; changes are lost.
base_dir = {files.base}
state_dir = {files.base}
instance_name = {settings.instance}
protocols = {protocols}
listen = {settings.bind}
log_path = {settings.log}
hostname = {settings.hostname}
postmaster_address = postmaster@{settings.hostname}
default_internal_user = {account.user}
default_internal_group = {account.group}
default_login_user = {account.user}
first_valid_uid = {account.uid}
last_valid_uid = {account.uid}
first_valid_gid = {account.gid}
last_valid_gid = {account.gid}
"""


def _tls(files: RunFiles) -> str:
    return f"""
ssl = required
ssl_cert = <{files.certificate}
ssl_key = <{files.key}
ssl_min_protocol = TLSv1.2
disable_plaintext_auth = yes
"""


def _authentication(settings: DovecotSettings, files: RunFiles, account: ServiceAccount) -> str:
    tokens = settings.questions is not None and settings.questions.tokens
    mechanisms = "plain login xoauth2 oauthbearer" if tokens else "plain login"
    return f"""
auth_mechanisms = {mechanisms}
auth_master_user_separator = *
# no cache: a new password or a suspended account holds from the next login on
auth_cache_size = 0
{_policy(settings.questions)}
passdb {{
  driver = passwd-file
  mechanisms = plain login
  master = yes
  args = username_format=%u {files.masters}
}}
passdb {{
  driver = passwd-file
  mechanisms = plain login
  args = username_format=%Lu {settings.logins}
}}
{_tokens(files) if tokens else ""}
userdb {{
  driver = passwd-file
  args = username_format=%Lu {settings.logins}
  override_fields = uid={account.uid} gid={account.gid} home={settings.home}/%Ld/%Ln
}}
"""


def _policy(questions: LoginQuestions | None) -> str:
    """Ask before each login whether there were too many failures, and tell how it ended; a gateway that does
    not answer stops nobody. The password is no part of the question, not even its hash.
    """
    if questions is None:
        return ""
    return f"""
auth_policy_server_url = {questions.url("policy")}
auth_policy_server_timeout_msecs = {_POLICY_MILLISECONDS}
auth_policy_hash_nonce = {questions.secret}
auth_policy_request_attributes = login=%{{orig_user}} remote=%{{rip}} protocol=%s
auth_policy_check_before_auth = yes
auth_policy_check_after_auth = no
auth_policy_report_after_auth = yes
auth_policy_reject_on_fail = no
"""


def _tokens(files: RunFiles) -> str:
    return f"""
passdb {{
  driver = oauth2
  mechanisms = xoauth2 oauthbearer
  args = {files.tokens}
}}
"""


def render_tokens(questions: LoginQuestions) -> str:
    """Return the settings of the passdb for access tokens: the gateway says whose a token is, and Dovecot
    lets its holder into the mailbox of that very name only.
    """
    return f"""
# Written at each start; changes are lost.
introspection_mode = post
introspection_url = {questions.url("introspect")}
force_introspection = yes
username_attribute = username
username_format = %Lu
active_attribute = active
active_value = true
timeout_msecs = {_TOKEN_MILLISECONDS}
"""


def _storage(settings: DovecotSettings) -> str:
    return f"""
# Maildir: one plain file per message, readable without Dovecot and whole after the loss of every index.
# LAYOUT=fs, so that a folder's name may hold a dot.
mail_location = maildir:~/Maildir:LAYOUT=fs:UTF-8
mail_home = {settings.home}/%Ld/%Ln
# no index of folders: a login and a delivery that are the first two to open a mailbox lock it and that index
# in opposite order, and one of them dies (2.3.19: "Resource deadlock avoided")
mailbox_list_index = no
# CRLF as received, so that a file has the bytes that were signed
mail_save_crlf = yes
mail_plugins = acl
mail_max_userip_connections = {settings.connections_per_user}
# the fields by which the gateway searches
mail_always_cache_fields = flags hdr.{DELIVERY_HEADER.lower()} hdr.{CONVERSATION_HEADER.lower()}
"""


def _folders() -> str:
    special = "\n".join(
        f"  mailbox {name} {{\n    auto = subscribe\n    special_use = \\{name}\n  }}"
        for name in _SPECIAL_FOLDERS
    )
    return f"""
namespace inbox {{
  type = private
  inbox = yes
  separator = /
  mailbox {CONVERSATIONS_FOLDER} {{
    auto = subscribe
  }}
{special}
}}
"""


def _sharing(settings: DovecotSettings) -> str:
    return f"""
# folders of others, as far as their rights allow, \\Seen being each reader's own (INDEXPVT) ...
namespace shared {{
  type = shared
  separator = /
  prefix = "{OWN_PREFIX}%%u/"
  location = maildir:%%h/Maildir:LAYOUT=fs:UTF-8:INDEXPVT=~/shared/%%u
  subscriptions = no
  list = children
}}
# ... or that of the account: the rights of a reader name its folders under one of the two prefixes
namespace common {{
  type = shared
  separator = /
  prefix = "{COMMON_PREFIX}%%u/"
  location = maildir:%%h/Maildir:LAYOUT=fs:UTF-8
  subscriptions = no
  list = children
}}
plugin {{
  # one file of rights per reader, looked at again each second; files in mailboxes count for nothing
  acl = vfile:{settings.acl}/%u:cache_secs=1
  acl_globals_only = yes
  # the gateway's master login acts with the rights of the account that it opens
  acl_user = %u
  acl_shared_dict = file:{settings.shared_mailboxes}
}}
"""


def _listeners(settings: DovecotSettings) -> str:
    address = listening_address(settings)
    sieve = ""
    if settings.managesieve_port:
        sieve = f"""
service managesieve-login {{
  chroot =
  inet_listener sieve {{
    address = {address}
    port = {settings.managesieve_port}
  }}
}}"""
    return f"""
service imap-login {{
  chroot =
  # one process serves many connections, so that a login costs no fork
  service_count = 0
  client_limit = {settings.connections}
  process_min_avail = 1
  inet_listener imap {{
    address = {address}
    port = {settings.starttls_port}
  }}
  inet_listener imaps {{
    address = {settings.bind}
    port = {settings.tls_port}
    ssl = yes
  }}
}}{sieve}
service lmtp {{
  unix_listener lmtp {{
    mode = 0600
  }}
}}
"""


def _services(settings: DovecotSettings) -> str:
    # On loopback all clients have one address: the delay by address after a failed login would punish all of
    # them, the gateway's own filing included. The delay of each failed login itself stays.
    penalty = "  unix_listener anvil-auth-penalty {\n    mode = 0\n  }\n" if settings.on_loopback else ""
    return f"""
service anvil {{
  chroot =
  client_limit = {2 * settings.connections + 512}
{penalty}}}
service stats {{
  chroot =
  client_limit = {2 * settings.connections + 512}
}}
service imap {{
  process_limit = {settings.connections}
}}
service auth {{
  client_limit = {2 * settings.connections + 512}
  # argon2id takes the memory that its parameters say, at each login
  vsz_limit = 1G
}}
"""


def _protocols() -> str:
    return """
protocol imap {
  mail_plugins = $mail_plugins imap_acl
}
recipient_delimiter = +
lmtp_save_to_detail_mailbox = no
protocol lmtp {
  mail_plugins = $mail_plugins sieve
}
"""


def _sieve(settings: DovecotSettings, files: RunFiles) -> str:
    return f"""
plugin {{
  sieve = file:~/sieve;active=~/.dovecot.sieve
  sieve_before = {files.before_script}
  sieve_extensions = {_USER_SIEVE}
  sieve_global_extensions = +duplicate
  sieve_max_redirects = 0
  sieve_duplicate_default_period = {settings.duplicate_days}d
  sieve_duplicate_max_period = {settings.duplicate_days}d
}}
# nothing leaves from here: mail goes out through the gateway's own submission only
sendmail_path = /bin/false
"""
