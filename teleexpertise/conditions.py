"""Conditions of rules: texts of the library ``rule-engine``, checked when they are loaded.

What the library lets through and an operator would only notice by a rule that never fires is refused here:
a text compared with a number, a state that does not exist, a condition that is neither true nor false. Its
built-in functions are switched off, since some read the clock or chance: the same facts must give the same
decision.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import rule_engine
from rule_engine import ast
from rule_engine.builtins import Builtins

from teleexpertise.facts import SYMBOLS, VALUES, SymbolKind
from teleexpertise.spelling import nearest

__all__ = ["Condition", "ConditionError", "compile_condition"]

_KINDS = {
    SymbolKind.TEXT: rule_engine.DataType.STRING,
    SymbolKind.NUMBER: rule_engine.DataType.FLOAT,
    SymbolKind.TRUTH: rule_engine.DataType.BOOLEAN,
    SymbolKind.TEXTS: rule_engine.DataType.ARRAY(rule_engine.DataType.STRING),
}


_MOST_CHARACTERS = 2000
_TOO_DEEP = "is nested too deep"


class ConditionError(ValueError):
    """A condition that cannot be used, or that these values give no answer to: a sentence without a rule's
    name.
    """


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition as written and as compiled."""

    text: str
    compiled: rule_engine.Rule

    def holds(self, values: Mapping[str, Any]) -> bool:
        """Whether it holds for these symbol values; raises :class:`ConditionError` (a division by zero,
        say).
        """
        try:
            return bool(self.compiled.matches(values))
        except rule_engine.errors.EngineError as error:
            raise ConditionError(f"no answer: {error.message}") from error
        except RecursionError:
            raise ConditionError(f"no answer: it {_TOO_DEEP}") from None


def compile_condition(text: str) -> Condition:
    """Read one condition over the vocabulary of ``facts.SYMBOLS``; raises :class:`ConditionError`."""
    if len(text) > _MOST_CHARACTERS:
        raise ConditionError(f"a condition has at most {_MOST_CHARACTERS} characters")
    try:
        return _compiled(text)
    except RecursionError:
        raise ConditionError(f"condition {text[:40]!r}… {_TOO_DEEP}") from None


def _compiled(text: str) -> Condition:
    try:
        compiled = rule_engine.Rule(text, context=_context())
    except rule_engine.errors.SymbolResolutionError as error:
        hint = nearest(error.symbol_name, SYMBOLS)
        raise ConditionError(f"unknown symbol {error.symbol_name!r} in when; {hint}") from error
    except rule_engine.errors.EngineError as error:
        raise ConditionError(f"condition {text!r}: {error.message}") from error
    expression = compiled.statement.expression
    if expression.result_type != rule_engine.DataType.BOOLEAN:
        raise ConditionError(f"condition {text!r} is neither true nor false; compare it with something")
    for node in _nodes(expression):
        _check(text, node)
    return Condition(text, compiled)


def _context() -> rule_engine.Context:
    types = {name: _KINDS[kind] for name, (kind, _) in SYMBOLS.items()}
    context = rule_engine.Context(type_resolver=rule_engine.type_resolver_from_dict(types))
    context.builtins = Builtins({})
    return context


def _nodes(node: Any) -> Iterator[Any]:
    """The node and every expression below it."""
    yield node
    slots = (name for kind in type(node).__mro__ for name in getattr(kind, "__slots__", ()))
    for name in {*slots, *getattr(node, "__dict__", ())}:
        child = getattr(node, name, None)
        for part in child if isinstance(child, list | tuple) else (child,):
            if isinstance(part, ast.ExpressionBase):
                yield from _nodes(part)


def _check(text: str, node: Any) -> None:
    """Refuse a function of the library, and a comparison that can never hold: different types, unknown
    words.
    """
    if isinstance(node, ast.SymbolExpression) and node.scope == Builtins.scope_name:
        raise ConditionError(f"condition {text!r} uses ${node.name}; rules know no symbol or function with $")
    for left, right in _compared(node):
        kinds = (left.result_type, right.result_type)
        if rule_engine.DataType.UNDEFINED not in kinds and kinds[0] != kinds[1]:
            names = " with ".join(kind.name.lower() for kind in kinds)
            raise ConditionError(f"condition {text!r} compares {names}, which never holds")
        if isinstance(left, ast.SymbolExpression) and isinstance(right, ast.StringExpression):
            known = VALUES.get(left.name, (right.value,))
            if right.value not in known:
                raise ConditionError(f"{left.name} is never {right.value!r}; {nearest(right.value, known)}")


def _compared(node: Any) -> list[tuple[Any, Any]]:
    """The pairs of expressions that ``node`` tests for being equal."""
    if isinstance(node, ast.ComparisonExpression) and node.type in ("eq", "ne"):
        return [(node.left, node.right), (node.right, node.left)]
    if isinstance(node, ast.ContainsExpression) and isinstance(node.container, ast.ArrayExpression):
        return [(node.member, item) for item in node.container.value]
    return []
