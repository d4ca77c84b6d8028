"""Files and their permissions: settings, state, linked paths, and the commands' programs."""

import os
import re
import shutil
from collections.abc import Collection
from pathlib import Path, PurePath

from blue_green.config.kinds import Argv
from blue_green.config.settings import Settings
from blue_green.http.certificates import BadCertificate, load
from blue_green.http.errors import ErrorPages
from blue_green.http.own_pages import BadPages
from blue_green.preflight.checks import machine
from blue_green.preflight.checks.context import CheckContext
from blue_green.preflight.checks.finding import Finding, Findings, failed, passed, warned
from blue_green.supervisor import startup
from blue_green.system import documents, files, secret, users
from blue_green.system.users import User

PATH_OF_SERVICES = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""The default PATH of a systemd service (systemd.exec(5))."""
_FOR_ROOT = f"see the unit's lines for root in {documents.path_of('hardening.md')}"
AS_A_SERVICE = "use its absolute path, or set PATH in [app] env"


def trust(context: CheckContext) -> Findings:
    """Which users the app and git run as, and whether root trusts files that others can write."""
    owner, user = context.owner.name, context.user.name
    if os.geteuid() == 0 and context.user.uid == 0:
        yield warned(
            "[app] user", "the app runs as root", 'name a user in [app], such as user = "www-data"'
        )
        return
    yield passed("[app] user", f"the app runs as {user}, and git as {owner}")
    if os.geteuid() == 0 and (problem := startup.lacks_capabilities()):
        yield warned("[app] user", problem, _FOR_ROOT)
    try:
        startup.check_trust(context.file, context.settings)
    except startup.CannotRun as error:
        yield failed("settings", str(error))


def state(context: CheckContext) -> Findings:
    """Check that the supervisor can write the state directory, and the app can enter it."""
    directory, about = context.settings.state.directory, "[state] directory"
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


def error_pages(settings: Settings) -> Findings:
    """Check the custom error pages, if there are any."""
    if settings.proxy.error_pages is None:
        return
    try:
        ErrorPages(settings.proxy.error_pages)
    except BadPages as error:
        yield failed("[proxy] error_pages", str(error))
    else:
        yield passed("[proxy] error_pages", f"{settings.proxy.error_pages} can be used")


def certificate(settings: Settings) -> Findings:
    """Check the TLS certificate and its key, if there are any."""
    if settings.proxy.tls is None:
        return
    try:
        load(settings.proxy.tls)
    except BadCertificate as error:
        yield failed("[proxy.tls]", str(error))
    else:
        yield passed("[proxy.tls]", f"{settings.proxy.tls.certificate} can be used")


def webhook(settings: Settings) -> Findings:
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


def notify(context: CheckContext) -> Findings:
    """Check the notify command, if there is one. It runs in the settings file's directory."""
    argv, about = context.settings.notify.command, "[notify] command"
    if argv is None:
        return
    program = context.file.absolute().parent / argv[0]
    if "/" not in argv[0]:
        yield _on_path(about, argv[0], context)
    elif not program.is_file():
        yield failed(about, f"{program} does not exist")
    else:
        yield _executable(about, program, context.user)


def links(context: CheckContext, tracked: Collection[str]) -> Findings:
    """Check that linked paths are not in git, and are in the checkout or can be created there."""
    about = "[release] link"
    for name in context.settings.release.link:
        source = context.settings.git.checkout / name
        if name.rstrip("/") in tracked:
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


# --- commands -------------------------------------------------------------------------------


def commands(context: CheckContext, tracked: Collection[str]) -> Findings:
    """That each command can be found and run by the app's user, and listens where it should."""
    app, release = context.settings.app, context.settings.release
    is_built = release.build is not None
    if release.build is not None:
        yield _program("[release] build", release.build, context, tracked, is_built=False)
    if release.migrate is not None:
        yield _program("[release] migrate", release.migrate, context, tracked, is_built=is_built)
    yield _program("[app] command", app.command, context, tracked, is_built=is_built)
    yield from _port_of(context.settings)


def _port_of(settings: Settings) -> Findings:
    words = " ".join(settings.app.command)
    for port in (port for slot in settings.app.ports for port in slot):
        if re.search(rf"(?<!\d){port}(?!\d)", words):
            yield failed(
                "[app] command",
                f"it contains port {port}, which both slots would then use",
                "write {port} instead",
            )
            return
    if "{port}" not in words:
        yield passed("[app] command", "no {port} in it, so the app must listen on $PORT")


def _program(
    about: str, argv: Argv, context: CheckContext, tracked: Collection[str], *, is_built: bool
) -> Finding:
    """Look for a command's program as execvp(3) would from within a release."""
    name = argv[0].removeprefix("{release}/")
    if "/" not in name:
        return _on_path(about, name, context)
    if not Path(name).is_absolute():
        name = os.path.normpath(name)
        if not context.settings.release.in_place and not _is_in_release(name, context, tracked):
            if is_built:
                return passed(about, f"{name} is not in git, so the build must create it")
            return failed(
                about,
                f"no release has {name}: it is neither in git nor in link, and there is no build",
                "add it to link in [release], set build, or use the absolute path of a program",
            )
    program = context.settings.git.checkout / name
    if not program.is_file():
        if is_built and not Path(name).is_absolute():
            return passed(about, f"{name} does not exist, so the build must create it")
        return failed(about, f"{program} does not exist")
    return _executable(about, program, context.user)


def _is_in_release(name: str, context: CheckContext, tracked: Collection[str]) -> bool:
    linked = {Path(link) for link in context.settings.release.link}
    return name in tracked or not linked.isdisjoint((Path(name), *Path(name).parents))


def _on_path(about: str, name: str, context: CheckContext) -> Finding:
    path = context.settings.app.env.get("PATH")
    found = shutil.which(name, path=path)
    if found is None:
        return failed(about, f"no program {name} in $PATH", "install it, or use its absolute path")
    finding = _executable(about, Path(found), context.user)
    as_a_service = path or shutil.which(name, path=PATH_OF_SERVICES)
    if finding.verdict == "passed" and not as_a_service:
        return warned(about, f"{found} is not in the PATH of a systemd service", AS_A_SERVICE)
    return finding


def _executable(about: str, program: Path, user: User) -> Finding:
    if users.may(user, program, os.X_OK):
        return passed(about, f"{user.name} can run {program}")
    return failed(
        about,
        f"{user.name} cannot run {program}",
        f"make it executable, and give {user.name} execute (x) permission on its parent "
        "directories",
    )
