"""What a request still lacks."""

import pytest

from teleexpertise.letters import Attachment
from teleexpertise.people import ItemKind, PrerequisiteItem
from teleexpertise.prerequisites import Given, count_given, missing
from tests.support.cases import CLOSE_UP, OVERVIEW, SHEET

OPTIONAL = PrerequisiteItem(name="Dermoscopie", kind=ItemKind.IMAGE)
THREE = PrerequisiteItem(name="Trois vues", kind=ItemKind.IMAGE, mandatory=True, count=3)
WEIGHT = PrerequisiteItem(name="Poids", kind=ItemKind.FIELD, mandatory=True)


@pytest.mark.parametrize(
    ("items", "given", "names"),
    [
        ((), Given(), ()),
        ((OPTIONAL,), Given(), ()),
        ((OVERVIEW,), Given(), ("Vue d'ensemble",)),
        ((OVERVIEW,), Given(images=1), ()),
        ((OPTIONAL, OVERVIEW), Given(images=1), ()),
        ((OVERVIEW, CLOSE_UP), Given(images=1), ("Vue rapprochée",)),
        ((OVERVIEW, SHEET), Given(documents=1), ("Vue d'ensemble",)),
        ((OVERVIEW, SHEET), Given(images=1), ("Fiche remplie",)),
        ((THREE,), Given(images=2), ("Trois vues",)),
        ((THREE, OVERVIEW), Given(images=3), ("Vue d'ensemble",)),
        ((THREE, OVERVIEW), Given(images=4), ()),
        ((WEIGHT,), Given(), ("Poids",)),
        ((WEIGHT,), Given(fields=frozenset({"Poids"})), ()),
    ],
)
def test_missing(items: tuple[PrerequisiteItem, ...], given: Given, names: tuple[str, ...]) -> None:
    assert missing(items, given) == names


def attachment(content_type: str, octets: int, inline: bool = False) -> Attachment:
    return Attachment("x", content_type, b"\0" * octets, inline=inline)


@pytest.mark.parametrize(
    ("found", "images", "documents"),
    [
        (attachment("image/jpeg", 10), 1, 0),
        (attachment("image/jpeg", 300_000, inline=True), 1, 0),
        (attachment("image/png", 2_000, inline=True), 0, 0),
        (attachment("application/pdf", 10), 0, 1),
        (attachment("message/rfc822", 10), 0, 0),
    ],
)
def test_a_logo_or_a_forwarded_mail_is_no_element(found: Attachment, images: int, documents: int) -> None:
    assert count_given([found]) == Given(images=images, documents=documents)


def test_what_several_mails_bring_adds_up() -> None:
    one = Given(images=1, fields=frozenset({"Poids"}))
    assert one + Given(documents=2) == Given(images=1, documents=2, fields=frozenset({"Poids"}))
