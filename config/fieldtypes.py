"""The types of single settings: what a value may be, and the sentence for one that it may not."""

import re
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationInfo
from pydantic.config import JsonDict

SECRET: Final[JsonDict] = {"secret": True}
"""Marks a field that the environment may override as TLE_<SECTION>_<KEY> and whose value is never shown."""

_DOMAIN = re.compile(
    r"(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)+"
)
_SQLITE = re.compile(r"(sqlite(?:\+\w+)?:///)([^/:?][^?]*)(\?.*)?")


def _absolute(value: object, info: ValidationInfo) -> object:
    if not isinstance(value, str):
        return value
    if not value or "\0" in value:
        raise ValueError("should be the path of a file or folder")
    base: Path = (info.context or {}).get("folder", Path())
    return base / value


def _absolute_sqlite(url: SecretStr, info: ValidationInfo) -> SecretStr:
    match = _SQLITE.fullmatch(url.get_secret_value())
    if match is None:
        return url
    base: Path = (info.context or {}).get("folder", Path())
    return SecretStr(f"{match[1]}{base / match[2]}{match[3] or ''}")


def _domain(value: str) -> str:
    lower = value.lower()
    if not _DOMAIN.fullmatch(lower):
        raise ValueError(
            "should be a domain name such as demo.mssante.example (its A-label form if it has accents)"
        )
    return lower


def _endpoint(value: str) -> str:
    host, _, port = value.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise ValueError('should be "host:port", an IPv6 address in brackets')
    return value


def _key_set_url(value: str) -> str:
    parts = urlsplit(value)
    at_home = parts.scheme == "http" and parts.hostname in ("127.0.0.1", "::1", "localhost")
    if not (parts.scheme == "https" or at_home) or not parts.hostname or parts.username is not None:
        raise ValueError("should be an https address")
    return value


def _web_address(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or not value.isascii():
        raise ValueError("should be an http or https address without user name")
    return value


def _secure_web_address(value: str) -> str:
    if not _web_address(value).startswith("https:"):
        raise ValueError("should be an https address")
    return value


def _time_zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:  # none, no name, a folder of zones
        raise ValueError(
            "should be the name of a time zone such as Europe/Paris or Indian/Reunion"
        ) from error
    return value


TimeZone = Annotated[str, AfterValidator(_time_zone)]
Address = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*@[a-z0-9.-]+$", max_length=254)]
FilePath = Annotated[Path, BeforeValidator(_absolute)]
Domain = Annotated[str, AfterValidator(_domain)]
Endpoint = Annotated[str, AfterValidator(_endpoint)]
KeySetUrl = Annotated[str, AfterValidator(_key_set_url)]
Port = Annotated[int, Field(ge=0, le=65535)]
WebAddress = Annotated[str, AfterValidator(_web_address)]
SecureWebAddress = Annotated[str, AfterValidator(_secure_web_address)]
Positive = Annotated[int, Field(ge=1)]
Line = Annotated[str, Field(max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")]
KeyPlace = Annotated[str, Field(pattern=r"^[a-z0-9_.-]+\._domainkey\.[a-z0-9.-]+$", max_length=253)]
KeyText = Annotated[str, Field(pattern=r"^[ -~]*$", max_length=4096)]
SecretUrl = Annotated[SecretStr, AfterValidator(_absolute_sqlite)]


class Section(BaseModel):
    """What all sections share: frozen, no unknown key, no silent conversion."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)
