"""The files that a site serves without its app: which directories of which releases."""

from pathlib import Path

import trio
from attrs import define, field

from blue_green.config.files_settings import FilesSettings
from blue_green.source.release import Release
from blue_green.system.threads import of_site
from blue_green.system.users import User


@define(eq=False)
class FileRoots:
    """The releases that files are served from; the site makes a new object at each switch.

    A file that the first release lacks is looked for in the next one, and so on.
    """

    settings: FilesSettings
    releases: tuple[Release, ...]
    """The live release first, then those before it, the newest first. Empty before the first one
    is live: a static site then answers with 503."""
    user: User
    """The user of the app: only files that it may read are served."""
    checkout: Path
    links: tuple[str, ...] = ()
    """The setting `link`: below these paths, a release has links into the checkout, and they are
    the only ones that may lead out of it."""
    has_app: bool = True
    """Requests for which there is no file go to the app; otherwise this is a static site."""
    threads: trio.CapacityLimiter = field(factory=of_site)
    """Limits the threads that a slow file system keeps busy. One for each site, and not that of its
    deploys, which must go on if a file system hangs."""
