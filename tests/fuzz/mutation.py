"""How inputs are changed: octets anywhere, values of ASN.1 in their tree, lines and parts of a mail."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Sequence
from random import Random

from asn1crypto.parser import emit

__all__ = ["MORSELS", "Mutator", "mutated_lines", "mutated_octets", "mutated_values"]

Mutator = Callable[[Random, Sequence[bytes]], bytes]

LONGEST_OCTETS = 200_000

#: What parsers trip over, whatever they read.
MORSELS = (
    b"", b"\x00", b"\r", b"\n", b"\r\n", b"\r\n\r\n", b"\xff", b"\xef\xbb\xbf", b"\xc2\xa0", b"\xe2\x80\xae",
    b"=", b"==", b":", b";", b"\"", b"'", b"\\", b"(", b")", b"<", b">", b"<!--", b"&#x110000;", b"[", b"]",
    b"{", b"}", b"@", b"a@", b"--", b"--frontier", b"=?utf-8?b?w6k=?=", b"%00", b"*0*=", b"\x30\x80",
    b"\x84\xff\xff\xff\xff", b"999999999999999999999", b"-1", b"1e999", b"$now", b"not ", b" in ", b"do = [",
    b"> ", b"Re: ", b"<div>", b"e\xcc\x81",
)  # fmt: skip

#: Lines that a signed mail may turn on.
LINES = (
    b"From: mallory@autre.example", b"Content-Type: multipart/signed; boundary=a; boundary=b",
    b"",
    b'Content-Type: multipart/signed; protocol="application/pkcs7-signature"; boundary="b"', b"--b", b"--b--",
    b"Content-Type: application/pkcs7-mime; smime-type=signed-data", b"Content-Transfer-Encoding: base64",
    b'Content-Type: text/plain; hp="clear"', b'Content-Type: text/plain; hp="cipher"',
    b"HP-Outer: Subject: x",
    b"HP-Outer:", b"HP-Outer: :", b"\tcontinued", b" ", b"Content-Transfer-Encoding: quoted-printable",
    b'Content-Type: text/html; hp-legacy-display="1"', b"Subject: =?utf-8?q?a=0D=0ABcc:_b?=", b"Date: 0",
    b"Sender: =?x?y?z?=", b'<div class="header-protection-legacy-display">',
    b"Date: Thu, 1 Jan 1 0:0:0 +9999",
)  # fmt: skip

_TAGS = (0x02, 0x03, 0x04, 0x05, 0x06, 0x0C, 0x13, 0x16, 0x17, 0x18, 0x1E, 0x30, 0x31, 0xA0, 0xA1, 0xA3, 0x80)
_VALUES = (
    b"\x30\x80", b"\x00\x00", b"\x05\x00", b"\x02\x01\x80", b"\x06\x00", b"\x06\x01\x80",
    b"\x24\x80\x04\x01a\x00\x00",
    b"\x17\x0d991332256099Z", b"\x18\x0f99991231235959Z", b"\x18\x05abcde", b"\x03\x01\x09", b"\x1e\x01a",
    b"\x0c\x02\xff\xfe", b"\x06\x40" + b"\xff" * 63 + b"\x7f", b"\x02\x82\x01\x00" + b"\xff" * 256,
    b"\x31\x00", b"\x30\x00", b"\x0a\x01\x00", b"\xa0\x00", b"\xbf\x7f\x00", b"\x1f\x81\x00\x00",
    b"\x04\x84\x7f\xff\xff\xff",
)  # fmt: skip
_ENCODED = re.compile(rb"(?:[A-Za-z0-9+/]{60,}\r\n)+[A-Za-z0-9+/=]*")

Tree = list[tuple[int, "bytes | Tree"]]


def mutated_octets(chance: Random, seeds: Sequence[bytes]) -> bytes:
    """A seed with a few edits: cut, overwritten, doubled, crossed with another, one morsel often."""
    octets = chance.choice(seeds)
    for _ in range(chance.choice((1, 1, 2, 3, 5, 8, 30))):
        start = chance.randrange(len(octets) + 1)
        end = min(len(octets), start + chance.choice((0, 1, 2, 8, 64, 1024)))
        match chance.randrange(6):
            case 0:
                piece = b""
            case 1:
                piece = chance.randbytes(end - start)
            case 2:
                piece = octets[start:end] * chance.choice((2, 3, 100))
            case 3:
                other = chance.choice(seeds)
                piece = other[chance.randrange(len(other) + 1) :][: chance.choice((4, 100, 4000))]
            case 4:
                piece = chance.choice(MORSELS) * chance.choice((1, 1, 1, 2, 50, 20_000))
            case _:
                piece = bytes([octets[start] ^ 1 << chance.randrange(8)]) if start < len(octets) else b"\x00"
                end = start + 1
        octets = (octets[:start] + piece + octets[end:])[:LONGEST_OCTETS]
    return octets


def mutated_values(chance: Random, seeds: Sequence[bytes]) -> bytes:
    """A DER seed with values of its tree removed, doubled, retagged, exchanged or broken; the lengths around
    them are right again, so that decoding goes on to what lies behind. One in five is damaged as octets.
    """
    if chance.randrange(5) == 0:
        return mutated_octets(chance, seeds)
    tree = _tree(chance.choice(seeds), 0)
    for _ in range(chance.choice((1, 1, 1, 2, 3, 6))):
        _edit(chance, tree, seeds)
    return _encoded(tree)[:LONGEST_OCTETS]


def _tree(octets: bytes, depth: int) -> Tree:
    """Read values of definite length as far as they can be read; what cannot stays octets."""
    found: Tree = []
    position = 0
    while position + 2 <= len(octets):
        tag, length = octets[position], octets[position + 1]
        start = position + 2
        if length >= 0x80:
            width = length & 0x7F
            length = int.from_bytes(octets[start : start + width]) if 0 < width <= 4 else len(octets)
            start += width
        if start + length > len(octets) or tag & 0x1F == 0x1F:
            break
        contents = octets[start : start + length]
        found.append((tag, _tree(contents, depth + 1) if tag & 0x20 and depth < 20 else contents))
        position = start + length
    if position < len(octets):
        found.append((-1, octets[position:]))
    return found


def _encoded(tree: Tree) -> bytes:
    parts = []
    for tag, contents in tree:
        octets = contents if isinstance(contents, bytes) else _encoded(contents)
        parts.append(octets if tag < 0 else emit(tag >> 6, tag >> 5 & 1, tag & 0x1F, octets))
    return b"".join(parts)


def _edit(chance: Random, tree: Tree, seeds: Sequence[bytes]) -> None:
    while True:  # down to some list of values
        deeper = [contents for _, contents in tree if isinstance(contents, list) and contents]
        if not deeper or chance.randrange(5) == 0:
            break
        tree = chance.choice(deeper)
    if not tree:
        return
    place = chance.randrange(len(tree))
    tag, contents = tree[place]
    match chance.randrange(9):
        case 0:
            del tree[place]
        case 1:
            tree[place:place] = [tree[place]] * chance.choice((1, 1, 2, 40))
        case 2:
            tree[place] = (chance.choice(_TAGS), contents)
        case 3:
            chance.shuffle(tree)
        case 4:
            tree[place] = (-1, chance.choice(_VALUES))
        case 5:
            inner = contents if isinstance(contents, bytes) else _encoded(contents)
            tree[place] = (tag, mutated_octets(chance, (inner or b"\x00",))[:5000])
        case 6:
            other = _tree(chance.choice(seeds), 0)
            while other and isinstance(other[0][1], list) and chance.randrange(4):
                other = chance.choice([deep for _, deep in other if isinstance(deep, list)])
            tree[place : place + 1] = other[:3]
        case 7:  # indefinite length, closed or not
            inner = contents if isinstance(contents, bytes) else _encoded(contents)
            closed = chance.choice((b"\x00\x00", b"\x00\x00", b""))
            tree[place] = (-1, bytes([max(tag, 0) | 0x20, 0x80]) + inner + closed)
        case _:
            for _ in range(chance.choice((1, 5, 30))):
                tree[place] = (chance.choice((0x30, 0x31, 0xA0)), [tree[place]])


def mutated_lines(chance: Random, seeds: Sequence[bytes]) -> bytes:
    """A mail with lines removed, doubled, moved, exchanged or damaged, or with the values of what it holds in
    base64 changed; one in five is damaged as octets instead.
    """
    kind = chance.randrange(5)
    if kind == 0:
        return mutated_octets(chance, seeds)
    octets = chance.choice(seeds)
    if kind == 1:
        octets = _with_other_values(chance, octets)
    lines = octets.split(b"\r\n")
    for _ in range(chance.choice((1, 1, 2, 3, 8)) if kind > 1 else chance.randrange(2)):
        # Most lines are base64; what decides stands at the top and around the delimiters.
        special = [n for n, line in enumerate(lines) if len(line) < 60 or b":" in line] or [0]
        place = chance.choice(special) if chance.randrange(4) else chance.randrange(len(lines) + 1)
        match chance.randrange(6):
            case 0:
                del lines[place : place + chance.choice((1, 1, 2, 20))]
            case 1:
                lines[place:place] = lines[place : place + chance.choice((1, 1, 3, 30))]
            case 2:
                lines.insert(place, chance.choice(LINES))
            case 3 if lines:
                lines.insert(place, lines.pop(chance.randrange(len(lines))))
            case 4:
                other = chance.choice(seeds).split(b"\r\n")
                start = chance.randrange(len(other))
                lines[place : place + 1] = other[start : start + chance.choice((1, 2, 30))]
            case _:
                line = lines[place] if place < len(lines) else b""
                lines[place : place + 1] = [mutated_octets(chance, (line or b"x",))[:5000]]
    return b"\r\n".join(lines)[:LONGEST_OCTETS]


def _with_other_values(chance: Random, octets: bytes) -> bytes:
    blocks = list(_ENCODED.finditer(octets))
    if not blocks:
        return octets
    block = chance.choice(blocks)
    try:
        inner = base64.b64decode(block.group())
    except ValueError:
        return octets
    again = base64.encodebytes(mutated_values(chance, (inner,))).replace(b"\n", b"\r\n").rstrip()
    return octets[: block.start()] + again + octets[block.end() :]
