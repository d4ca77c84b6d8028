"""Files and their permissions: settings, state, error pages, secrets, and linked paths."""

import os
from collections.abc import Collection
from pathlib import Path, PurePath

from blue_green.config.settings import Settings, SiteSettings
from blue_green.http.errors import ErrorPages
from blue_green.http.own_pages import BadPages
from blue_green.preflight.checks import machine
from blue_green.preflight.checks.context import CheckContext
from blue_green.preflight.checks.finding import Finding, Findings, failed, passed, warned
from blue_green.source import launch
from blue_green.source.links import keeps_place
from blue_green.supervisor import startup
from blue_green.system import documents, files, secret, users
from blue_green.system.env_files import BadEnvFile
from blue_green.system.printable import counted

FOR_ROOT = f"see the unit's lines for root in {documents.path_of('hardening.md')}"


def trust(file: Path, settings: Settings) -> Findings:
    """Whether root trusts files that others can write."""
    try:
        startup.check_trust(file, settings)
    except startup.CannotRun as error:
        yield failed("settings", str(error))


def run_as(context: CheckContext) -> Findings:
    """Which users the app and git run as, and whether root can act for them."""
    try:
        if not context.settings.is_single and context.service_runs_as_us:
            startup.check_site_trust(context.site)
    except startup.CannotRun as error:
        yield failed("settings", str(error))
    owner, user = context.owner.name, context.user.name
    if os.geteuid() == 0 and context.user.uid == 0:
        yield warned("[app] user", startup.as_root(context.site), startup.NAME_A_USER)
        return
    what = "build runs" if context.site.is_static else "the app runs"
    yield passed("[app] user", f"{what} as {user}, and git as {owner}")
    if os.geteuid() == 0 and (problem := startup.lacks_capabilities()):
        yield warned("[app] user", problem, FOR_ROOT)


def state(context: CheckContext) -> Findings:
    """Check that the supervisor can write the state directory, and the app can enter it."""
    directory, about = context.site.state_directory, "[state] directory"
    there = next(place for place in (directory, *directory.parents) if place.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        us = users.owner_of(Path("/proc/self")).name
        what = f"write {directory}" if there == directory else f"create {directory} in {there}"
        yield failed(
            about,
            f"{us} cannot {what}",
            "create it, owned by the user that the supervisor runs as; or run this check as them",
        )
        return
    for who in dict.fromkeys((context.owner, context.user)):
        if not users.may(who, there, os.X_OK):
            yield failed(
                about,
                f"{who.name} cannot enter {there}, where the releases are",
                f"give {who.name} execute (x) permission on it and its parent directories",
            )
            return
    yield passed(about, f"{directory} {'is writable' if there == directory else 'can be created'}")


def error_pages(settings: SiteSettings) -> Findings:
    """Check the custom error pages, if there are any."""
    if settings.serving.error_pages is None:
        return
    try:
        pages = ErrorPages(settings.serving.error_pages)
    except BadPages as error:
        yield failed("[proxy] error_pages", str(error))
    else:
        for name in pages.without_message:
            yield warned(
                "[proxy] error_pages",
                f"{name} lacks {{message}}, so it does not show `maintenance on --message`",
                "add {message} where it should be",
            )
        yield passed("[proxy] error_pages", f"{settings.serving.error_pages} can be used")


def webhook(settings: SiteSettings) -> Findings:
    """Check the secret of the webhook, if there is one."""
    file, about = settings.webhook.secret_file, "[webhook] secret_file"
    if file is None:
        return
    try:
        secret.read(file)
    except secret.BadSecret as error:
        yield failed(about, str(error))
        return
    if files.is_readable_by_all(file):
        yield warned(about, f"every user of this machine can read {file}", f"chmod o-r {file}")
    else:
        yield passed(about, f"{file} holds a secret")


def env_files(context: CheckContext) -> Findings:
    """Check the files with environment variables, if there are any."""
    about, paths = "[app] env_file", context.site.app.env_file
    if not paths:
        return
    try:
        variables = launch.from_files(context.site, context.user)
    except BadEnvFile as error:
        yield failed(about, str(error))
        return
    for path in filter(files.is_readable_by_all, paths):
        yield warned(about, f"every user of this machine can read {path}", f"chmod o-r {path}")
    yield passed(about, counted(len(variables), "variable"))


def links(context: CheckContext, tracked: Collection[str]) -> Findings:
    """Check that linked paths are not in git, and are in the checkout or can be created there."""
    about = "[release] link"
    for name in context.site.release.link:
        source = context.site.git.checkout / name
        is_own = name.endswith("/") and keeps_place(name, tracked)
        if name.rstrip("/") in tracked and not is_own:
            yield failed(
                about,
                f"git tracks {name}, so each release has its own copy",
                f"remove it from link, or from git: git rm -r --cached {name}",
            )
        elif not source.exists():
            yield _not_there_yet(context, name, source)
        elif not users.may(context.user, source, os.R_OK):
            yield failed(
                about,
                f"{context.user.name} cannot read {source}",
                "change the owner or the mode of it or of its parent directories",
            )
        else:
            yield passed(about, f"{name} exists")


def _not_there_yet(context: CheckContext, name: str, source: Path) -> Finding:
    """A directory is created with the next release, a file by the first program that writes it."""
    about = "[release] link"
    if name.endswith("/"):
        return passed(about, f"{source} does not exist yet: the next release creates it")
    there = next(place for place in source.parents if place.exists())
    if not users.may(context.user, there, os.W_OK | os.X_OK):
        return warned(
            about,
            f"{source} does not exist, and {context.user.name} cannot create it in {there}",
            f"create it, owned by {context.user.name}",
        )
    not_yet = f"{source} does not exist yet: the first program that writes it creates it"
    if any(map(PurePath(name).match, machine.DATABASES)):
        return passed(about, f"{not_yet}, which is usual for a database")
    return warned(
        about,
        not_yet,
        f'if it is a directory, write "{name}/"; if the app only reads it, create it now',
    )
