"""What may be told of an unexpected error: its type and place, never its words, which may hold content."""

from __future__ import annotations

__all__ = ["failure_place"]


def failure_place(error: BaseException) -> dict[str, str]:
    """What may be logged of an unexpected error: its type and where it rose, never its words (they hold
    content).
    """
    place, trace = "", error.__traceback__
    while trace is not None:
        place = f"{trace.tb_frame.f_code.co_qualname}:{trace.tb_lineno}"
        trace = trace.tb_next
    return {"error": type(error).__name__, "place": place}
