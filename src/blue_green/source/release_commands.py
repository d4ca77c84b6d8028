"""The commands that build and migrate a release, as the app's user."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from blue_green.config.kinds import Argv
from blue_green.source.failure import StepFailed, from_errno
from blue_green.source.git_command import trusting
from blue_green.source.release import Release
from blue_green.system import command
from blue_green.system.output import Output
from blue_green.system.process import CannotStart, ending
from blue_green.system.users import User


class ReleaseCommands:
    """Runs commands in releases, with the environment of the site."""

    def __init__(self, user: User, env: Mapping[str, str], output: Output) -> None:
        """`user` runs the app."""
        self.user = user
        self.env = env
        self._output = output

    async def run(self, name: str, argv: Argv, release: Release, timeout: float) -> None:
        """Run `build` or `migrate`; raise `StepFailed`."""

        def take(lines: Sequence[str], is_error: bool) -> None:
            self._output.take(name, release.revision, lines, is_error=is_error)

        try:
            done = await command.run(
                argv,
                cwd=release.path,
                env={**self.env, **release.env, "BLUE_GREEN_REVISION": release.revision},
                user=self.user,
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

    def env_in(self, path: Path, owner: User) -> dict[str, str]:
        """What programs in the release there need besides if git runs as another user, `owner`."""
        return {} if self.user.uid == owner.uid else trusting(path, self.env)
