"""The Sieve script that runs before those of the users: once-only delivery and placing of conversations;
pure.
"""

from mailboxes.vocabulary import (
    CONVERSATION_HEADER,
    CONVERSATIONS_FOLDER,
    COPY_HEADER,
    DELIVERY_HEADER,
    PLACE_HEADER,
    STATE_HEADER,
    STATES,
)

_SECONDS_PER_DAY = 86_400


def render_before_script(duplicate_days: int) -> str:
    """Return the global script (RFC 5228) as text.

    A message whose delivery key was seen within ``duplicate_days`` is dropped (RFC 7352), so that a delivery
    that is repeated after a crash stores nothing. A message of a conversation is filed with the keyword of
    its state (RFC 5232) and no script of the user sees it; other mail goes on to the user's own script.
    """
    states = ", ".join(f'"{state}"' for state in STATES)
    return f"""require ["duplicate", "fileinto", "imap4flags", "mailbox", "variables"];

if duplicate :header "{DELIVERY_HEADER}" :seconds {duplicate_days * _SECONDS_PER_DAY} {{
    discard;
    stop;
}}

if exists "{CONVERSATION_HEADER}" {{
    if allof (header :is "{STATE_HEADER}" [{states}],
              header :matches "{STATE_HEADER}" "*") {{
        set :lower "state" "${{1}}";
        addflag "tle_${{state}}";
    }}
    if header :is "{COPY_HEADER}" "seen" {{
        addflag "\\\\Seen";
    }}
    if header :is "{PLACE_HEADER}" "INBOX" {{
        fileinto "INBOX";
    }} else {{
        fileinto :create "{CONVERSATIONS_FOLDER}";
    }}
    stop;
}}
"""
