"""The releases whose files are served: the live one, and those that were live before it.

A page that was loaded before a swap asks for its assets after it, so a file that the live release
lacks is looked for in the earlier ones. A release that was reverted is one of them, since pages
were loaded from it, too. One that never was live is none of them.
"""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from blue_green.files.roots import FileRoots
from blue_green.source.release import Release
from blue_green.system import threads

if TYPE_CHECKING:
    from blue_green.site.site import Site
    from blue_green.site.slot import Slot

MOST_RELEASES = 20
"""A file that does not exist is looked for in each of them."""


class ReleaseFiles:
    """Decides which releases the proxy serves files from."""

    def __init__(self, site: "Site") -> None:
        self._site = site
        self._threads = threads.of_site()

    @property
    def earlier(self) -> tuple[Release, ...]:
        """The releases in which files are looked for that the live one lacks, the newest first."""
        roots = self._site.served.files
        return roots.releases[1:] if roots else ()

    def as_dict(self) -> dict[str, Any] | None:
        """What is served, for the status; None if nothing is."""
        roots = self._site.served.files
        if roots is None:
            return None
        return {
            "directories": dict(roots.settings.directories),
            "earlier_releases": [release.revision for release in self.earlier],
        }

    def go_live(self, slot: "Slot") -> None:
        """Serve the files of this slot's release from now on."""
        live = slot.release
        assert live is not None
        releases = (live, *self._before(live))
        if self._is_kept(live):
            self._remember(releases)
        self._site.served.files = self._roots(slot, releases)

    def begin_trial(self, candidate: "Slot", *, is_secret: bool = False) -> FileRoots | None:
        """The files for clients of a release on trial. Those of the others have its files, too,
        unless it `is_secret`: a request for one may come without the cookie."""
        live, release = self._site.slots.live, candidate.release
        assert live is not None and live.release is not None and release is not None
        if is_secret:
            return self._roots(candidate, (release, *self._before(release)))
        self._remember((live.release, release, *self._before(live.release)))
        self._site.served.files = self._roots(live, (live.release, *self._before(live.release)))
        return self._roots(candidate, (release, *self._before(release)))

    def _remember(self, releases: Iterable[Release]) -> None:
        self._site.state.served = {release.path.name: release.revision for release in releases}

    def _roots(self, slot: "Slot", releases: tuple[Release, ...]) -> FileRoots | None:
        """The files of a slot's release, and of those before it; None without `[files]`."""
        settings = slot.settings
        if not settings.files.directories:
            return None
        return FileRoots(
            settings.files,
            releases if settings.files.earlier_releases else releases[:1],
            self._site.user,
            settings.git.checkout,
            settings.release.link,
            has_app=not slot.is_static,
            threads=self._threads,
        )

    def forget(self, path: Path) -> None:
        """Serve nothing from a release that is about to be deleted."""
        served = self._site.state.served
        if path.name in served:
            self._site.state.served = {name: served[name] for name in served if name != path.name}
            self._site.state_file.change()
        roots = self._site.served.files
        if roots and path in [release.path for release in self.earlier]:
            left = tuple(release for release in roots.releases if release.path != path)
            self._site.served.files = attrs.evolve(roots, releases=left)

    async def restore(self) -> None:
        """Forget the releases that somebody else has deleted; raise `OSError`.

        If the state was lost, those are known that were promoted.
        """
        state, releases = self._site.state, self._site.releases
        found = set(await threads.run(os.listdir, releases.builds.directory))
        kept = {name: state.served[name] for name in state.served if name in found}
        state.served = kept or await threads.run(releases.builds.promoted)

    def _is_kept(self, release: Release) -> bool:
        """Whether it has a directory of its own, unlike one that runs in place."""
        return release.path.parent == self._site.releases.builds.directory

    def _before(self, live: Release) -> list[Release]:
        if not self._is_kept(live):
            return []
        directory, served = self._site.releases.builds.directory, self._site.state.served
        before = [name for name in served if name != live.path.name]
        return [Release(served[name], directory / name) for name in before[: MOST_RELEASES - 1]]
