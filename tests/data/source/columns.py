"""What tables have: of whom, under which name, of which kind."""

from __future__ import annotations

from lego.data.table import IMPRESSIONS, Tables, kind_of, signals_in


def columns_of(made: Tables) -> set[tuple[str, str, str]]:
    """In the words of `Source.holds`: of whom, name, kind."""
    beside = dict.fromkeys(made.history_signals, "number")
    beside |= {"time": "time"} if "times" in made.users.column_names else {}
    told = {
        field.name: kind_of(field.type) or ""
        for part in made.impressions.values()
        for field in part.schema
        if field.name not in (*IMPRESSIONS.names, *signals_in(part.schema))
    }
    found = {
        "items": made.attributes,
        "users": made.user_attributes,
        "impressions": told,
        "candidates": dict.fromkeys(made.candidate_signals, "number"),
        "history": beside,
    }
    return {(of, name, kind) for of, columns in found.items() for name, kind in columns.items()}
