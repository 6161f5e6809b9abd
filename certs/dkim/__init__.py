"""DKIM signatures (RFC 6376, 8301, 8463): read, verified and made, on raw octets and without the network.

`signatures_in` says which keys a mail wants, the caller finds them (`parse_key_record`), `verify_dkim` judges
and `sign_dkim` writes the field to put before a mail. `new_dkim_key` alone takes chance from the machine.
"""

from certs.dkim.keys import KeyKind, KeyRecord, KeyRecordFault, Unavailable, parse_key_record
from certs.dkim.making import new_dkim_key
from certs.dkim.reports import DkimReason, DkimReport, DkimSignature, KeyName
from certs.dkim.signing import (
    DkimFault,
    DkimSigner,
    load_dkim_signer,
    render_key_record,
    sign_dkim,
)
from certs.dkim.verifying import signatures_in, verify_dkim

__all__ = [
    "DkimFault",
    "DkimReason",
    "DkimReport",
    "DkimSignature",
    "DkimSigner",
    "KeyKind",
    "KeyName",
    "KeyRecord",
    "KeyRecordFault",
    "Unavailable",
    "load_dkim_signer",
    "new_dkim_key",
    "parse_key_record",
    "render_key_record",
    "sign_dkim",
    "signatures_in",
    "verify_dkim",
]
