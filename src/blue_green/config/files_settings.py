"""The settings of the files that are served without the app.

A field is all there is to a setting, as in `site_settings`.
"""

from attrs import field, frozen

from blue_green.config.effects import NextSwap
from blue_green.config.hosts import PathPrefix
from blue_green.config.release_kinds import ReleasePath


@frozen
class FilesSettings:
    """Directories of the release whose files are served without the app. A site with `[files]`
    needs no `[app]`: it is then a static site, with nothing to run."""

    directories: NextSwap[dict[PathPrefix, ReleasePath]] = field(factory=dict)
    """`"/static/" = "staticfiles"` serves the files in that directory of the release below that
    path. There may be several; the longest path that matches a request is used. If there is no such
    file, the app gets the request."""
    earlier_releases: NextSwap[bool] = True
    """Whether a file that the live release lacks is looked for in the releases before it, as far as
    they are kept, so that a page that was loaded before a swap finds its scripts and images after
    it. With `false`, a file that a commit removes is gone with the swap."""
    not_found: NextSwap[ReleasePath | None] = None
    """For a static site: the file of the release that is the page of a response with 404. Default:
    `404.html` in the directory of `/`, if there is one."""
    fallback: NextSwap[ReleasePath | None] = None
    """For a static site: the file of the release that answers requests for paths without a file,
    with 200, as applications in the browser with paths of their own need it. Default: they are
    answered with 404."""
