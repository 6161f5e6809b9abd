"""Which of an expert's elements a request still lacks, counted over the whole conversation.

A photo cannot be matched to "vue d'ensemble" or "dermoscopie" without guessing, so images and documents
fill the items of their kind in the order in which the expert listed them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from teleexpertise.letters import Attachment, PartKind
from teleexpertise.people import ItemKind, PrerequisiteItem

__all__ = ["Given", "count_given", "missing", "satisfied"]

#: Logos and icons of mail signatures come as small inline images; a photo that shows a lesion is never that
#: small.
_SMALLEST_PHOTO_OCTETS = 8 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What a letter, or a conversation so far, has brought."""

    images: int = 0
    documents: int = 0
    fields: frozenset[str] = frozenset()

    def __add__(self, other: Given) -> Given:
        return Given(
            images=self.images + other.images,
            documents=self.documents + other.documents,
            fields=self.fields | other.fields,
        )


def count_given(attachments: Iterable[Attachment]) -> Given:
    """Count photos and documents among ``attachments``."""
    images = documents = 0
    for attachment in attachments:
        if attachment.kind is PartKind.IMAGE:
            images += not attachment.inline or len(attachment.content) >= _SMALLEST_PHOTO_OCTETS
        elif attachment.kind is PartKind.DOCUMENT:
            documents += 1
    return Given(images=images, documents=documents)


def satisfied(items: Sequence[PrerequisiteItem], given: Given) -> tuple[bool, ...]:
    """For each item in the expert's order whether it is satisfied.

    Mandatory items are served before optional ones, whatever their order: a single photo counts for what is
    required.
    """
    left = {ItemKind.IMAGE: given.images, ItemKind.DOCUMENT: given.documents}
    served = [False] * len(items)
    for number, item in sorted(enumerate(items), key=lambda pair: not pair[1].mandatory):
        if item.kind is ItemKind.FIELD:
            served[number] = item.name in given.fields
        else:
            served[number] = left[item.kind] >= item.count
            left[item.kind] -= min(item.count, left[item.kind])
    return tuple(served)


def missing(items: Sequence[PrerequisiteItem], given: Given) -> tuple[str, ...]:
    """Names of the mandatory items not yet satisfied, in the expert's order."""
    served = zip(items, satisfied(items, given), strict=True)
    return tuple(item.name for item, there in served if item.mandatory and not there)
