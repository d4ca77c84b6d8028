"""All settings."""

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
    SwapSettings,
    WebhookSettings,
)


@frozen
class Settings:
    """A whole supervisor.toml, checked, with every path made absolute."""

    app: AppSettings
    git: GitSettings = GitSettings()
    release: ReleaseSettings = ReleaseSettings()
    health: HealthSettings = HealthSettings()
    swap: SwapSettings = SwapSettings()
    hold: HoldSettings = HoldSettings()
    proxy: ProxySettings = ProxySettings()
    admin: AdminSettings = AdminSettings()
    webhook: WebhookSettings = WebhookSettings()
    notify: NotifySettings = NotifySettings()
    control: ControlSettings = ControlSettings()
    state: StateSettings = StateSettings()
