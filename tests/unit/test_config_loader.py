"""A settings file gives settings, or a sentence with the file, the line and the key."""

from pathlib import Path

import pytest

from config import ConfigError, Settings, load, load_mapping

MINIMAL = '[service]\ndomain = "demo.mssante.example"\n'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "gateway.toml"


def problem_of(file: Path, text: str, environment: dict[str, str] | None = None) -> str:
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load(file, environment or {})
    assert "\n" not in str(caught.value)
    return str(caught.value).removeprefix(str(file))


def settings_of(file: Path, text: str, environment: dict[str, str] | None = None) -> Settings:
    file.write_text(text, encoding="utf-8")
    return load(file, environment or {})


def test_a_minimal_file_gets_the_defaults(file: Path) -> None:
    settings = settings_of(file, MINIMAL)
    assert settings.service_address == "teleexpertise@demo.mssante.example"
    assert settings.hostname == "demo.mssante.example"
    assert settings.smtp.max_message_bytes == 25 * 1024 * 1024
    assert settings.rules.file is None


def test_given_values_win_over_defaults_one_by_one(file: Path) -> None:
    settings = settings_of(file, MINIMAL + 'hostname = "mx.demo.mssante.example"\n[smtp]\nmx_port = 0\n')
    assert settings.smtp.mx_port == 0
    assert settings.smtp.submission_port == 5870
    assert settings.hostname == "mx.demo.mssante.example"


def test_paths_count_from_the_folder_of_the_file(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text(MINIMAL + '[files]\nmac_key_file = "/etc/tle/mac.key"\n', encoding="utf-8")
    monkeypatch.chdir("/")
    settings = load(file.relative_to("/"), {})
    assert settings.pki.anchors == tmp_path / "pki/ca.pem"
    assert settings.files.mac_key_file == Path("/etc/tle/mac.key")
    assert settings.database.url.get_secret_value() == f"sqlite+aiosqlite:///{tmp_path}/state.sqlite3"


@pytest.mark.parametrize(
    "url",
    [
        "sqlite+aiosqlite:////srv/tle.sqlite3",
        "sqlite+aiosqlite:///:memory:",
        "postgresql+asyncpg://a:b@db/tle",
    ],
)
def test_other_database_addresses_stay_as_they_are(file: Path, url: str) -> None:
    assert settings_of(file, f'{MINIMAL}[database]\nurl = "{url}"\n').database.url.get_secret_value() == url


def test_domains_are_compared_in_lower_case(file: Path) -> None:
    settings = settings_of(
        file, '[service]\ndomain = "Demo.MSSante.example"\ndomains = ["CH.mssante.example"]\n'
    )
    assert settings.local_domains == {"demo.mssante.example", "ch.mssante.example"}


def test_settings_cannot_be_changed(file: Path) -> None:
    settings = settings_of(file, MINIMAL)
    with pytest.raises(ValueError, match="frozen"):
        settings.smtp.mx_port = 25  # type: ignore[misc]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[smtp]\n\nmx_prot = 25\n", ":5: smtp.mx_prot: unknown setting; did you mean `mx_port`?"),
        ("[smpt]\nmx_port = 25\n", ":3: smpt: unknown section; did you mean `smtp`?"),
        ("[smtp]\ntls_port = 25\n", ":4: smtp.tls_port: unknown setting; did you mean `imap.tls_port`?"),
        ("smtp.mx_prot = 25\n", ":3: service.smtp: unknown setting"),
    ],
)
def test_an_unknown_key_is_told_with_the_nearest_known_one(file: Path, text: str, expected: str) -> None:
    assert problem_of(file, MINIMAL + text) == expected


def test_a_setting_outside_its_section_is_told_where_it_belongs(file: Path) -> None:
    assert (
        problem_of(file, "mx_port = 25\n" + MINIMAL)
        == ":1: mx_port: unknown setting; did you mean `smtp.mx_port`?"
    )


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ('[smtp]\nmx_port = "25"\n', ":4: smtp.mx_port: should be a valid integer, not '25' ("),
        ("[smtp]\nmx_port = true\n", ":4: smtp.mx_port: should be a valid integer, not True ("),
        ("[smtp]\nmx_port = 70000\n", ":4: smtp.mx_port: should be less than or equal to 65535, not 70000 ("),
        (
            '[logging]\nlevel = "loud"\n',
            ":4: logging.level: should be 'debug', 'info', 'warning' or 'error', not",
        ),
        ("[files]\ndemo_accounts = 7\n", ":4: files.demo_accounts: should be"),
        ('[files]\ndemo_accounts = ""\n', ":4: files.demo_accounts: should be the path of a file or folder"),
        (
            "[relay]\nretry_minutes = [1, 0]\n",
            ":4: relay.retry_minutes.1: should be greater than or equal to 1",
        ),
        ('[relay.routes]\n"ch.example" = "ch"\n', ':4: relay.routes.ch.example: should be "host:port"'),
        ('[relay]\nroutes = { "a b" = "ch:25" }\n', ":4: relay.routes.a b: should be a domain name"),
        ("smtp = 3\n", ":3: service.smtp: unknown setting"),
    ],
)
def test_a_wrong_value_is_told_with_what_is_expected(file: Path, text: str, start: str) -> None:
    assert problem_of(file, MINIMAL + text).startswith(start)


def test_a_section_that_is_a_value_is_told(file: Path) -> None:
    assert problem_of(file, "smtp = 3\n" + MINIMAL) == ":1: smtp: should be a section: [smtp]"


@pytest.mark.parametrize(
    "domain", ["", "localhost", "-a.example", "a..example", "téléexpertise.example", "a\n.example"]
)
def test_a_domain_must_be_one(domain: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"service\.domain: should be a domain name"):
        load_mapping({"service": {"domain": domain}}, tmp_path)


@pytest.mark.parametrize(
    "zone", ["", "Paris", "Europe", "europe/paris", "../UTC", "/etc/passwd", "zone.tab", "a\0", "a" * 999]
)
def test_a_time_zone_must_be_one(zone: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"service\.time_zone: should be the name of a time zone"):
        load_mapping({"service": {"domain": "demo.mssante.example", "time_zone": zone}}, tmp_path)


def test_a_missing_setting_is_told(file: Path) -> None:
    assert problem_of(file, "[smtp]\nmx_port = 0\n") == ": service.domain: is missing and has no default"
    assert problem_of(file, "\n[service]\n") == ":2: service.domain: is missing and has no default"


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("[service]\ndomain = demo\n", ":2: is not TOML: Invalid value"),
        ('[service]\ndomain = "demo', ":2: is not TOML: "),
    ],
)
def test_a_syntax_error_is_told_with_its_line(file: Path, text: str, start: str) -> None:
    assert problem_of(file, text).startswith(start)


def test_all_problems_are_held_in_order(file: Path) -> None:
    file.write_text(MINIMAL + "[smtp]\nmx_port = -1\nmax_dept = 3\nmax_parts = 0\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="and 2 more") as caught:
        load(file, {})
    assert [(problem.line, problem.key) for problem in caught.value.problems] == [
        (4, "smtp.mx_port"),
        (5, "smtp.max_dept"),
        (6, "smtp.max_parts"),
    ]
    assert caught.value.exit_code == 1


def test_keys_in_long_strings_are_not_taken_for_settings(file: Path) -> None:
    text = '[service]\ntown = """\nLe Puy\n"""\ndisplay_name = ""\ndomain = "demo.example"\n'
    assert problem_of(file, text).startswith(":2: service.town: ")


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.toml: cannot be read: No such file"):
        load(tmp_path / "absent.toml", {})
    (tmp_path / "latin.toml").write_bytes(b'[service]\ntown = "Issoir\xe9"\n')
    with pytest.raises(ConfigError, match=r"latin\.toml: is not UTF-8"):
        load(tmp_path / "latin.toml", {})


def test_a_secret_comes_from_the_environment(file: Path) -> None:
    url = "postgresql+asyncpg://tle:s3cret@db/tle"
    settings = settings_of(
        file, MINIMAL, {"TLE_DATABASE_URL": url, "TLE_PKI_TLS_KEY": "/run/secrets/tls", "HOME": "/"}
    )
    assert settings.database.url.get_secret_value() == url
    assert settings.pki.tls_key == Path("/run/secrets/tls")
    assert "s3cret" not in repr(settings)


def test_a_variable_of_ours_that_is_no_secret_is_told(file: Path) -> None:
    file.write_text(MINIMAL, encoding="utf-8")
    with pytest.raises(
        ConfigError, match=r"\(environment\): TLE_DATABASE_ULR: .* did you mean TLE_DATABASE_URL\?"
    ):
        load(file, {"TLE_DATABASE_ULR": "x"})
    with pytest.raises(ConfigError, match="only secrets are read from the environment"):
        load(file, {"TLE_SMTP_MX_PORT": "25"})
    assert load(file, {"TLE_SHARED": "../shared"})


def test_a_wrong_secret_is_not_shown(file: Path) -> None:
    file.write_text(MINIMAL + "[database]\nurl = 739182\n", encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load(file, {})
    assert "database.url" in str(caught.value)
    assert "739182" not in str(caught.value) + str(caught.value.__cause__)


_TOKENS = {"enabled": True, "issuer": "https://psc.example", "audiences": ["dpi"]}


@pytest.mark.parametrize(
    ("oauth", "why"),
    [
        ({"enabled": True}, "needs `issuer` and `audiences`"),
        ({**_TOKENS, "audiences": []}, "needs `issuer` and `audiences`"),
        (_TOKENS, "needs one of `jwks_url` and `jwks_file`"),
        ({**_TOKENS, "jwks_url": "https://psc.example/k", "jwks_file": "k"}, "needs one of"),
        ({**_TOKENS, "jwks_url": "http://psc.example/k"}, "should be an https address"),
        ({**_TOKENS, "jwks_url": "http://localhost.psc.example/k"}, "should be an https address"),
        ({**_TOKENS, "jwks_url": "https://a:b@psc.example/k"}, "should be an https address"),
        ({**_TOKENS, "jwks_url": "file:///etc/passwd"}, "should be an https address"),
        ({**_TOKENS, "jwks_url": "https://"}, "should be an https address"),
    ],
)
def test_tokens_need_to_know_whom_to_believe(tmp_path: Path, oauth: dict[str, object], why: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load_mapping({"service": {"domain": "demo.mssante.example"}, "oauth": oauth}, tmp_path)
    assert why in str(refused.value)


def test_tokens_are_off_until_wanted(tmp_path: Path) -> None:
    service = {"domain": "demo.mssante.example"}
    assert not load_mapping({"service": service}, tmp_path).oauth.enabled
    on = load_mapping({"service": service, "oauth": {**_TOKENS, "jwks_file": "keys.json"}}, tmp_path).oauth
    assert (on.enabled, on.jwks_file) == (True, tmp_path / "keys.json")
