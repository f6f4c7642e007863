"""What was run and with what, as tables that people read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Row = tuple[str, str, str]


def setup_tables(meta: Mapping[str, Any]) -> Iterator[tuple[str, list[Row]]]:
    """Tables of (name, value, note): the experiment by its parts, then rules, environment and versions."""
    yield from _experiment(meta)
    versions = [(name, _value(value), "") for name, value in _flat(meta.get("versions") or {})]
    made = (("code version", meta.get("code_version")), ("created", meta.get("created")))
    versions += [(name, str(value), "") for name, value in made if value]
    environment = [(name, _value(value), "") for name, value in _flat(meta.get("environment") or {})]
    tables = (
        ("rules of the events", _rules(meta.get("rules") or {})),
        ("environment", environment),
        ("versions", versions),
    )
    yield from ((title, rows) for title, rows in tables if rows)


def _rules(rules: Any) -> list[Row]:
    """One row an event; a threshold that was written as a part reads as a sentence."""
    if isinstance(rules, dict):
        return [(name, _value(value), "") for name, value in _flat(rules)]
    return [(str(rule.get("name", "")), _rule(rule), "") for rule in rules if isinstance(rule, dict)]


def _rule(rule: dict[str, Any]) -> str:
    bounds = [f"{sign} {rule[key]}" for key, sign in (("at_least", "≥"), ("at_most", "≤")) if rule.get(key) is not None]
    if not bounds or "measure" not in rule:
        return _value({name: value for name, value in rule.items() if name != "name"})
    sustained = rule.get("sustained") or 1
    lasting = f", in {sustained} observations in a row" if sustained > 1 else ""
    return f"{rule['measure']} {' and '.join(bounds)}{lasting}"


def _experiment(meta: Mapping[str, Any]) -> Iterator[tuple[str, list[Row]]]:
    """Loose fields and seeds first, then one table a part; a varied field shows the values that it took.

    What is a table of its own (the rules of the events) or goes without saying is left out.
    """
    experiment = meta.get("experiment") or {}
    varied = {str(name): values for name, values in (meta.get("vary") or {}).items()}
    parts = {name: value for name, value in experiment.items() if isinstance(value, dict) and value}
    known = {*parts, "kind", *(["events"] if meta.get("rules") else [])}
    rows = [_setting("", name, value, varied) for name, value in experiment.items() if name not in known]
    rows += [("seeds", _value(meta["seeds"]), "")] if "seeds" in meta else []
    if rows:
        yield "experiment", rows
    for part, fields in parts.items():
        kind = fields.get("kind")
        title = part.replace("_", " ") + (f" · {kind}" if isinstance(kind, str) else "")
        yield title, [_setting(f"{part}.", name, value, varied) for name, value in _flat(fields) if name != "kind"]


def _setting(prefix: str, key: str, value: Any, varied: dict[str, Any]) -> Row:
    values = varied.get(prefix + key)
    return (key, _value(value), "") if values is None else (key, _value(values), "varied")


def _flat(part: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The leaves of a nested dict, by their dotted names."""
    for key, value in part.items() if isinstance(part, dict) else [("", part)]:
        name = f"{prefix}.{key}" if prefix else str(key)
        if isinstance(value, dict) and value:
            yield from _flat(value, name)
        else:
            yield name, value


def _value(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(_value(item) for item in value) or "none"
    if isinstance(value, dict):
        return "; ".join(f"{key} = {_value(item)}" for key, item in value.items()) or "none"
    if value is None:
        return "none"
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)
