"""The register of patients: who is in it, who may be meant, and the conversations of each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy import delete, exists, func, or_, select, union, update

from gateway.store.dialect import translated
from gateway.store.errors import NotFound
from gateway.store.repository import Repository
from gateway.store.rows import PatientRow
from gateway.store.schema import (
    conversation_member,
    mirror_activity,
    mirror_member,
    patient_conversation,
    patient_number,
    patient_stated,
    patient_word,
)
from gateway.store.schema import patient as patients
from teleexpertise.matching import Known, swapped, traits_key
from teleexpertise.names import search_words
from teleexpertise.patients import Patient
from teleexpertise.searching import Query

if TYPE_CHECKING:
    from uuid import UUID

    from sqlalchemy import ColumnElement, FromClause, RowMapping, Select

__all__ = ["Patients"]

_TRAITS = ("birth_name", "first_names", "birth_date", "sex")
_MORE = ("first_first_name", "birth_place", "used_name", "used_first_names")
#: Above all code points of words: the end of a range of words that begin alike.
_LAST = "\U0010ffff"
#: As many who were born on one day, or its swapped one, are compared by name at most: an exact match is found
#: by its key, however many there are.
_MOST_OF_A_DAY = 500
#: Of more who are called so the search says that it must be narrower; they are not even sorted.
_MOST_FOUND = 2000
#: A term that is met by more words than these is not the rarest, or all are frequent.
_MOST_COUNTED = 3000
_PAGE = 5000


class Patients(Repository):
    """The patients of the deployment. Those who turned out to be another are kept for their traits alone."""

    __slots__ = ()

    # -- who is there

    async def get(self, patient_id: int) -> PatientRow | None:
        """The patient of a number, or whom that one turned out to be; ``None`` where there is none."""
        row = await self._first(select(patients).where(patients.c.id == patient_id))
        if row is not None and row["merged_into"] is not None:
            row = await self._first(select(patients).where(patients.c.id == row["merged_into"]))
        return _row_of(row) if row else None

    async def candidates(self, patient: Patient) -> tuple[Known, ...]:
        """All who can matter to :func:`teleexpertise.matching.match` for a stated patient."""
        key, born = traits_key(patient), patient.birth_date
        found: dict[int, RowMapping] = {}
        ways: list[Select[*tuple[object, ...]]] = []
        if patient.ins:
            ways.append(select(patients).where(patients.c.ins == patient.ins))
        if key:
            ways.append(select(patients).where(patients.c.traits == key))
        if born is not None:
            days = [day for day in (born, swapped(born)) if day is not None]
            ways.append(select(patients).where(patients.c.birth_date.in_(days)).limit(_MOST_OF_A_DAY))
        for way in ways:
            found |= {row["id"]: row for row in await self._all(way)}
        merged = {row["merged_into"] for row in found.values() if row["merged_into"] is not None}
        if missing := merged - found.keys():
            some = await self._all(select(patients).where(patients.c.id.in_(missing)))
            found |= {row["id"]: row for row in some}
        aliases: dict[int, set[str]] = defaultdict(set)
        for row in found.values():
            if row["merged_into"] is not None:
                aliases[row["merged_into"]].add(row["traits"])
        return tuple(
            Known(number, _patient_of(row), frozenset(aliases[number]))
            for number, row in sorted(found.items())
            if row["merged_into"] is None
        )

    async def all(self) -> AsyncIterator[tuple[Known, ...]]:
        """The whole register, some thousands at a time, by number."""
        last = 0
        while True:
            page = select(patients).where(patients.c.id > last, patients.c.merged_into.is_(None))
            rows = await self._all(page.order_by(patients.c.id).limit(_PAGE))
            if not rows:
                return
            last = rows[-1]["id"]
            yield tuple(Known(row["id"], _patient_of(row)) for row in rows)

    async def search(
        self, query: Query, limit: int = 50, seen_by: Collection[str] | None = None
    ) -> tuple[tuple[PatientRow, ...], bool]:
        """Patients by what was typed, by name, and whether there are more than these; with ``seen_by`` only
        those of conversations in which one of these accounts is a member now.

        Whole words come before beginnings of words. An empty query finds nobody.
        """
        among = None if seen_by is None else _seen(seen_by)
        found: dict[int, RowMapping] = {}
        query = replace(query, terms=await self._rarest_first(query.terms))
        for whole in (True, False):
            statement = _searching(query, whole, among)
            if statement is not None and len(found) <= limit:
                ordered = statement.order_by(patients.c.birth_name, patients.c.first_names, patients.c.id)
                rows = await self._all(ordered.limit(limit + 1))
                found = {row["id"]: row for row in (*found.values(), *rows)}
        rows = list(found.values())
        return tuple(map(_row_of, rows[:limit])), len(rows) > limit

    async def seen(self, patient_id: int, by: Collection[str]) -> bool:
        """Whether a conversation is about this patient in which one of these accounts is a member now."""
        mine = select(patients.c.id).where(patients.c.id == patient_id, patients.c.id.in_(_seen(by)))
        return await self._first(mine) is not None

    async def _rarest_first(self, terms: tuple[frozenset[str], ...]) -> tuple[frozenset[str], ...]:
        """The terms by how many words they are met by: the search goes through those of the first alone."""
        if len(terms) < 2:
            return terms
        counts = {}
        for term in terms:
            some = select(patient_word.c.patient_id).where(_met(patient_word, term, False))
            counted = select(func.count().label("rows")).select_from(some.limit(_MOST_COUNTED).subquery())
            row = await self._first(counted)
            counts[term] = row["rows"] if row else 0
        return tuple(sorted(terms, key=lambda term: counts[term]))

    # -- who comes and changes

    async def add(self, patient: Patient, now: datetime) -> PatientRow:
        """Enter a new patient. Raises ``ValueError`` for an anonymous one or half an identity,
        :class:`ConstraintBroken` where another has the INS.
        """
        if patient.anonymous or not (patient.ins or traits_key(patient)):
            raise ValueError("anonymous, or no INS and not all identity traits")
        row = _values(patient) | {"created_at": now}
        added = await self._first(patients.insert().values(row).returning(patients))
        assert added is not None, "what is inserted is returned"
        await self._add_words(added["id"], search_words(patient))
        return _row_of(added)

    async def complete(self, known: PatientRow, stated: Patient) -> PatientRow:
        """Fill in what the register lacked of a recognised patient; what it has stays as it is."""
        mine, news = known.patient, {}
        for name in ("ins", "birth_order", *_MORE):
            if getattr(stated, name) and not getattr(mine, name):
                news[name] = getattr(stated, name)
        if "ins" in news:
            news["ins_oid"] = stated.ins_oid
        if stated.qualified and stated.ins and traits_key(stated) == traits_key(mine) and not mine.qualified:
            news["qualified"] = True
        if not news:
            return known
        await self._changed(update(patients).where(patients.c.id == known.id).values(**news))
        if {"used_name", "used_first_names"} & news.keys():
            await self._index(known.id)
        return replace(known, patient=replace(mine, **news))

    async def with_ins(self, ins: str) -> PatientRow | None:
        """The patient with this INS, ``None`` where nobody has it or it is ''."""
        row = await self._first(select(patients).where(patients.c.ins == ins)) if ins else None
        return _row_of(row) if row else None

    async def correct(self, patient_id: int, patient: Patient) -> None:
        """Give a patient other traits. Raises :class:`NotFound`; :class:`ConstraintBroken` where the INS is
        another's, ``ValueError`` for half an identity.
        """
        if patient.anonymous or not (patient.ins or traits_key(patient)):
            raise ValueError("no INS and not all identity traits")
        with translated():
            changed = await self._changed(
                update(patients).where(patients.c.id == patient_id).values(_values(patient))
            )
        if not changed:
            raise NotFound(f"there is no patient {patient_id}")
        await self._index(patient_id)

    async def merge(self, lost: PatientRow, kept: PatientRow) -> None:
        """Let one patient be another from now on: histories, numbers, words and traits go over.

        The INS goes over where the kept one has none. Raises ``ValueError`` for two different INS, or two
        numbers in one establishment: they are two patients until somebody corrects one.
        """
        if lost.id == kept.id or (lost.patient.ins and kept.patient.ins):
            raise ValueError("one patient, or two INS")
        theirs, mine = await self.numbers(lost.id), await self.numbers(kept.id)
        if any(mine.get(place, number) != number for place, number in theirs.items()):
            raise ValueError("two numbers in one establishment")
        gone = {"ins": None, "qualified": None, "merged_into": kept.id}
        was_lost = or_(patients.c.id == lost.id, patients.c.merged_into == lost.id)
        await self._changed(update(patients).where(was_lost).values(**gone))
        if lost.patient.ins:
            ins = {"ins": lost.patient.ins, "ins_oid": lost.patient.ins_oid}
            await self._changed(update(patients).where(patients.c.id == kept.id).values(**ins))
        for table in (patient_conversation, patient_number, mirror_activity):
            of_lost = table.c.patient_id == lost.id
            await self._changed(update(table).where(of_lost).values(patient_id=kept.id))
        await self._changed(delete(patient_word).where(patient_word.c.patient_id == lost.id))
        await self._index(kept.id)

    # -- numbers in establishments

    async def numbers(self, patient_id: int) -> Mapping[str, str]:
        """Establishment -> the number (IPP) that the patient has there."""
        mine = select(patient_number).where(patient_number.c.patient_id == patient_id)
        rows = await self._all(mine.order_by(patient_number.c.establishment))
        return {row["establishment"]: row["number"] for row in rows}

    async def set_number(self, patient_id: int, establishment: str, number: str) -> None:
        """Give a patient a number in an establishment, or with '' none. Raises :class:`ConstraintBroken`
        where another patient has it.
        """
        mine = (patient_number.c.patient_id == patient_id) & (patient_number.c.establishment == establishment)
        await self._changed(delete(patient_number).where(mine))
        if number:
            row = {"patient_id": patient_id, "establishment": establishment, "number": number}
            with translated():
                await self._add(patient_number, row)

    # -- conversations

    async def link(self, conversation_id: UUID, patient_id: int) -> None:
        """A conversation is about this patient. One that is about somebody already stays so."""
        row = {"conversation_id": conversation_id, "patient_id": patient_id}
        await self._add_new(patient_conversation, row)
        mine = patient_stated.c.conversation_id == conversation_id
        await self._changed(delete(patient_stated).where(mine))

    async def await_certainty(self, conversation_id: UUID, stated: Patient) -> None:
        """A conversation states somebody of whom the register cannot say who that is, yet."""
        row = {"conversation_id": conversation_id, "ins": stated.ins, "traits": traits_key(stated)}
        await self._add_new(patient_stated, row)

    async def may_concern(self, patient_id: int) -> tuple[UUID, ...]:
        """The conversations in nobody's history that state the INS or the traits of a patient, or of one who
        turned out to be this one: whether they mean this one must be looked at.
        """
        mine = or_(patients.c.id == patient_id, patients.c.merged_into == patient_id)
        rows = await self._all(select(patients.c.ins, patients.c.traits).where(mine))
        numbers = sorted({row["ins"] for row in rows if row["ins"]})
        keys = sorted({row["traits"] for row in rows if row["traits"]})
        alike = or_(patient_stated.c.ins.in_(numbers), patient_stated.c.traits.in_(keys))
        found = await self._all(
            select(patient_stated.c.conversation_id).where(alike).order_by(patient_stated.c.conversation_id)
        )
        return tuple(row["conversation_id"] for row in found)

    async def of_conversation(self, conversation_id: UUID) -> PatientRow | None:
        """The patient whom a conversation is about, ``None`` where the register does not say."""
        joined = patients.join(patient_conversation, patient_conversation.c.patient_id == patients.c.id)
        about = patient_conversation.c.conversation_id == conversation_id
        row = await self._first(select(patients).select_from(joined).where(about))
        return _row_of(row) if row else None

    async def history(self, patient_id: int) -> tuple[UUID, ...]:
        """The identifiers of all conversations about a patient."""
        about = patient_conversation.c.patient_id == patient_id
        rows = await self._all(select(patient_conversation.c.conversation_id).where(about))
        return tuple(row["conversation_id"] for row in rows)

    # -- words

    async def _index(self, patient_id: int) -> None:
        """Make the words of a patient anew: of the traits now, and of the doubles that were this one."""
        mine = or_(patients.c.id == patient_id, patients.c.merged_into == patient_id)
        rows = await self._all(select(patients).where(mine))
        await self._changed(delete(patient_word).where(patient_word.c.patient_id == patient_id))
        words = {word for row in rows for word in search_words(_patient_of(row))}
        await self._add_words(patient_id, words)

    async def _add_words(self, patient_id: int, words: Collection[str]) -> None:
        await self._add_all(
            patient_word, [{"word": word, "patient_id": patient_id} for word in sorted(words)]
        )


def _seen(by: Collection[str]) -> Select[tuple[int]]:
    """The patients of conversations, held here or elsewhere, in which one of the accounts is a member."""
    held = (
        select(patient_conversation.c.patient_id)
        .join(
            conversation_member,
            conversation_member.c.conversation_id == patient_conversation.c.conversation_id,
        )
        .where(conversation_member.c.address.in_(sorted(by)), conversation_member.c.active)
    )
    mirrored = (
        select(mirror_activity.c.patient_id)
        .join(mirror_member, mirror_member.c.mirror_id == mirror_activity.c.mirror_id)
        .where(
            mirror_member.c.address.in_(sorted(by)),
            mirror_member.c.active,
            mirror_activity.c.patient_id.is_not(None),
        )
    )
    both = union(held, mirrored).subquery()
    return select(both.c.patient_id)


def _searching(
    query: Query, whole: bool, among: Select[tuple[int]] | None = None
) -> Select[*tuple[object, ...]] | None:
    """The search by whole words, or by their beginnings, ``among`` some or all; ``None`` where it would be
    none, or the same.
    """
    if query.empty or (whole and not query.terms):
        return None
    conditions: list[ColumnElement[bool]] = [patients.c.merged_into.is_(None)]
    if query.terms:
        first, *others = query.terms
        also = [_has(term, whole) for term in others]
        named = select(patient_word.c.patient_id).where(_met(patient_word, first, whole), *also)
        if among is not None:
            named = named.where(patient_word.c.patient_id.in_(among))
        conditions.append(patients.c.id.in_(named.distinct().limit(_MOST_FOUND)))
    if among is not None:
        conditions.append(patients.c.id.in_(among))
    if query.born is not None:
        conditions.append(patients.c.birth_date == query.born)
    if query.ins:
        conditions.append(patients.c.ins == query.ins)
    if query.number:
        numbered = select(patient_number.c.patient_id).where(patient_number.c.number == query.number)
        conditions.append(patients.c.id.in_(numbered))
    return select(patients).where(*conditions)


def _has(term: frozenset[str], whole: bool) -> ColumnElement[bool]:
    """Whether the patient of a word has another that meets a term."""
    other = patient_word.alias()
    return exists().where(other.c.patient_id == patient_word.c.patient_id, _met(other, term, whole))


def _met(words: FromClause, term: frozenset[str], whole: bool) -> ColumnElement[bool]:
    word = words.c.word
    if whole:
        return word.in_(sorted(term))
    return or_(*(word.between(beginning, beginning + _LAST) for beginning in sorted(term)))


def _values(patient: Patient) -> dict[str, object]:
    values: dict[str, object] = {name: getattr(patient, name) for name in (*_TRAITS, *_MORE)}
    return values | {
        "ins": patient.ins or None,
        "ins_oid": patient.ins_oid if patient.ins else "",
        "birth_order": patient.birth_order or None,
        "traits": traits_key(patient),
        "qualified": patient.qualified,
    }


def _patient_of(row: RowMapping) -> Patient:
    return Patient(
        birth_name=row["birth_name"],
        first_names=row["first_names"],
        birth_date=row["birth_date"],
        sex=row["sex"],
        ins=row["ins"] or "",
        qualified=bool(row["qualified"]),
        first_first_name=row["first_first_name"] or "",
        birth_place=row["birth_place"] or "",
        used_name=row["used_name"] or "",
        used_first_names=row["used_first_names"] or "",
        ins_oid=row["ins_oid"],
        birth_order=row["birth_order"] or 0,
    )


def _row_of(row: RowMapping) -> PatientRow:
    return PatientRow(id=row["id"], patient=_patient_of(row), created_at=row["created_at"])
