"""Settings of the place: where things are and how they run, never what comes out."""

import re
from pathlib import Path
from typing import Literal

from pydantic import AliasChoices, ByteSize, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """The place a command runs in, read from `TSAD_*` variables or a `.env` file in the working folder.

    Whatever changes a result stands in the experiment file instead, and is logged with the run.
    """

    model_config = SettingsConfigDict(env_prefix="TSAD_", env_file=".env", extra="ignore", frozen=True)

    tracking_uri: str = Field(
        "sqlite:///mlflow.db", validation_alias=AliasChoices("MLFLOW_TRACKING_URI", "TSAD_TRACKING_URI")
    )
    """MLflow tracking and registry. `mlflow run` sets `MLFLOW_TRACKING_URI`, which therefore goes first."""

    store_outage: float = Field(1800, ge=0)
    """Longest time in seconds that a search continues while its tracking store is away; what happens waits meanwhile."""

    data_dir: Path = Path("data")
    """Folder that holds `ServerMachineDataset/`, `OmniAnomaly-master/` or `OmniAnomaly-master.zip`, and `cicddos2019/`."""

    output_dir: Path = Path("outputs")
    """Folder for checkpoints, search states, winners and the log file."""

    cache_dir: Path | None = None
    """Folder for data that was loaded before; without one, `cache/` in the output folder."""

    cache_size: ByteSize = ByteSize(4 * 10**9)
    """Largest size of the cache, such as `500MB`; 0 turns it off."""

    token: SecretStr | None = None
    """Token of the role `admin` for `tsad serve`; a blank one is an error."""

    token_file: Path | None = None
    """File of the tokens that `tsad token create` makes; without one, `tokens.json` in the output folder."""

    webhook_secret: SecretStr | None = None
    """Secret that MLflow signs its webhooks to `tsad serve` with; without one, none is heard."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Device of models; `auto` takes CUDA if there is one."""

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """Least severe message that reaches the console; the file gets everything from DEBUG on."""


def without_password(uri: str) -> str:
    """Returns a URI with stars for its password.

    >>> without_password("http://ada:secret@tracking:5000")
    'http://ada:***@tracking:5000'
    """
    return re.sub(r"(://[^/:@]*):[^/@]*@", r"\1:***@", uri)
