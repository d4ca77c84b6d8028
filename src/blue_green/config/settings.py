"""All settings: of the process, and of each site."""

from collections.abc import Mapping
from pathlib import Path

from attrs import field, frozen

from blue_green.config.app_process_settings import AppProcessSettings
from blue_green.config.files_settings import FilesSettings
from blue_green.config.idle_settings import IdleSettings
from blue_green.config.place import Place
from blue_green.config.process_settings import (
    AdminSettings,
    BuildSettings,
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
    SiteTlsSettings,
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
    app: AppSettings = AppSettings()
    serving: ServingSettings = ServingSettings()
    processes: Mapping[str, AppProcessSettings] = field(factory=dict)
    files: FilesSettings = FilesSettings()
    git: GitSettings = GitSettings()
    release: ReleaseSettings = ReleaseSettings()
    health: HealthSettings = HealthSettings()
    swap: SwapSettings = SwapSettings()
    hold: HoldSettings = HoldSettings()
    idle: IdleSettings = IdleSettings()
    tls: SiteTlsSettings = SiteTlsSettings()
    webhook: WebhookSettings = WebhookSettings()
    notify: NotifySettings = NotifySettings()
    place: Place = Place(Path("supervisor.toml"))
    """Where its settings are written, for messages about them."""

    @property
    def longest_stop(self) -> float:
        """Seconds in which all that runs stops: a candidate, and then the rest side by side."""
        processes = [one.stop_timeout or 0.0 for one in self.processes.values()]
        return self.app.stop_timeout + max([self.app.stop_timeout, *processes])

    @property
    def is_static(self) -> bool:
        """Whether it has no app: it serves the files of its releases."""
        return not self.app.command

    @property
    def rules_out_two_releases(self) -> str:
        """The setting by which only one release can run at a time; empty if two can."""
        if self.swap.strategy == "exclusive":
            return 'strategy = "exclusive" in [swap]'
        return "in_place = true in [release]" if self.release.in_place else ""


@frozen
class Settings:
    """A whole supervisor.toml and the files that it includes: the process, and its sites."""

    sites: tuple[SiteSettings, ...]
    """In the order of their names."""
    is_single: bool = True
    """The file itself is one site, and nothing needs the name of the site. Otherwise there may be
    any number of sites, also one or none."""
    proxy: ProxySettings = ProxySettings()
    admin: AdminSettings = AdminSettings()
    control: ControlSettings = ControlSettings()
    state: StateSettings = StateSettings()
    build: BuildSettings = BuildSettings()
    place: Place = Place(Path("supervisor.toml"))
    """Where the settings of the process are written, for messages about them."""
