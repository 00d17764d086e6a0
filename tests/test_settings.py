from collections.abc import Callable
from pathlib import Path

import pytest

from followup.errors import ConfigurationError
from followup.settings import (
    DEVELOPMENT_KEY,
    LogFormat,
    Mode,
    Settings,
    TransportKind,
    described,
    load,
    unknown_variables,
    variable,
)

VARIABLES = {
    "project": "FOLLOWUP_PROJECT",
    "database_url": "DATABASE_URL",
    "redis_url": "REDIS_URL",
    "port": "PORT",
    "redis_tls_verify": "FOLLOWUP_REDIS_TLS_VERIFY",
    "redis_namespace": "FOLLOWUP_REDIS_NAMESPACE",
    "sendgrid_api_key": "SENDGRID_API_KEY",
    "sendgrid_url": "FOLLOWUP_SENDGRID_URL",
    "sendgrid_event_keys": "FOLLOWUP_SENDGRID_EVENT_KEYS",
    "sendgrid_inbound_keys": "FOLLOWUP_SENDGRID_INBOUND_KEYS",
    "smtp_url": "FOLLOWUP_SMTP_URL",
    "mode": "FOLLOWUP_MODE",
    "transport": "FOLLOWUP_TRANSPORT",
    "outbox": "FOLLOWUP_OUTBOX",
    "test_inbox": "FOLLOWUP_TEST_INBOX",
    "test_allow": "FOLLOWUP_TEST_ALLOW",
    "public_url": "FOLLOWUP_PUBLIC_URL",
    "reply_domain": "FOLLOWUP_REPLY_DOMAIN",
    "worker_threads": "FOLLOWUP_WORKER_THREADS",
    "sweep_seconds": "FOLLOWUP_SWEEP_SECONDS",
    "sender_per_minute": "FOLLOWUP_SENDER_PER_MINUTE",
    "resend_unknown": "FOLLOWUP_RESEND_UNKNOWN",
    "failpoint": "FOLLOWUP_FAILPOINT",
    "proxies": "FOLLOWUP_PROXIES",
    "metrics_token": "FOLLOWUP_METRICS_TOKEN",
    "alert_url": "FOLLOWUP_ALERT_URL",
    "allow_ephemeral": "FOLLOWUP_ALLOW_EPHEMERAL",
    "dyno": "DYNO",
    "secret_keys": "FOLLOWUP_SECRET_KEYS",
    "suppression_key": "FOLLOWUP_SUPPRESSION_KEY",
    "log_level": "FOLLOWUP_LOG_LEVEL",
    "log_format": "FOLLOWUP_LOG_FORMAT",
}
OWN_KEYS = {"FOLLOWUP_SECRET_KEYS": "a-key-of-our-own", "FOLLOWUP_SUPPRESSION_KEY": "another"}

SECRETS = {
    "database_url", "redis_url", "sendgrid_api_key", "smtp_url", "metrics_token", "alert_url", "suppression_key",
}  # fmt: skip

Given = Callable[..., Settings]


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Given:
    """Return the settings read where only these variables are set, in an empty folder."""
    for name in VARIABLES.values():
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)

    def read(**variables: str) -> Settings:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        return load()

    return read


def refused(given: Given, **variables: str) -> str:
    with pytest.raises(ConfigurationError) as error:
        given(**variables)
    assert error.value.hint == "followup config lists every setting"
    return str(error.value)


# -- names and defaults --


def test_every_setting_has_its_variable() -> None:
    assert {field: variable(field) for field in Settings.model_fields} == VARIABLES


def test_without_any_variable_nothing_leaves_this_machine(given: Given, tmp_path: Path) -> None:
    settings = given()
    assert (settings.mode, settings.transport) == (Mode.TEST, TransportKind.OUTBOX)
    assert settings.database == f"sqlite:///{tmp_path / 'followup.db'}"
    assert (settings.redis_url, settings.sendgrid_api_key, settings.test_inbox) == (None, None, None)
    assert (settings.project, settings.outbox_folder) == (Path(), Path("outbox"))
    assert (settings.port, settings.public_url) == (8000, "http://localhost:8000")
    assert (settings.log_level, settings.log_format) == ("INFO", LogFormat.AUTO)
    assert settings.keys == (DEVELOPMENT_KEY,)
    assert (settings.sendgrid_url, settings.smtp_url) == ("https://api.sendgrid.com", None)
    assert (settings.sendgrid_event_keys, settings.sendgrid_inbound_keys, settings.test_allow) == ((), (), ())
    assert (settings.redis_tls_verify, settings.redis_namespace) == (True, "followup")
    assert (settings.worker_threads, settings.sweep_seconds, settings.proxies) == (3, 5.0, 1)
    assert (settings.metrics_token, settings.alert_url) == (None, None)
    assert (settings.dyno, settings.allow_ephemeral) == (None, False)


@pytest.mark.parametrize(
    ("field", "text", "value"),
    [
        ("project", "shop", Path("shop")),
        ("port", "5000", 5000),
        ("mode", "test", Mode.TEST),
        ("transport", "sendgrid", TransportKind.SENDGRID),
        ("outbox", "/tmp/out", Path("/tmp/out")),
        ("test_inbox", "me@shop.example", "me@shop.example"),
        ("public_url", "https://shop.example/", "https://shop.example"),
        ("reply_domain", " Reply.Shop.Example. ", "reply.shop.example"),
        ("redis_tls_verify", "false", False),
        ("redis_tls_verify", "0", False),
        ("redis_namespace", "my-shop", "my-shop"),
        ("sendgrid_url", "https://api.eu.sendgrid.com/", "https://api.eu.sendgrid.com"),
        ("sendgrid_event_keys", "MFkw+a/b==", ("MFkw+a/b==",)),
        ("sendgrid_event_keys", " new== , old==,", ("new==", "old==")),
        ("sendgrid_inbound_keys", "one,two", ("one", "two")),
        ("test_allow", "me@shop.example, @team.example", ("me@shop.example", "@team.example")),
        ("worker_threads", "8", 8),
        ("sweep_seconds", "0.5", 0.5),
        ("proxies", "0", 0),
        ("allow_ephemeral", "true", True),
        ("log_level", "debug", "DEBUG"),
        ("log_format", "json", LogFormat.JSON),
    ],
)
def test_a_variable_sets_its_field(given: Given, field: str, text: str, value: object) -> None:
    assert getattr(given(**{VARIABLES[field]: text}), field) == value


@pytest.mark.parametrize("field", [name for name in VARIABLES if name in SECRETS])
def test_a_variable_sets_its_secret(given: Given, field: str) -> None:
    assert getattr(given(**{VARIABLES[field]: "sqlite:///x"}), field).get_secret_value() == "sqlite:///x"


def test_an_empty_variable_counts_as_not_set(given: Given) -> None:
    assert given(**dict.fromkeys(VARIABLES.values(), "")) == given()


def test_a_variable_that_platforms_name_takes_no_prefix(given: Given) -> None:
    assert given(FOLLOWUP_PORT="1", FOLLOWUP_DATABASE_URL="sqlite:///x").port == 8000


@pytest.mark.parametrize("entry", ["foo", "@shop.example", "a@b@c", "me@shop.example,you@shop.example"])
def test_an_inbox_that_is_no_address_is_refused_at_start(given: Given, entry: str) -> None:
    assert refused(given, FOLLOWUP_TEST_INBOX=entry) == f"FOLLOWUP_TEST_INBOX: {entry!r} is not a mail address"


@pytest.mark.parametrize("entry", ["foo", "@", "shop.example", "@shop", "you@"])
def test_nobody_is_let_in_by_what_is_no_address(given: Given, entry: str) -> None:
    said = refused(given, FOLLOWUP_TEST_ALLOW=f"me@shop.example,{entry}")
    assert said == f"FOLLOWUP_TEST_ALLOW: {entry!r} is neither an address nor a domain such as @shop.example"


# -- where they come from --


def test_the_projects_env_file_is_read_and_the_environment_wins(given: Given, tmp_path: Path) -> None:
    shop = tmp_path / "shop"
    shop.mkdir()
    (shop / ".env").write_text("PORT=1\nFOLLOWUP_TEST_INBOX=Grüße@shop.example\nOTHER=x\n", encoding="utf-8")
    (tmp_path / ".env").write_text("FOLLOWUP_LOG_LEVEL=DEBUG\n")
    settings = given(FOLLOWUP_PROJECT=str(shop), PORT="2")
    assert (settings.port, settings.test_inbox) == (2, "Grüße@shop.example")
    assert settings.log_level == "INFO", "the file of another folder"
    assert settings.database == f"sqlite:///{shop / 'followup.db'}"
    assert settings.outbox_folder == shop / "outbox"


def test_an_override_wins_over_everything(given: Given, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("DATABASE_URL=sqlite:///file\n")
    given(DATABASE_URL="sqlite:///environment", FOLLOWUP_PROJECT="elsewhere")
    settings = load(database_url="sqlite:///override", project=tmp_path)
    assert settings.database == "sqlite:///override"
    assert settings.project == tmp_path
    (tmp_path / ".env").write_text("PORT=7\n")
    assert load(project=tmp_path).port == 7


def test_an_env_file_cannot_move_the_project(given: Given, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("FOLLOWUP_PROJECT=elsewhere\n")
    assert given().project == Path()


def test_an_env_file_that_is_no_text_is_refused(given: Given, tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"PORT=1\n\xff\xfe")
    assert refused(given).startswith(".env is not UTF-8 text")


def test_variables_that_set_nothing_are_found_with_what_they_may_mean(given: Given, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("FOLLOWUP_TEST_INBX=me@shop.example\nOTHER=x\nFOLLOWUP_MODE=test\n")
    settings = given(FOLLOWUP_DATABASE_URL="sqlite:///x", followup_quux="1", PUBLIC_URL="x", PORT="1")
    assert unknown_variables(settings) == {
        "FOLLOWUP_DATABASE_URL": "DATABASE_URL",
        "FOLLOWUP_QUUX": None,
        "FOLLOWUP_TEST_INBX": "FOLLOWUP_TEST_INBOX",
    }


# -- databases --


@pytest.mark.parametrize(
    ("url", "database"),
    [
        ("postgres://u:p@h:5432/d?sslmode=require", "postgresql+psycopg://u:p@h:5432/d?sslmode=require"),
        ("postgresql://u:p@h/d", "postgresql+psycopg://u:p@h/d"),
        ("postgresql+psycopg://u:p@h/d", "postgresql+psycopg://u:p@h/d"),
        ("sqlite:///shop.db", "sqlite:///shop.db"),
        ("postgres://u:postgres://@h/d", "postgresql+psycopg://u:postgres://@h/d"),
    ],
)
def test_a_database_url_gets_the_driver_we_ship(given: Given, url: str, database: str) -> None:
    assert given(DATABASE_URL=url).database == database


# -- a disk that does not last --


def test_a_sqlite_file_is_refused_where_the_disk_is_thrown_away_every_day(given: Given) -> None:
    for url in ("", "sqlite:///shop.db"):
        message = refused(given, DYNO="web.1", DATABASE_URL=url)
        assert message.startswith("a SQLite file does not survive a day on Heroku: set DATABASE_URL")
        assert "FOLLOWUP_ALLOW_EPHEMERAL=true" in message


def test_it_is_taken_for_a_trial_and_so_is_postgresql(given: Given) -> None:
    assert given(DYNO="run.1", FOLLOWUP_ALLOW_EPHEMERAL="true").dyno == "run.1"
    assert given(FOLLOWUP_ALLOW_EPHEMERAL="false", DATABASE_URL="postgres://u:p@h/d").dyno == "run.1"


# -- what is refused --


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("FOLLOWUP_MODE", "Live", "FOLLOWUP_MODE: Input should be 'test' or 'live'"),
        ("FOLLOWUP_TRANSPORT", "pigeon", "FOLLOWUP_TRANSPORT: Input should be 'outbox', 'smtp' or 'sendgrid'"),
        ("FOLLOWUP_LOG_LEVEL", "loud", "FOLLOWUP_LOG_LEVEL: must be DEBUG, INFO, WARNING or ERROR"),
        ("FOLLOWUP_LOG_FORMAT", "xml", "FOLLOWUP_LOG_FORMAT: Input should be 'auto', 'text' or 'json'"),
        (
            "FOLLOWUP_PUBLIC_URL",
            "shop.example",
            "FOLLOWUP_PUBLIC_URL: must start with https:// (or http:// on your own machine)",
        ),
        (
            "FOLLOWUP_REPLY_DOMAIN",
            "maria@shop.example",
            "FOLLOWUP_REPLY_DOMAIN: must be a bare domain, such as reply.shop.example",
        ),
        ("FOLLOWUP_SECRET_KEYS", " , ", "FOLLOWUP_SECRET_KEYS: must hold at least one key"),
        ("PORT", "70000", "PORT: Input should be less than or equal to 65535"),
        (
            "FOLLOWUP_SENDGRID_URL",
            "api.sendgrid.com",
            "FOLLOWUP_SENDGRID_URL: must start with https:// (or http:// on your own machine)",
        ),
        ("FOLLOWUP_WORKER_THREADS", "0", "FOLLOWUP_WORKER_THREADS: Input should be greater than or equal to 1"),
        ("FOLLOWUP_SWEEP_SECONDS", "0", "FOLLOWUP_SWEEP_SECONDS: Input should be greater than or equal to 0.01"),
        ("FOLLOWUP_PROXIES", "-1", "FOLLOWUP_PROXIES: Input should be greater than or equal to 0"),
    ],
)
def test_a_wrong_value_is_refused_under_the_name_of_its_variable(
    given: Given, name: str, text: str, message: str
) -> None:
    assert refused(given, **{name: text}) == message


def test_every_wrong_value_is_named_at_once_and_none_is_repeated(given: Given) -> None:
    message = refused(given, PORT="secret-in-the-wrong-place", FOLLOWUP_MODE="secret-too")
    assert "PORT: " in message
    assert "FOLLOWUP_MODE: " in message
    assert "secret" not in message


def test_live_mode_needs_keys_of_ones_own(given: Given) -> None:
    needed = "{} must be set to a secret of your own in live mode"
    assert refused(given, FOLLOWUP_MODE="live") == needed.format("FOLLOWUP_SECRET_KEYS")
    assert refused(given, FOLLOWUP_SECRET_KEYS="own") == needed.format("FOLLOWUP_SUPPRESSION_KEY")
    for keys in (f"own,{DEVELOPMENT_KEY}", DEVELOPMENT_KEY):
        assert "SECRET_KEYS" in refused(given, FOLLOWUP_SUPPRESSION_KEY="own", FOLLOWUP_SECRET_KEYS=keys)
    assert given(FOLLOWUP_SECRET_KEYS="own").mode is Mode.LIVE


def test_several_keys_are_kept_newest_first(given: Given) -> None:
    assert given(FOLLOWUP_SECRET_KEYS=" new , old,,").keys == ("new", "old")


# -- what is shown --


def shown(settings: Settings) -> dict[str, str]:
    return {one.variable: one.shown for one in described(settings)}


def test_every_setting_is_described_and_whether_it_is_set(given: Given) -> None:
    found = described(given(PORT="5000"))
    assert [one.variable for one in found] == list(VARIABLES.values())
    assert all(one.what for one in found)
    assert {one.variable for one in found if one.is_set} == {"PORT"}
    assert shown(given())["PORT"] == "5000"
    assert shown(given())["FOLLOWUP_MODE"] == "test"
    assert shown(given())["REDIS_URL"] == "–"


def test_secrets_are_shown_as_dots(given: Given) -> None:
    found = shown(given(**OWN_KEYS | {"FOLLOWUP_SECRET_KEYS": "one,two"}, SENDGRID_API_KEY="SG.very"))
    assert found["FOLLOWUP_SECRET_KEYS"] == "••••, ••••"
    assert found["FOLLOWUP_SUPPRESSION_KEY"] == "••••"
    assert found["SENDGRID_API_KEY"] == "••••"


def test_new_secrets_are_shown_as_dots_and_public_keys_as_they_are(given: Given) -> None:
    found = shown(
        given(
            FOLLOWUP_METRICS_TOKEN="hush",
            FOLLOWUP_SMTP_URL="smtp://ana:hush@mail.example:587",
            FOLLOWUP_SENDGRID_EVENT_KEYS="MFkw1,MFkw2",
        )
    )
    assert found["FOLLOWUP_METRICS_TOKEN"] == "••••"
    assert found["FOLLOWUP_SMTP_URL"] == "smtp://ana:••••@mail.example:587"
    assert found["FOLLOWUP_SENDGRID_EVENT_KEYS"] == "MFkw1, MFkw2"
    assert found["FOLLOWUP_TEST_ALLOW"] == "–"


def test_of_the_url_that_alerts_go_to_only_the_server_is_shown(given: Given) -> None:
    hook = "https://ana:hush@hooks.example/services/hush?key=hush"
    assert shown(given(FOLLOWUP_ALERT_URL=hook))["FOLLOWUP_ALERT_URL"] == "https://ana:••••@hooks.example/••••"
    assert shown(given(FOLLOWUP_ALERT_URL="https://hooks.example"))["FOLLOWUP_ALERT_URL"] == "https://hooks.example"


@pytest.mark.parametrize(
    ("url", "masked"),
    [
        ("postgres://ana:secret@h:5432/shop", "postgres://ana:••••@h:5432/shop"),
        ("rediss://:secret@h:6379/0", "rediss://:••••@h:6379/0"),
        ("postgres://ana@h/shop", "postgres://ana@h/shop"),
        ("postgres://h/shop?user=ana&password=secret", "postgres://h/shop"),
        ("postgres://ana:secret@h/shop?sslmode=require", "postgres://ana:••••@h/shop"),
        ("postgres://ana:se@cret/secret#secret@h/shop", "postgres://ana:••••@h/shop"),
        ("postgres://ana:se?secret@h/shop", "postgres://••••"),
        ("postgres://h/shop?password=se@secret", "postgres://••••"),
        ("postgres://[ana:secret@h/shop", "postgres://[ana:••••@h/shop"),
        ("sqlite:////var/shop.db", "sqlite:////var/shop.db"),
        ("secret", "••••"),
    ],
)
def test_the_password_of_a_url_is_never_shown(given: Given, url: str, masked: str) -> None:
    found = shown(given(DATABASE_URL=url, REDIS_URL=url))
    assert (found["DATABASE_URL"], found["REDIS_URL"]) == (masked, masked)


def test_settings_printed_by_accident_hold_no_secret(given: Given) -> None:
    settings = given(DATABASE_URL="postgres://u:hush@h/d", SENDGRID_API_KEY="hush", FOLLOWUP_SECRET_KEYS="hush")
    assert "hush" not in repr(settings) + str(settings) + settings.model_dump_json()
