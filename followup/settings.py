"""Every setting, read once at start from the environment and the project's ``.env``."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

from pydantic import AliasChoices, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, DotEnvSettingsSource, EnvSettingsSource, NoDecode, SettingsConfigDict

from followup.authoring.diagnostics import did_you_mean
from followup.core.customer import InvalidAddress, normalize_address
from followup.errors import ConfigurationError

PREFIX = "FOLLOWUP_"
DEVELOPMENT_KEY = "development-only-not-a-secret"

Keys = Annotated[tuple[str, ...], NoDecode]  # comma-separated in the environment


class Mode(StrEnum):
    TEST = "test"  # nothing reaches a stranger
    LIVE = "live"


class ResendUnknown(StrEnum):
    OFF = "off"  # a person decides
    AUTO = "auto"


class TransportKind(StrEnum):
    OUTBOX = "outbox"
    SMTP = "smtp"
    SENDGRID = "sendgrid"


class LogFormat(StrEnum):
    AUTO = "auto"  # text on a terminal, JSON elsewhere
    TEXT = "text"
    JSON = "json"


class Settings(BaseSettings):
    """
    The settings of one process.

    ``DATABASE_URL``, ``REDIS_URL``, ``PORT`` and ``SENDGRID_API_KEY`` go by the names platforms give
    them; the rest are ``FOLLOWUP_`` plus the field in capitals. An empty value counts as not set.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, extra="ignore", frozen=True, env_file_encoding="utf-8"
    )

    project: Path = Field(default=Path(), description="the folder with workflows/ and templates/")
    database_url: SecretStr = Field(
        default=SecretStr(""),
        validation_alias=AliasChoices("DATABASE_URL", "database_url"),
        description="postgresql://… or sqlite:///FILE; default: followup.db in the project",
    )
    redis_url: SecretStr | None = Field(
        default=None,
        validation_alias=AliasChoices("REDIS_URL", "redis_url"),
        description="hints between processes; without it one process does everything",
    )
    port: int = Field(
        default=8000,
        ge=0,
        le=65_535,
        validation_alias=AliasChoices("PORT", "port"),
        description="of the web process",
    )
    redis_tls_verify: bool = Field(default=True, description="false: take a rediss:// server's self-signed certificate")
    redis_namespace: str = Field(default="followup", min_length=1, description="keeps shops apart that share a Redis")
    sendgrid_api_key: SecretStr | None = Field(
        default=None,
        validation_alias=AliasChoices("SENDGRID_API_KEY", "sendgrid_api_key"),
        description="for the sendgrid transport",
    )
    sendgrid_url: str = Field(
        default="https://api.sendgrid.com", description="https://api.eu.sendgrid.com for EU subusers"
    )
    sendgrid_event_keys: Keys = Field(
        default=(), description="public keys that sign delivery events, comma-separated; needed in live mode"
    )
    sendgrid_inbound_keys: Keys = Field(
        default=(), description="public keys that sign inbound mail, comma-separated; none: not checked"
    )
    smtp_url: SecretStr | None = Field(
        default=None, description="for the smtp transport: smtp://USER:PASSWORD@HOST:587 (STARTTLS) or smtps://…:465"
    )
    mode: Mode = Field(default=Mode.TEST, description="test: nothing reaches a stranger; live: letters go out")
    transport: TransportKind = Field(default=TransportKind.OUTBOX, description="outbox, smtp or sendgrid")
    outbox: Path = Field(default=Path("outbox"), description="folder for .eml files, relative to the project")
    test_inbox: str | None = Field(
        default=None, description="where letters go in test mode; none: to the outbox folder"
    )
    test_allow: Keys = Field(
        default=(), description="addresses and @domains that test mode writes to itself, comma-separated"
    )
    public_url: str = Field(default="http://localhost:8000", description="where customers' links lead")
    reply_domain: str = Field(default="reply.localhost", description="domain whose mail reaches us, for Reply-To")
    worker_threads: int = Field(
        default=3, ge=1, le=64, description="jobs at once in one worker; each takes a connection"
    )
    sweep_seconds: float = Field(default=5.0, ge=0.01, le=300, description="how often a worker looks for what is due")
    sender_per_minute: int | None = Field(
        default=None, ge=1, le=100_000, description="letters a minute in one person's name, by all workers together"
    )
    resend_unknown: ResendUnknown = Field(
        default=ResendUnknown.OFF, description="auto: send again what is proven not to have been accepted"
    )
    failpoint: str | None = Field(default=None, description="for tests of crashes: NAME:N:kill, :raise or :sleep=S")
    proxies: int = Field(
        default=1, ge=0, le=10, description="proxies in front of the web process that add to X-Forwarded-For"
    )
    metrics_token: SecretStr | None = Field(default=None, description="opens /metrics as a bearer token; none: closed")
    alert_url: SecretStr | None = Field(
        default=None, description="where alerts are posted as JSON; they are always logged"
    )
    allow_ephemeral: bool = Field(
        default=False, description="true: take a SQLite file on a platform that throws its disk away every day"
    )
    dyno: str | None = Field(
        default=None,
        validation_alias=AliasChoices("DYNO", "dyno"),
        description="set by Heroku: the name of the process",
    )
    secret_keys: Annotated[tuple[SecretStr, ...], NoDecode] = Field(
        default=(SecretStr(DEVELOPMENT_KEY),), description="sign addresses and links; newest first, comma-separated"
    )
    suppression_key: SecretStr = Field(
        default=SecretStr(DEVELOPMENT_KEY), description="hashes suppressed addresses; must never change"
    )
    log_level: str = Field(default="INFO", description="DEBUG, INFO, WARNING or ERROR")
    log_format: LogFormat = Field(default=LogFormat.AUTO, description="auto, text or json")

    @field_validator("secret_keys", "sendgrid_event_keys", "sendgrid_inbound_keys", "test_allow", mode="before")
    @classmethod
    def _split_keys(cls, value: Any) -> Any:
        return tuple(key.strip() for key in value.split(",") if key.strip()) if isinstance(value, str) else value

    @field_validator("secret_keys")
    @classmethod
    def _check_keys(cls, value: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        if not value:
            raise ValueError("must hold at least one key")
        return value

    @field_validator("test_inbox")
    @classmethod
    def _check_inbox(cls, value: str | None) -> str | None:
        if value is not None:
            _check_address(value, f"{value!r} is not a mail address")
        return value

    @field_validator("test_allow")
    @classmethod
    def _check_allowed(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for entry in value:
            address = f"anybody{entry}" if entry.startswith("@") else entry
            _check_address(address, f"{entry!r} is neither an address nor a domain such as @shop.example")
        return value

    @field_validator("public_url", "sendgrid_url")
    @classmethod
    def _check_url(cls, value: str) -> str:
        if not value.startswith(("http://", "https://")):
            raise ValueError("must start with https:// (or http:// on your own machine)")
        return value.rstrip("/")

    @field_validator("reply_domain")
    @classmethod
    def _check_domain(cls, value: str) -> str:
        if "@" in value or "/" in value or not value.strip("."):
            raise ValueError("must be a bare domain, such as reply.shop.example")
        return value.strip().strip(".").lower()

    @field_validator("log_level")
    @classmethod
    def _check_level(cls, value: str) -> str:
        if value.upper() not in {"DEBUG", "INFO", "WARNING", "ERROR"}:
            raise ValueError("must be DEBUG, INFO, WARNING or ERROR")
        return value.upper()

    @model_validator(mode="after")
    def _need_secrets_when_live(self) -> "Settings":
        if self.mode is Mode.LIVE:
            for name in ("secret_keys", "suppression_key"):
                if DEVELOPMENT_KEY in _plain(getattr(self, name)):
                    raise ValueError(f"FOLLOWUP_{name.upper()} must be set to a secret of your own in live mode")
        return self

    @model_validator(mode="after")
    def _need_what_lasts(self) -> "Settings":
        if self.dyno and self.database.startswith("sqlite") and not self.allow_ephemeral:
            raise ValueError(
                "a SQLite file does not survive a day on Heroku: set DATABASE_URL (heroku addons:create"
                " heroku-postgresql), or FOLLOWUP_ALLOW_EPHEMERAL=true for a trial"
            )
        return self

    @property
    def database(self) -> str:
        """Return the database URL in the form SQLAlchemy takes, with the driver we ship."""
        url = self.database_url.get_secret_value()
        if not url:
            return f"sqlite:///{(self.project / 'followup.db').absolute()}"
        for scheme in ("postgres://", "postgresql://"):
            if url.startswith(scheme):
                return "postgresql+psycopg://" + url.removeprefix(scheme)
        return url

    @property
    def keys(self) -> tuple[str, ...]:
        """Return the signing keys, newest first."""
        return _plain(self.secret_keys)

    @property
    def outbox_folder(self) -> Path:
        return self.project / self.outbox


def _check_address(address: str, problem: str) -> None:
    try:
        normalize_address(address)
    except InvalidAddress as error:
        raise ValueError(problem) from error


def _plain(secret: SecretStr | tuple[SecretStr, ...]) -> tuple[str, ...]:
    return tuple(s.get_secret_value() for s in (secret if isinstance(secret, tuple) else (secret,)))


def variable(field: str) -> str:
    """Return the environment variable that sets *field*."""
    alias = Settings.model_fields[field].validation_alias
    return str(alias.choices[0]) if isinstance(alias, AliasChoices) else f"{PREFIX}{field.upper()}"


@dataclass(frozen=True, slots=True)
class Described:
    """A setting as ``followup config`` shows it; secrets are masked."""

    variable: str
    shown: str
    is_set: bool
    what: str


def described(settings: Settings) -> list[Described]:
    """Return every setting with its variable, its value and what it is for."""
    return [
        Described(
            variable=variable(field),
            shown=_shown(getattr(settings, field)),
            is_set=field in settings.model_fields_set and (field != "project" or settings.project != Path()),
            what=about.description or "",
        )
        for field, about in Settings.model_fields.items()
    ]


def _shown(value: object) -> str:
    """Return *value* for people: secrets as dots, the password of a URL as well."""
    match value:
        case SecretStr():
            return _masked_url(value.get_secret_value())
        case tuple():
            return ", ".join("••••" if isinstance(one, SecretStr) else one for one in value) or "–"
        case StrEnum():
            return value.value
        case None:
            return "–"
    return str(value)


def _masked_url(secret: str) -> str:
    """Return a URL without its password, parameters and, of a web hook, path; and dots for any other secret."""
    scheme, marker, rest = secret.partition("://")
    if not marker:
        return "••••" if secret else "–"
    place, _, parameters = rest.partition("?")
    if "@" in parameters:  # a password that holds a question mark, perhaps
        return f"{scheme}://••••"
    credentials, at, host = place.rpartition("@")  # the last one: a password may hold another
    user, colon, _ = credentials.partition(":")
    if scheme in ("http", "https"):  # the path of a web hook is its password
        server, slash, path = host.partition("/")
        host = f"{server}{slash}{'••••' if path else ''}"
    return f"{scheme}://{user}{colon}{'••••' if colon else ''}{at}{host}"


class _Whereabouts(BaseSettings):
    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True, extra="ignore")
    project: Path = Path()


def load(**overrides: Any) -> Settings:
    """
    Read the settings; *overrides* (by field name) win over ``.env`` and environment.

    Raises:
        ConfigurationError: a value is wrong; the message names the variable.
    """
    try:
        project = Path(overrides.get("project") or _Whereabouts().project)
        env_file = project / ".env"
        # the project is given even where it is the default: an .env file cannot move the folder it lies in
        return Settings(_env_file=env_file if env_file.is_file() else None, **{**overrides, "project": project})
    except (ValidationError, UnicodeDecodeError) as error:
        raise ConfigurationError(_explain(error), hint="followup config lists every setting") from error


def unknown_variables(settings: Settings) -> dict[str, str | None]:
    """Return the ``FOLLOWUP_`` variables that set nothing, in the environment and ``.env``, and what each may mean."""
    env_file = settings.project / ".env"
    sources = EnvSettingsSource(Settings), DotEnvSettingsSource(Settings, env_file if env_file.is_file() else None)
    named = {name.upper() for source in sources for name in source.env_vars}  # their case does not matter
    known = {variable(field) for field in Settings.model_fields}
    bare = {name.removeprefix(PREFIX): name for name in known}  # those that platforms name have no prefix
    unknown = sorted(name for name in named - known if name.startswith(PREFIX))
    return {name: bare.get(did_you_mean(name.removeprefix(PREFIX), bare) or "") for name in unknown}


def _explain(error: ValidationError | UnicodeDecodeError) -> str:
    if isinstance(error, UnicodeDecodeError):
        return f".env is not UTF-8 text: {error}"
    lines = []
    for problem in error.errors(include_url=False, include_input=False, include_context=False):
        message = problem["msg"].removeprefix("Value error, ")
        field = str(problem["loc"][0]) if problem["loc"] else ""
        known = field.lower() if field.lower() in Settings.model_fields else ""
        lines.append(f"{variable(known)}: {message}" if known else message)
    return "; ".join(lines)
