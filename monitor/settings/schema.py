"""The daemon's own settings: ``config/monitor.yaml``. Environment variables ``VEDETTE_…`` win over the file."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr

from incidents.duration import Duration
from monitor.settings.models import Frozen, ModelSettings


class DatabaseSettings(Frozen):
    """Where incidents, offsets and detector states live."""

    url: str = "sqlite:///var/vedette.db"
    allow_plaintext: bool = False
    """PostgreSQL without TLS to a host that is not this machine is refused unless this says so."""


class SourceCommon(Frozen):
    """What every source has."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")
    format: str = "auto"
    """A decoder's name, or ``auto``: decided over the first lines, and printed."""


class KafkaSecurity(Frozen):
    """TLS and SASL towards the brokers."""

    protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "SASL_SSL"
    ca_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None
    mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    username: str | None = None
    password: SecretStr | None = None
    password_file: Path | None = None
    allow_plaintext: bool = False
    """PLAINTEXT and SASL_PLAINTEXT beyond this machine are refused unless this says so."""


class KafkaSourceSettings(SourceCommon):
    """A Kafka consumer group member."""

    kind: Literal["kafka"]
    bootstrap: tuple[str, ...] = Field(min_length=1)
    topics: tuple[str, ...] = Field(min_length=1)
    group: str = "vedette"
    start: Literal["earliest", "latest"] = "earliest"
    """Where a partition that has never been read begins."""
    latency: Duration = timedelta(milliseconds=50)
    """The broker may gather records this long (fetch_max_wait_ms): CPU at 2,000 records/s falls from 63 % of a core
    to 7 % while the median latency rises from 3 to 32 ms."""
    security: KafkaSecurity = KafkaSecurity()


class FileSourceSettings(SourceCommon):
    """A file, or a directory of files, of one record a line, followed across rotation."""

    kind: Literal["file"]
    path: Path
    pattern: str = "*"
    """In a directory: which names are read."""
    follow: bool = True
    start: Literal["earliest", "latest"] = "earliest"


class StdinSourceSettings(SourceCommon):
    """Standard input, one record a line, to its end."""

    kind: Literal["stdin"]


class HttpSourceSettings(SourceCommon):
    """``POST /v1/records`` into an embedded durable spool."""

    kind: Literal["http"]
    listen: str = "127.0.0.1:8321"
    spool: Path = Path("var/spool")
    token: SecretStr | None = None
    token_file: Path | None = None
    max_body_bytes: int = Field(16 * 1024 * 1024, ge=1024)
    max_spool_bytes: int = Field(1024 * 1024 * 1024, ge=1024 * 1024)
    """Unread bytes the spool may hold; beyond it answers 429."""


SourceSettings = Annotated[
    KafkaSourceSettings | FileSourceSettings | StdinSourceSettings | HttpSourceSettings, Field(discriminator="kind")
]


class HealthSettings(Frozen):
    """``/livez``, ``/readyz`` and ``/metrics``."""

    listen: str = "127.0.0.1:9464"


class LimitSettings(Frozen):
    """Bounds that keep the daemon alive whatever it is fed."""

    max_models: int = Field(200, ge=1)
    max_versions_per_model: int = Field(8, ge=1)
    max_features: int = Field(500, ge=1)
    max_record_bytes: int = Field(8 * 1024 * 1024, ge=1024)
    clock_ahead: Duration = timedelta(hours=1)
    """Event times further in the future are dead letters: they would hold blocks and windows open for ever."""
    dead_letter_share: float = Field(0.9, gt=0, le=1)
    """Consumption stops loudly when more than this share of the last ``dead_letter_window`` records is invalid."""
    dead_letter_window: int = Field(1000, ge=10)
    dead_letters_kept: int = Field(100_000, ge=0)


class PipelineSettings(Frozen):
    """How records are taken in."""

    max_poll_records: int = Field(5000, ge=1)
    commit_interval: Duration = timedelta(milliseconds=200)
    """Longest time between a record being read and its effects being committed."""


class LogSettings(Frozen):
    """The daemon's own log; never holds payloads."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "json", "console"] = "auto"


class Settings(Frozen):
    """Everything a daemon needs to know."""

    database: DatabaseSettings = DatabaseSettings()
    sources: tuple[SourceSettings, ...] = ()
    models_directory: Path = Path("models")
    """Relative paths are relative to the file that names them."""
    playbooks_directory: Path = Path("playbooks")
    receivers_file: Path = Path("receivers.yaml")
    health: HealthSettings = HealthSettings()
    limits: LimitSettings = LimitSettings()
    pipeline: PipelineSettings = PipelineSettings()
    log: LogSettings = LogSettings()
    sweep_every: Duration = timedelta(seconds=1)
    """How often due timers and deliveries are looked for."""
    models: tuple[ModelSettings, ...] = ()
    """Filled from ``models_directory``; models may also be written here."""
    defaults: ModelSettings = ModelSettings(model="*")
    """For models that no file names."""
