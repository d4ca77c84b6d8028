"""The commands that build and migrate a release, as the app's user."""

from collections.abc import Sequence

from blue_green.config.kinds import Argv
from blue_green.config.settings import SiteSettings
from blue_green.source import launch
from blue_green.source.failure import StepFailed, from_errno
from blue_green.source.release import Release
from blue_green.system import command
from blue_green.system.cannot_start import CannotStart
from blue_green.system.output import Output
from blue_green.system.process import ending
from blue_green.system.users import User


class ReleaseCommands:
    """Runs commands in releases."""

    def __init__(self, owner: User, user: User, settings: SiteSettings, output: Output) -> None:
        """`user` runs the app; git runs as `owner`."""
        self.user = user
        self.settings = settings
        self._owner = owner
        self._output = output

    async def run(self, name: str, argv: Argv, release: Release, timeout: float) -> None:
        """Run `build` or `migrate`; raise `StepFailed`."""

        def take(lines: Sequence[str], is_error: bool) -> None:
            self._output.take(name, release.revision, lines, is_error=is_error)

        how = await launch.prepare(release, self.settings, owner=self._owner, user=self.user)
        try:
            done = await command.run(
                argv,
                cwd=how.directory,
                env=how.env,
                user=how.user,
                timeout=timeout,
                on_lines=take,
                inherits=True,
            )
        except CannotStart as error:
            raise from_errno(f"{name}: {error}", error.errno) from None
        if done.timed_out:
            raise StepFailed(f"{name} took more than {timeout:g} s and was killed", done.tail)
        if not done.ok:
            raise StepFailed(f"{name} {ending(done.code)}", done.tail)
