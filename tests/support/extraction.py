"""Rows of an invented extraction of the national directory: 31 columns, as the real one has."""

from __future__ import annotations

#: The columns that we read, at the places where the real file is known to have the first ones.
_READ = {
    0: ("Type de BAL", "kind", "PER"),
    1: ("Adresse BAL", "address", "lea.roche@cabinet.mssante.example"),
    7: ("Service de rattachement", "unit", ""),
    8: ("Civilité d'exercice", "title", "MME"),
    9: ("Nom d'exercice", "family", "Roche"),
    10: ("Prénom d'exercice", "first", "Léa"),
    14: ("Libellé profession", "profession", "Infirmier"),
    16: ("Libellé savoir-faire", "specialty", ""),
    17: ("Dématérialisation", "paperless", "O"),
    18: ("Raison sociale structure BAL", "company", "MSP DU VELAY"),
    27: ("Code postal structure BAL", "postcode", "43000"),
    29: ("Libellé commune structure BAL", "town", "LE PUY EN VELAY"),
    30: ("Liste rouge", "red", ""),
}
_WIDTH = 31

HEADER = ("|".join(_READ[n][0] if n in _READ else f"Colonne {n}" for n in range(_WIDTH)) + "\r\n").encode()


def row(**cells: str) -> bytes:
    """One line; ``cells`` by the names above replace what an ordinary nurse's row has."""
    values = {name: value for _, name, value in _READ.values()} | cells
    places = {place: values[name] for place, (_, name, _) in _READ.items()}
    return ("|".join(places.get(n, "") for n in range(_WIDTH)) + "\r\n").encode()
