"""French health identifiers as people type them: NIR and INS, RPPS, FINESS, AM and billing numbers.

Each reader takes any text, drops the spaces, hyphens and dots that people put between groups, and returns an
:class:`Identifier`: the normalised value with warnings, or a problem that says which part is wrong. Problems
and warnings are codes; their French sentences are in ``forms/forms.toml``. What the reference leaves doubtful
(the Luhn key of RPPS and FINESS numbers, provisional NIR, months that INSEE does not give out) warns and does
not block.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from types import MappingProxyType

from stdnum import luhn
from stdnum.exceptions import ValidationError
from stdnum.fr import nir as stdnum_nir

__all__ = [
    "Identifier",
    "nir_disagreements",
    "nir_key",
    "read_adeli",
    "read_am",
    "read_billing_number",
    "read_cog",
    "read_finess",
    "read_idnps",
    "read_ins",
    "read_ins_oid",
    "read_nir",
    "read_rpps",
]

_SEPARATORS = re.compile(r"[\s.\-_‐-―−·]+")
_NIR_LENGTH = 15
_KEY_LENGTH = 2
#: Month of birth 01 to 12; 20 and above stand for an unknown or unproven month (domain reference, C).
_MONTH = re.compile(r"0[1-9]|1[0-2]|[2-9]\d")
#: The health insurance takes these, INSEE gives out 20 to 42 and 50 to 99 alone.
_DOUBTFUL_MONTH = re.compile(r"4[3-9]")
_PLACE = re.compile(r"\d\d|2[AB]")
_LONGEST = 60


@dataclass(frozen=True, slots=True)
class Identifier:
    """What was read: ``value`` ('' with a ``problem``), a problem code or '', and warning codes."""

    value: str = ""
    problem: str = ""
    warnings: tuple[str, ...] = ()

    @property
    def valid(self) -> bool:
        """Whether a value was read."""
        return not self.problem


def _compact(text: str) -> str:
    """Upper case without separators; wide digits become ASCII ones. A text that is too long is no number,
    whatever it begins with.
    """
    if len(text) > _LONGEST:
        return "?" * _LONGEST
    return _SEPARATORS.sub("", unicodedata.normalize("NFKC", text)).upper()


def _all_digits(text: str) -> bool:
    return text.isascii() and text.isdigit()


def nir_key(body: str) -> str:
    """The key of 13 characters: ``97 - (N mod 97)`` with 2A as 19 and 2B as 18. Raises ``ValueError``."""
    try:
        return str(stdnum_nir.calc_check_digits(body))
    except ValidationError as error:
        raise ValueError("not 13 characters of a NIR") from error


def _nir_shape(value: str) -> str:
    """The code of the first part that is wrong in 13 or 15 characters, '' when the parts are possible."""
    if not re.fullmatch(r"\d{5}(\d\d|2[AB])\d{6}(\d\d)?", value, re.ASCII):
        return "nir_characters"
    if value[0] not in "1234":
        return "nir_sex"
    if not _MONTH.fullmatch(value[3:5]):
        return "nir_month"
    if not _PLACE.fullmatch(value[5:7]) or value[5:7] == "00":
        return "nir_place"
    if value[10:13] == "000":
        return "nir_order"
    return ""


def read_nir(text: str) -> Identifier:
    """A NIR of 15 characters (13 and the key), or a provisional number, which is warned of: one that begins
    with 3 or 4 is built as a NIR, one with 5 to 8 has the sex behind that and no key of its own.
    """
    value = _compact(text)
    if len(value) not in (_NIR_LENGTH, _NIR_LENGTH - _KEY_LENGTH):
        return Identifier(problem="nir_length")
    if re.fullmatch(r"[5-8]\d+", value, re.ASCII):
        return _read_provisional(value)
    if problem := _nir_shape(value):
        return Identifier(problem=problem)
    if len(value) != _NIR_LENGTH:
        return Identifier(problem="nir_key_missing")
    if not _key_agrees(value):
        return Identifier(problem="nir_key")
    warnings = ["nir_temporary"] if value[0] in "34" else []
    if int(value[3:5]) > 12:
        warnings.append("nir_month_doubtful" if _DOUBTFUL_MONTH.match(value[3:5]) else "nir_month_unproven")
    return Identifier(value, warnings=tuple(warnings))


def _read_provisional(value: str) -> Identifier:
    """A provisional number of 13 digits; software writes a key behind it that no rule asks for."""
    if value[1] not in "12":
        return Identifier(problem="nir_temporary_sex")
    doubtful = len(value) == _NIR_LENGTH and not _key_agrees(value)
    return Identifier(
        value, warnings=("nir_temporary", "nir_temporary_key") if doubtful else ("nir_temporary",)
    )


def _key_agrees(value: str) -> bool:
    return nir_key(value[:-_KEY_LENGTH]) == value[-_KEY_LENGTH:]


def read_ins(text: str) -> Identifier:
    """An INS matricule: a NIR or NIA of 15 characters; a provisional number is never an INS."""
    read = read_nir(text)
    if "nir_temporary" in read.warnings:
        return Identifier(problem="ins_temporary")
    return read


def nir_disagreements(value: str, sex: str, born: date | None) -> tuple[str, ...]:
    """Warning codes where a NIR says another sex (``F``/``M``), year or month of birth than the traits do.

    It may be right all the same: a newborn child is often declared on a parent's number.
    """
    found = []
    if len(value) != _NIR_LENGTH or value[0] not in "12":
        return ()
    if sex in ("F", "M") and (value[0] == "2") != (sex == "F"):
        found.append("nir_other_sex")
    if born is not None:
        month = int(value[3:5])
        if int(value[1:3]) != born.year % 100 or (month <= 12 and month != born.month):
            found.append("nir_other_birth")
    return tuple(found)


def _numbered(text: str, length: int, name: str, *, keyed: bool) -> Identifier:
    value = _compact(text)
    if not _all_digits(value):
        return Identifier(problem=f"{name}_characters")
    if len(value) != length:
        return Identifier(problem=f"{name}_length")
    if not value.strip("0"):
        return Identifier(problem=f"{name}_zero")
    doubtful = keyed and not luhn.is_valid(value)
    return Identifier(value, warnings=(f"{name}_key",) if doubtful else ())


def read_rpps(text: str) -> Identifier:
    """An RPPS number: 11 digits, also as IDNPS (``8`` and the 11); a wrong Luhn key only warns.

    The number of the register that was closed (ADELI, also as IDNPS) is told apart from a typing error.
    """
    value = _compact(text)
    if read_adeli(value).valid or (len(value) == 10 and read_idnps(value).valid):
        return Identifier(problem="rpps_adeli")
    if len(value) == 12:
        read = read_idnps(value)
        return replace(read, value=read.value[1:])
    return _numbered(value, 11, "rpps", keyed=True)


def read_finess(text: str) -> Identifier:
    """A FINESS number: 9 digits, in Corsica ``2A`` or ``2B`` and 7; a wrong Luhn key only warns."""
    value = _compact(text)
    if re.fullmatch(r"2[AB]\d{7}", value, re.ASCII):
        return Identifier(value)
    return _numbered(value, 9, "finess", keyed=True)


def read_am(text: str) -> Identifier:
    """An Assurance Maladie number of a private practitioner: 9 digits, no documented key."""
    return _numbered(text, 9, "am", keyed=False)


def read_cog(text: str) -> Identifier:
    """The official code (COG) of a commune or country of birth: 5 characters, in Corsica ``2A`` or ``2B`` and
    3.

    Overseas communes begin with 97 or 98, foreign countries with 99 (99000 where it is unknown). A postcode
    looks the same: nothing tells the two apart here, but one that ends in 000 is a postcode and is refused.
    """
    value = _compact(text)
    if len(value) != 5:
        return Identifier(problem="cog_length")
    if not re.fullmatch(r"(\d\d|2[AB])\d{3}", value, re.ASCII):
        return Identifier(problem="cog_characters")
    department, place = value[:2], value[2:]
    # Overseas the third digit goes on: 971 to 978, 984 to 989 (985 was Mayotte until 2011). Old codes stay
    # valid, as people were born under them: 20 for Corsica until 1976, 91 to 96 for territories of that time.
    overseas = {"97": "12345678", "98": "456789"}
    if department == "00" or place[0] not in overseas.get(department, place[0]):
        return Identifier(problem="cog_department")
    if place == "000" and department != "99":
        return Identifier(problem="cog_place")
    return Identifier(value)


#: The national identifiers that an INS may be (``ANS``): NIR, NIA, and for tests and demonstrations.
_INS_OIDS: Mapping[str, str] = MappingProxyType(
    {
        "1.2.250.1.213.1.4.8": "",
        "1.2.250.1.213.1.4.9": "",
        "1.2.250.1.213.1.4.10": "ins_oid_test",
        "1.2.250.1.213.1.4.11": "ins_oid_demo",
    }
)


def read_ins_oid(text: str) -> Identifier:
    """The OID of an INS: ``.8`` NIR, ``.9`` NIA; ``.10`` (test) and ``.11`` (demonstration) warn."""
    value = text.strip()[:_LONGEST].lower().removeprefix("urn:oid:")
    if not re.fullmatch(r"[0-2](\.(0|[1-9]\d*))+", value, re.ASCII):
        return Identifier(problem="ins_oid_shape")
    if value not in _INS_OIDS:
        return Identifier(problem="ins_oid_unknown")
    warning = _INS_OIDS[value]
    return Identifier(value, warnings=(warning,) if warning else ())


def read_idnps(text: str) -> Identifier:
    """A national identifier of a professional (IDNPS): ``8`` and an RPPS number, or ``0`` and an ADELI
    number.
    """
    value = _compact(text)
    if len(value) not in (10, 12):
        return Identifier(problem="idnps_length")
    if not value[0].isdigit() or value[0] != {12: "8", 10: "0"}[len(value)]:
        return Identifier(problem="idnps_type")
    read = read_rpps(value[1:]) if len(value) == 12 else read_adeli(value[1:])
    return Identifier(value if read.valid else "", read.problem, read.warnings)


def read_adeli(text: str) -> Identifier:
    """An ADELI number of the register that was closed: department 2, profession 1, rank 5, key 1.

    For old lists only: what is valid warns. A wrong Luhn key warns too.
    """
    value = _compact(text)
    if len(value) != 9:
        return Identifier(problem="adeli_length")
    if not re.fullmatch(r"(\d\d|2[AB]|9[A-F])\d{7}", value, re.ASCII):
        return Identifier(problem="adeli_characters")
    if value[:2] == "00":
        return Identifier(problem="adeli_department")
    if value[2] == "0" and value[3:8] == "00000":
        return Identifier(problem="adeli_rank")
    doubtful = _all_digits(value) and not luhn.is_valid(value)
    return Identifier(value, warnings=("adeli_legacy", "adeli_key") if doubtful else ("adeli_legacy",))


def read_billing_number(text: str) -> Identifier:
    """An AM number, or a FINESS number with or without the specialty code (``430000018/05``)."""
    number, slash, specialty = text[:_LONGEST].partition("/")
    readers: tuple[Callable[[str], Identifier], ...] = (read_finess,) if slash else (read_am, read_finess)
    read = next((found for found in (reader(number) for reader in readers) if found.valid), None)
    if read is None:
        is_persons = not slash and (read_rpps(number).valid or read_idnps(number).valid)
        return Identifier(problem="billing_rpps" if is_persons else "billing_number")
    if not slash:
        return Identifier(read.value)
    code = _compact(specialty)
    if not _all_digits(code) or len(code) != 2:
        return Identifier(problem="billing_specialty")
    return Identifier(f"{read.value}/{code}", warnings=read.warnings)
