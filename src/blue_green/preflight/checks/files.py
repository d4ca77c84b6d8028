"""Files and who may use them: settings, state, linked paths, and the commands."""

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
"""Where systemd looks for the programs of a service (systemd.exec(5))."""
_FOR_ROOT = f"{documents.path_of('hardening.md')} has the unit's lines for root"
AS_A_SERVICE = "name it with its whole path, or set PATH in [app] env"


def trust(subject: CheckContext) -> Findings:
    """Who the app and git run as, and whether root relies on what others can write."""
    owner, user = subject.owner.name, subject.user.name
    if os.geteuid() == 0 and subject.user.uid == 0:
        yield warned(
            "[app] user", "the app runs as root", 'name a user in [app], such as user = "www-data"'
        )
        return
    yield passed("[app] user", f"the app runs as {user}, and git as {owner}")
    if os.geteuid() == 0 and (problem := startup.lacks_capabilities()):
        yield warned("[app] user", problem, _FOR_ROOT)
    try:
        startup.check_trust(subject.file, subject.settings)
    except startup.CannotRun as error:
        yield failed("settings", str(error))


def state(subject: CheckContext) -> Findings:
    """The supervisor writes the state, and the app must get to the releases beside it."""
    directory, about = subject.settings.state.directory, "[state] directory"
    there = next(place for place in (directory, *directory.parents) if place.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        what = "cannot be written" if there == directory else f"cannot be made in {there}"
        us = users.owner_of(Path("/proc/self")).name
        yield failed(
            about,
            f"{directory} {what} by {us}",
            "make it, and give it to whom the supervisor runs as; or run this check as them",
        )
        return
    for who in dict.fromkeys((subject.owner, subject.user)):
        if not users.may(who, there, os.X_OK):
            yield failed(
                about,
                f"{who.name} cannot get to {there}, where the releases are",
                "let others pass through it and the directories above: chmod o+x",
            )
            return
    yield passed(about, f"{directory} {'can be written' if there == directory else 'can be made'}")


def error_pages(settings: Settings) -> Findings:
    """The pages of one's own, if there are any."""
    if settings.proxy.error_pages is None:
        return
    try:
        ErrorPages(settings.proxy.error_pages)
    except BadPages as error:
        yield failed("[proxy] error_pages", str(error))
    else:
        yield passed("[proxy] error_pages", f"{settings.proxy.error_pages} can be used")


def certificate(settings: Settings) -> Findings:
    """The certificate and the key of TLS, if it is spoken."""
    if settings.proxy.tls is None:
        return
    try:
        load(settings.proxy.tls)
    except BadCertificate as error:
        yield failed("[proxy.tls]", str(error))
    else:
        yield passed("[proxy.tls]", f"{settings.proxy.tls.certificate} can be used")


def webhook(settings: Settings) -> Findings:
    """The secret of the push hook, if there is one."""
    file, about = settings.webhook.secret_file, "[webhook] secret_file"
    if file is None:
        return
    try:
        secret.read(file)
    except secret.BadSecret as error:
        yield failed(about, str(error))
        return
    if files.is_readable_by_all(file):
        yield warned(about, f"everybody here can read {file}", f"chmod o-r {file}")
    else:
        yield passed(about, f"{file} has a secret")


def notify(subject: CheckContext) -> Findings:
    """The command that is told of swaps, which runs beside the settings file, if there is one."""
    argv, about = subject.settings.notify.command, "[notify] command"
    if argv is None:
        return
    program = subject.file.absolute().parent / argv[0]
    if "/" not in argv[0]:
        yield _on_path(about, argv[0], subject)
    elif not program.is_file():
        yield failed(about, f"{program} does not exist")
    else:
        yield _executable(about, program, subject.user)


def links(subject: CheckContext, tracked: Collection[str]) -> Findings:
    """What every release is to see is in the checkout, or will be, and not in git."""
    about = "[release] link"
    for name in subject.settings.release.link:
        source = subject.settings.git.checkout / name
        if name.rstrip("/") in tracked:
            yield failed(
                about,
                f"{name} is tracked by git, so each release has its own",
                f"take it out of link, or out of git: git rm -r --cached {name}",
            )
        elif not source.exists():
            yield _not_there_yet(subject, name, source)
        elif not users.may(subject.user, source, os.R_OK):
            yield failed(
                about,
                f"{subject.user.name} cannot read {source}",
                "change its owner or its mode, or those of the directories above",
            )
        else:
            yield passed(about, f"{name} is there")


def _not_there_yet(subject: CheckContext, name: str, source: Path) -> Finding:
    """A directory is made with the next release, a file by whoever first writes to it."""
    about = "[release] link"
    if name.endswith("/"):
        return passed(about, f"{source} is not there yet: it is made with the next release")
    there = next(place for place in source.parents if place.exists())
    if not users.may(subject.user, there, os.W_OK | os.X_OK):
        return warned(
            about,
            f"{source} is not there, and {subject.user.name} cannot make it in {there}",
            f"make it, and give it to {subject.user.name}",
        )
    not_yet = f"{source} is not there yet: it is made there by whoever first writes to it"
    if any(map(PurePath(name).match, machine.DATABASES)):
        return passed(about, f"{not_yet}, as programs do with their database")
    return warned(
        about,
        f"{not_yet} in a release",
        f'if it is a directory, write "{name}/"; if the app only reads it, make it now',
    )


# --- commands -------------------------------------------------------------------------------


def commands(subject: CheckContext, tracked: Collection[str]) -> Findings:
    """That each command can be found and run by the app's user, and listens where it should."""
    app, release = subject.settings.app, subject.settings.release
    is_built = release.build is not None
    if release.build is not None:
        yield _program("[release] build", release.build, subject, tracked, is_built=False)
    if release.migrate is not None:
        yield _program("[release] migrate", release.migrate, subject, tracked, is_built=is_built)
    yield _program("[app] command", app.command, subject, tracked, is_built=is_built)
    yield from _port_of(subject.settings)


def _port_of(settings: Settings) -> Findings:
    words = " ".join(settings.app.command)
    for port in (port for slot in settings.app.ports for port in slot):
        if re.search(rf"(?<!\d){port}(?!\d)", words):
            yield failed(
                "[app] command",
                f"it names port {port}, which would be that of both slots",
                "write {port} instead",
            )
            return
    if "{port}" not in words:
        yield passed("[app] command", "it has no {port}, so the app must listen on $PORT")


def _program(
    about: str, argv: Argv, subject: CheckContext, tracked: Collection[str], *, is_built: bool
) -> Finding:
    """Where the first word leads, as execvp(3) would find it from within a release."""
    name = argv[0].removeprefix("{release}/")
    if "/" not in name:
        return _on_path(about, name, subject)
    if not Path(name).is_absolute():
        name = os.path.normpath(name)
        if not subject.settings.release.in_place and not _is_in_release(name, subject, tracked):
            if is_built:
                return passed(about, f"{name} is not in git, so the build must make it")
            return failed(
                about,
                f"{name} is in no release: it is not in git, nor in link, and nothing builds it",
                "add it to link in [release], set build, or name a program with its whole path",
            )
    program = subject.settings.git.checkout / name
    if not program.is_file():
        if is_built and not Path(name).is_absolute():
            return passed(about, f"{name} is not there, so the build must make it")
        return failed(about, f"{program} does not exist")
    return _executable(about, program, subject.user)


def _is_in_release(name: str, subject: CheckContext, tracked: Collection[str]) -> bool:
    linked = {Path(link) for link in subject.settings.release.link}
    return name in tracked or not linked.isdisjoint((Path(name), *Path(name).parents))


def _on_path(about: str, name: str, subject: CheckContext) -> Finding:
    path = subject.settings.app.env.get("PATH")
    found = shutil.which(name, path=path)
    if found is None:
        return failed(about, f"there is no program {name} in $PATH", "install it, or name its path")
    finding = _executable(about, Path(found), subject.user)
    as_a_service = path or shutil.which(name, path=PATH_OF_SERVICES)
    if finding.verdict == "passed" and not as_a_service:
        return warned(about, f"{found} is not in the PATH of a systemd service", AS_A_SERVICE)
    return finding


def _executable(about: str, program: Path, user: User) -> Finding:
    if users.may(user, program, os.X_OK):
        return passed(about, f"{program} can be run by {user.name}")
    return failed(
        about,
        f"{program} cannot be run by {user.name}",
        "make it executable, and let them pass through the directories above it",
    )
