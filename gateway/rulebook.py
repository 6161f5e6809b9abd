"""The rules of a deployment, read from the product's file and the operator's."""

from __future__ import annotations

from config import Settings, read_resource
from teleexpertise.errors import RuleError
from teleexpertise.rules import RuleBook, load_rules

__all__ = ["load_rulebook"]


def load_rulebook(settings: Settings) -> RuleBook:
    """The default rules and the operator's own. Raises ``RuleError`` that names rule, key and what is
    known.
    """
    sources = [read_resource("rules.toml")]
    if settings.rules.file is not None:
        try:
            sources.append(settings.rules.file.read_text("utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise RuleError(f"rules file {settings.rules.file}: {error}") from error
    return load_rules(sources)
