"""Certificates of people in the trust space, to which mail for them can be encrypted."""

from __future__ import annotations

from sqlalchemy import delete, select

from gateway.store.dialect import insert
from gateway.store.repository import Repository, column_values
from gateway.store.rows import KnownCertificateRow
from gateway.store.schema import known_certificate

__all__ = ["Certificates"]

_KEPT = 4
"""Certificates of one address: the newest ones. One person has two or three; a flood is forgotten."""


class Certificates(Repository):
    """Known certificates by the address that they are of."""

    __slots__ = ()

    async def learn(self, row: KnownCertificateRow) -> None:
        """Remember a certificate; one that is known keeps the newest time and what was announced then."""
        statement = insert(self._connection, known_certificate).values(**column_values(row))
        newer = statement.excluded.signed_at > known_certificate.c.signed_at
        update = statement.on_conflict_do_update(
            index_elements=["address", "fingerprint"],
            set_={"signed_at": row.signed_at, "announces_gcm": row.announces_gcm},
            where=newer,
        )
        await self._changed(update)
        for old in (await self.of(row.address))[_KEPT:]:
            await self.forget(old)

    async def forget(self, row: KnownCertificateRow) -> None:
        """Know a certificate no more."""
        known = known_certificate.c
        same = (known.address == row.address) & (known.fingerprint == row.fingerprint)
        await self._changed(delete(known_certificate).where(same))

    async def of(self, address: str) -> tuple[KnownCertificateRow, ...]:
        """The certificates of an address, the one signed with last first."""
        statement = select(known_certificate).where(known_certificate.c.address == address.lower())
        newest = statement.order_by(known_certificate.c.signed_at.desc(), known_certificate.c.fingerprint)
        return tuple(KnownCertificateRow(**row) for row in await self._all(newest))
