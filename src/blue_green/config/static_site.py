"""Settings without effect for a static site, which has no app, or only for one."""

from collections.abc import Iterator, Mapping, Sequence

from blue_green.config.settings import SiteSettings

OF_BACKENDS: Mapping[str, Sequence[str]] = {
    "app": ("ports", "backends", "port_opened_by"),
    "health": (
        "path", "host", "status", "interval", "timeout", "start_timeout", "rise", "fall", "warmup",
    ),
    "swap": (
        "strategy", "overdue", "stream_timeout", "canary", "canary_for", "verdict",
        "verdict_requests", "verdict_margin", "low_memory",
    ),
    "idle": ("after", "processes"),
}  # fmt: skip
OF_PROGRAMS: Mapping[str, Sequence[str]] = {
    "app": ("stop_signal", "stop_timeout"),
    "swap": ("soak",),
}
"""They apply to `[processes]`, too."""


def contradictions(site: SiteSettings) -> Iterator[str]:
    if not site.is_static:
        # The app answers when there is no file.
        of_static: Mapping[str, Sequence[str]] = {"files": ("not_found", "fallback")}
        yield from _without_effect(site, of_static, "has no effect with command in [app]")
        return
    yield from _without_effect(site, OF_BACKENDS, "has no effect without command in [app]")
    if not site.processes:
        why = "has no effect without command in [app], and without [processes]"
        yield from _without_effect(site, OF_PROGRAMS, why)


def _without_effect(
    site: SiteSettings, sections: Mapping[str, Sequence[str]], why: str
) -> Iterator[str]:
    for section, keys in sections.items():
        values = getattr(site, section)
        defaults = type(values)()
        for key in keys:
            if getattr(values, key) != getattr(defaults, key):
                yield f"{site.place.key(section, key)}: {why}"
