"""The commands in the settings: whether their programs exist, and the app's user can run them."""

import os
import re
import shutil
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from blue_green.config.kinds import Argv
from blue_green.config.settings import SiteSettings
from blue_green.preflight.checks.context import CheckContext
from blue_green.preflight.checks.finding import Finding, Findings, failed, passed, warned
from blue_green.source import launch
from blue_green.system import users
from blue_green.system.env_files import BadEnvFile
from blue_green.system.users import User

PATH_OF_SERVICES = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""The default PATH of a systemd service (systemd.exec(5))."""
AS_A_SERVICE = "use its absolute path, or set PATH in [app] env"


def commands(context: CheckContext, tracked: Collection[str]) -> Findings:
    """Check the program of each command, and that the app's port is not fixed."""
    app, release = context.site.app, context.site.release
    is_built = release.build is not None
    yield from _directory(context, tracked)
    if release.build is not None:
        yield _program("[release] build", release.build, context, tracked, is_built=False)
    if release.migrate is not None:
        yield _program("[release] migrate", release.migrate, context, tracked, is_built=is_built)
    if app.command:
        yield _program("[app] command", app.command, context, tracked, is_built=is_built)
        yield from _port_of(context.site)
    for name, process in context.site.processes.items():
        about = f"[processes.{name}] command"
        yield _program(about, process.command, context, tracked, is_built=is_built)


def notify(context: CheckContext) -> Findings:
    """Check the notify command, if there is one. It runs in the settings file's directory."""
    argv, about = context.site.notify.command, "[notify] command"
    if argv is None:
        return
    program = context.file.absolute().parent / argv[0]
    if "/" not in argv[0]:
        yield _on_path(about, argv[0], context)
    elif not program.is_file():
        yield failed(about, f"{program} does not exist")
    else:
        yield _executable(about, program, context.user)


def _port_of(settings: SiteSettings) -> Findings:
    words = " ".join(settings.app.command)
    for port in (port for slot in settings.app.ports or () for port in slot):
        if re.search(rf"(?<!\d){port}(?!\d)", words):
            yield failed(
                "[app] command",
                f"it contains port {port}, which both slots would then use",
                "write {port} instead",
            )
            return
    if "{port}" not in words and not settings.app.uses_socket:
        yield passed("[app] command", "no {port} in it, so the app must listen on $PORT")


def _directory(context: CheckContext, tracked: Collection[str]) -> Findings:
    """Check that HEAD has the directory in which the commands run."""
    name = context.site.app.directory
    if name != "." and not _is_in_release(name, context, tracked):
        yield failed(
            "[app] directory", f"HEAD has no directory {name}", "commit it, or name another one"
        )


def _program(
    about: str, argv: Argv, context: CheckContext, tracked: Collection[str], *, is_built: bool
) -> Finding:
    """Look for a command's program as execvp(3) would from within a release."""
    name = argv[0].removeprefix("{release}/")
    if "/" not in argv[0]:
        return _on_path(about, name, context)
    if not Path(name).is_absolute():
        top = "." if name != argv[0] else context.site.app.directory
        name = os.path.normpath(Path(top, name))
        if not context.site.release.in_place and not _is_in_release(name, context, tracked):
            if is_built:
                return passed(about, f"{name} is not in git, so the build must create it")
            return failed(
                about,
                f"no release has {name}: it is neither in git nor in link, and there is no build",
                "add it to link in [release], set build, or use the absolute path of a program",
            )
    program = context.site.git.checkout / name
    if not program.is_file():
        if is_built and not Path(name).is_absolute():
            return passed(about, f"{name} does not exist, so the build must create it")
        return failed(about, f"{program} does not exist")
    return _executable(about, program, context.user)


def _is_in_release(name: str, context: CheckContext, tracked: Collection[str]) -> bool:
    linked = {Path(link) for link in context.site.release.link}
    return name in tracked or not linked.isdisjoint((Path(name), *Path(name).parents))


def _on_path(about: str, name: str, context: CheckContext) -> Finding:
    path = context.site.app.env.get("PATH") or _path_from_files(context)
    found = shutil.which(name, path=path)
    if found is None:
        return failed(about, f"no program {name} in $PATH", "install it, or use its absolute path")
    finding = _executable(about, Path(found), context.user)
    as_a_service = path or shutil.which(name, path=PATH_OF_SERVICES)
    if finding.verdict == "passed" and not as_a_service:
        return warned(about, f"{found} is not in the PATH of a systemd service", AS_A_SERVICE)
    return finding


def _path_from_files(context: CheckContext) -> str | None:
    with suppress(BadEnvFile):  # Another check reports it.
        return launch.from_files(context.site, context.user).get("PATH")
    return None


def _executable(about: str, program: Path, user: User) -> Finding:
    if users.may(user, program, os.X_OK):
        return passed(about, f"{user.name} can run {program}")
    return failed(
        about,
        f"{user.name} cannot run {program}",
        f"make it executable, and give {user.name} execute (x) permission on its parent "
        "directories",
    )
