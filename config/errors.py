"""What is wrong with a settings file, said so that the operator can go to the line and mend it."""

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong: the file (or the environment), the line from 1 (0: none to name), key and sentence."""

    file: str
    line: int
    key: str
    text: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {self.key}: {self.text}" if self.key else f"{place}: {self.text}"


class ConfigError(Exception):
    """A settings file that cannot be used. `str()` is one line; `problems` holds all that was found."""

    exit_code: ClassVar[int] = 1

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        self.problems = problems
        more = len(problems) - 1
        super().__init__(str(problems[0]) + (f" (and {more} more)" if more else ""))
