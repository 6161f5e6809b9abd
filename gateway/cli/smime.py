"""``gateway smime``: verify, sign, encrypt and decrypt messages by hand, with the gateway's own code."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click

from certs.envelopes import (
    Cipher,
    DecryptionFailed,
    Decryptor,
    DecryptorFault,
    EncryptionFault,
    EncryptionTarget,
    Transport,
    addressed_to,
    cipher_of,
    decrypt_message,
    encrypt_message,
    load_decryptor,
    load_target,
)
from certs.fields import FieldFault, split_message
from certs.signing import Signer, SigningFault, load_signer
from certs.smime import sign_complete, sign_entity, split_complete
from gateway.cli.context import Failure, Invocation, as_json, example, json_option, now
from gateway.cli.smime_files import message_file, read_message, write_message
from gateway.cli.smime_verify import verify
from gateway.errors import DeploymentIncomplete
from gateway.keyfiles import open_signer
from gateway.sealing import load_sealing

__all__ = ["smime"]

_pem = click.Path(exists=True, dir_okay=False, path_type=Path)
_output = click.option(
    "--output",
    "-o",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the result to this file instead of standard output.",
)


def _signing_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that name whose signature is made."""
    for option in (
        click.option("--pss", is_flag=True, help="RSA signs by PSS instead of PKCS#1 v1.5."),
        click.option("--chain", type=_pem, help="PEM file of the authorities to enclose, root left out."),
        click.option("--key", type=_pem, help="PEM file of its private key."),
        click.option("--cert", type=_pem, help="PEM file of the signer's certificate. [default: ours]"),
    ):
        command = option(command)
    return command


@click.group()
def smime() -> None:
    """S/MIME by hand: verify, sign, encrypt and decrypt a message as the gateway does it.

    A message is a file (- for standard input) as it was received or written, header and body; one that is
    stored with LF is read as if it had CRLF. Certificates and keys default to those of the deployment.
    """


smime.add_command(verify)


@smime.command(
    epilog=example(
        "smime sign draft.eml > signed.eml",
        "smime sign - --cert person.pem --key person.key --chain authorities.pem < draft.eml",
    )
)
@message_file
@_signing_options
@_output
@json_option
@click.pass_obj
def sign(
    invocation: Invocation,
    file: Path,
    cert: Path | None,
    key: Path | None,
    chain: Path | None,
    pss: bool,
    output: Path | None,
    json_: bool,
) -> None:
    """Sign a complete message: multipart/signed, with its headers protected (RFC 9788).

    The body must be of 7 bits with lines of at most 998 octets: what a transport would change would break
    the signature.
    """
    _check_json(json_, output)
    signer = _signer(invocation, cert, key, chain, pss)
    try:
        message = sign_complete(read_message(file), signer, now())
    except (SigningFault, FieldFault) as error:
        raise Failure(f"it cannot be signed: {error}") from error
    write_message(message, output)
    if json_:
        as_json({"file": output, "octets": len(message), "scheme": signer.scheme, "digest": signer.digest})


@smime.command(
    epilog=example(
        "smime encrypt draft.eml --to martin.pem > encrypted.eml",
        "smime encrypt draft.eml --to a.pem --to b.pem --gcm --sign -o encrypted.eml",
    )
)
@message_file
@click.option(
    "--to",
    type=_pem,
    multiple=True,
    required=True,
    metavar="FILE",
    help="PEM file of a recipient's certificate; may be given several times.",
)
@click.option("--gcm", is_flag=True, help="All recipients read AES-GCM; without it AES-CBC is written.")
@click.option(
    "--transport",
    type=click.Choice([each.value for each in Transport]),
    default=Transport.BY_CAPABILITY.value,
    show_default=True,
    help="How RSA encrypts the content key; by-capability is OAEP with --gcm, else PKCS#1 v1.5.",
)
@click.option("--sign", "signed", is_flag=True, help="Sign before encrypting, as the options below say.")
@_signing_options
@_output
@json_option
@click.pass_obj
def encrypt(
    invocation: Invocation,
    file: Path,
    to: tuple[Path, ...],
    gcm: bool,
    transport: str,
    signed: bool,
    cert: Path | None,
    key: Path | None,
    chain: Path | None,
    pss: bool,
    output: Path | None,
    json_: bool,
) -> None:
    """Encrypt a complete message for the owners of certificates.

    Its headers are protected inside and its Subject is hidden outside (RFC 9788); a message that is signed
    already is encrypted as it is. The certificates must allow encryption of mail; whether they are to be
    believed is not checked here.
    """
    _check_json(json_, output)
    if not signed and (cert or key or chain or pss):
        raise click.UsageError("--cert, --key, --chain and --pss are for --sign")
    own = (
        partial(sign_entity, signer=_signer(invocation, cert, key, chain, pss), now=now()) if signed else None
    )
    try:
        targets = [_target(path, gcm) for path in to]
        headers, entity = split_complete(read_message(file))
        message = encrypt_message(headers, entity, targets, os.urandom, Transport(transport), own)
    except (EncryptionFault, SigningFault, FieldFault) as error:
        raise Failure(f"it cannot be encrypted: {error}") from error
    write_message(message, output)
    if json_:
        as_json({"file": output, "octets": len(message), "recipients": len(to), **_told(cipher_of(message))})


@smime.command(
    epilog=example(
        "smime decrypt mail.eml --cert conf.pem --key conf.key",
        "smime decrypt mail.eml --message | gateway smime verify -",
    )
)
@message_file
@click.option("--cert", type=_pem, multiple=True, help="PEM file of a certificate. [default: ours]")
@click.option("--key", type=_pem, multiple=True, help="PEM file of its private key, in the same order.")
@click.option(
    "--message", "whole", is_flag=True, help="Put the header of the message before what was inside."
)
@_output
@json_option
@click.pass_obj
def decrypt(
    invocation: Invocation,
    file: Path,
    cert: tuple[Path, ...],
    key: tuple[Path, ...],
    whole: bool,
    output: Path | None,
    json_: bool,
) -> None:
    """Decrypt a message that is encrypted as a whole, and print the MIME entity inside of it.

    Why one cannot be decrypted is not told, since whoever sends altered messages would learn from it. A
    content that its cipher does not authenticate (AES-CBC) may have been altered on its way: believe it only
    if a signature inside of it verifies.
    """
    _check_json(json_, output)
    keys = _decryptors(invocation, cert, key)
    raw = read_message(file)
    cipher = cipher_of(raw)
    if cipher is None:
        raise Failure("it is not encrypted as a whole")
    if not addressed_to(raw, keys):
        raise Failure("it is not encrypted for these certificates")
    try:
        found = decrypt_message(raw, keys)
    except DecryptionFailed as error:
        raise Failure(str(error)) from error
    write_message(_with_header(raw, found) if whole else found, output, private=True)
    if not cipher.authenticated:
        click.echo(
            f"gateway: {cipher.name} does not show changes: believe the content only if it is signed",
            err=True,
        )
    if json_:
        as_json({"file": output, "octets": len(found), **_told(cipher)})


def _check_json(json_: bool, output: Path | None) -> None:
    if json_ and output is None:
        raise click.UsageError("--json tells about the result: --output must say where that goes")


def _told(cipher: Cipher | None) -> dict[str, object]:
    return {} if cipher is None else {"cipher": cipher.name, "authenticated": cipher.authenticated}


def _signer(
    invocation: Invocation, cert: Path | None, key: Path | None, chain: Path | None, pss: bool
) -> Signer:
    if cert is None and key is None and chain is None:
        own = open_signer(invocation.settings())
        if not pss or own.scheme not in ("rsa", "pss"):
            return own
        pki = invocation.settings().pki
        cert, key, chain = pki.smime_certificate, pki.smime_key, pki.smime_chain
    if cert is None or key is None:
        raise click.UsageError("--cert and --key belong together")
    try:
        return load_signer(cert.read_bytes(), key.read_bytes(), chain.read_bytes() if chain else b"", pss)
    except (SigningFault, OSError) as error:
        raise Failure(f"{cert}, {key}: {error}") from error


def _target(path: Path, gcm: bool) -> EncryptionTarget:
    try:
        return load_target(path.read_bytes(), gcm)
    except EncryptionFault as error:
        raise EncryptionFault(f"{path}: {error}") from error


def _decryptors(
    invocation: Invocation, certificates: Sequence[Path], keys: Sequence[Path]
) -> Sequence[Decryptor]:
    if len(certificates) != len(keys):
        raise click.UsageError("each --cert needs its --key")
    if not certificates:
        own = load_sealing(invocation.settings()).keys
        if not own:
            raise DeploymentIncomplete("[smime] decryption names no certificate: nothing is ever decrypted")
        return own
    found = []
    for certificate, key in zip(certificates, keys, strict=True):
        try:
            found.append(load_decryptor(certificate.read_bytes(), key.read_bytes()))
        except (DecryptorFault, OSError) as error:
            raise Failure(f"{certificate}, {key}: {error}") from error
    return found


def _with_header(raw: bytes, entity: bytes) -> bytes:
    """The message's own fields as they are, but those that the entity replaces, and then the entity."""
    replaced = {field.key for field in split_message(entity)[0]} | {"mime-version"}
    _, body = split_message(raw)
    kept, keep = [], False
    for line in raw[:body].splitlines(keepends=True):
        if not line.startswith((b" ", b"\t")):
            name = line.partition(b":")[0].strip().lower().decode("ascii", "replace")
            keep = bool(name) and name not in replaced and not name.startswith("content-")
        if keep:
            kept.append(line)
    return b"".join(kept) + b"MIME-Version: 1.0\r\n" + entity
