"""All settings: of the process, and of each site."""

from pathlib import Path

from attrs import frozen

from blue_green.config.process_settings import (
    AdminSettings,
    ControlSettings,
    ProxySettings,
    StateSettings,
)
from blue_green.config.site_settings import (
    AppSettings,
    GitSettings,
    HealthSettings,
    HoldSettings,
    NotifySettings,
    ReleaseSettings,
    ServingSettings,
    SwapSettings,
    WebhookSettings,
)


@frozen
class SiteSettings:
    """The settings of one site, checked, with every path made absolute."""

    name: str
    file: Path
    """The file with its settings. `[notify] command` runs in the directory of that file."""
    state_directory: Path
    """Its part of the state directory: its state and its releases."""
    app: AppSettings
    serving: ServingSettings = ServingSettings()
    git: GitSettings = GitSettings()
    release: ReleaseSettings = ReleaseSettings()
    health: HealthSettings = HealthSettings()
    swap: SwapSettings = SwapSettings()
    hold: HoldSettings = HoldSettings()
    webhook: WebhookSettings = WebhookSettings()
    notify: NotifySettings = NotifySettings()


@frozen
class Settings:
    """A whole supervisor.toml: the settings of the process, and its sites."""

    sites: tuple[SiteSettings, ...]
    is_single: bool = True
    """The file has `[app]` at its top: it is one site, and nothing needs the name of the site."""
    proxy: ProxySettings = ProxySettings()
    admin: AdminSettings = AdminSettings()
    control: ControlSettings = ControlSettings()
    state: StateSettings = StateSettings()
