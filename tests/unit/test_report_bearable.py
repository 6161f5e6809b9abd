"""A report that twice took its process with it is made without pictures the third time, and only then."""

from datetime import UTC, datetime
from uuid import UUID

import pytest

from gateway.store.rows import OutboxRow
from gateway.workers.failure import ActionFailed
from gateway.workers.reporting import bearable
from tests.support.reports import sample

DIED = str(ActionFailed("4.3.0", "the process that made the report died", permanent=False))
NOW = datetime(2026, 11, 22, tzinfo=UTC)


@pytest.mark.parametrize(
    ("attempts", "error", "pictures"),
    [(1, "", True), (2, DIED, True), (3, DIED, False), (9, DIED, False), (3, "4.3.0 disk full", True)],
)
def test_pictures_are_given_up_before_the_report_is(attempts: int, error: str, pictures: bool) -> None:
    row = OutboxRow(
        id=UUID(int=1),
        key="key",
        action="make_report",
        recipient="a@b.example",
        first_at=NOW,
        next_at=NOW,
        attempts=attempts,
        last_error=error,
    )
    made = bearable(sample(), row)
    assert any(piece.content is not None for piece in made.all_attachments) == pictures
    assert [piece.filename for piece in made.all_attachments] == [
        piece.filename for piece in sample().all_attachments
    ]
