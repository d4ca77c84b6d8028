"""The file that `init` writes: the only site of a supervisor, or one of several."""

import os
import re
import shlex
from collections.abc import Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from attrs import frozen

from blue_green.config.error import ConfigError
from blue_green.config.site_document import NAME, is_single
from blue_green.system import documents, locate, site_tables
from blue_green.system.running_supervisors import DEFAULT_FILE
from blue_green.system.site_tables import SiteTable

INCLUDE = "sites/*.toml"
"""The pattern in a new settings file for several sites."""


class CannotWrite(Exception):
    """The settings cannot be determined or written; str() says why and what to do."""


@frozen
class Destination:
    """The file to write."""

    file: Path
    main: Path | None = None
    """The settings file of several sites that includes it; None if it is for one site itself."""

    @property
    def name(self) -> str:
        """The name of the site."""
        return self.file.stem


def destination(named: Path, checkout: Path, *, several: bool, force: bool) -> Destination:
    """Where the settings of the app in this directory go, if this file was named.

    The directory is a checkout, or in one.

    It may be the settings file of several sites, one of the files that such a file includes, or the
    file of a supervisor with one site. Raises `CannotWrite`.
    """
    if not named.exists():
        if main := _including(named):
            return _of_several(main, locate.read(main), checkout, named, force=force)
        if not several:
            return Destination(named)
        return Destination(_beside(named, INCLUDE, checkout), named)
    document = _read(named)
    if document is not None and not is_single(document):
        return _of_several(named, document, checkout, None, force=force)
    if main := _including(named):
        return _of_several(main, locate.read(main), checkout, named, force=force)
    if force:
        return Destination(named)
    if document is not None and _is_of_another(document, named, checkout):
        raise CannotWrite(_how_to_split(named, checkout))
    raise CannotWrite(f"{named} already exists: use --force to overwrite it")


def _of_several(
    main: Path, document: Mapping[str, Any], checkout: Path, named: Path | None, *, force: bool
) -> Destination:
    """A file that is not there yet, or with `force` the one that the checkout has already."""
    sites = site_tables.sites_in(document, main)
    own = next((site for site in sites if site.app_directory.resolve() == checkout.resolve()), None)
    if own is not None:
        if own.file.resolve() == main.resolve():
            raise CannotWrite(f"{checkout} is already [sites.{own.name}] in {main}: edit it there")
        if not force:
            raise CannotWrite(
                f"{checkout} is already the site {own.name} in {_relative(own.file)}: use --force "
                "to overwrite that file"
            )
        return Destination(_relative(own.file), main)
    file = named or _beside(main, _pattern(document, main), checkout)
    if not NAME.fullmatch(file.stem):
        raise CannotWrite(f"{file.stem} is not a name for a site: name another file with --file")
    if file.exists() and not force:
        raise CannotWrite(f"{file} already exists: name another file with --file")
    if taken := _named(file.stem, sites, file):
        raise CannotWrite(
            f"there is already a site {taken.name} in {taken.file}: name another file with --file"
        )
    return Destination(file, main)


def _named(name: str, sites: Sequence[SiteTable], file: Path) -> SiteTable | None:
    """Another site of this name, whose case does not matter."""
    for site in sites:
        if site.name.lower() == name.lower() and site.file.resolve() != file.resolve():
            return site
    return None


def _pattern(document: Mapping[str, Any], main: Path) -> str:
    """The first pattern in `include` that new files can match."""
    patterns = document.get("include")
    for pattern in patterns if isinstance(patterns, list) else []:
        if isinstance(pattern, str) and fnmatch("site.toml", Path(pattern).name):
            return pattern
    raise CannotWrite(
        f'{main} includes no directory of sites: add include = ["{INCLUDE}"] before its first '
        "section"
    )


def _beside(main: Path, pattern: str, checkout: Path) -> Path:
    """The file that this pattern matches for a checkout."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", checkout.resolve().name).strip("._-")[:63] or "site"
    return main.parent / Path(pattern).with_name(f"{name}.toml")


def _including(file: Path) -> Path | None:
    """The settings file in the directory of a file, or in the one above it, that includes it."""
    directory = Path(os.path.normpath(file.absolute())).parent
    for place in (directory, directory.parent):
        main = place / DEFAULT_FILE
        document = _read(main) if main.exists() else None
        for pattern in (document or {}).get("include", []):
            if fnmatch(str(directory / file.name), str(place / str(pattern))):
                return _relative(main)
    return None


def _read(file: Path) -> dict[str, Any] | None:
    try:
        return locate.read(file)
    except ConfigError:
        return None


def _is_of_another(document: Mapping[str, Any], file: Path, checkout: Path) -> bool:
    sites = site_tables.sites_in(document, file)
    return bool(sites) and all(site.app_directory.resolve() != checkout.resolve() for site in sites)


def _relative(file: Path) -> Path:
    """The path as a user in this directory would write it."""
    file = Path(os.path.normpath(file.absolute()))
    return file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file


def _how_to_split(file: Path, checkout: Path) -> str:
    document = locate.read(file)
    site = site_tables.sites_in(document, file)[0]
    own = _beside(file, INCLUDE, site.checkout)
    directory, main, new = (shlex.quote(str(path)) for path in (own.parent, file, own))
    name_host = (
        f"in {own}, check hosts;"
        if "hosts" in document
        else f'at the top of {own}, add hosts = ["{own.stem}.localhost"] or its real host;'
    )
    return (
        f"{file} is for one site, {site.checkout}. To serve {checkout.resolve()} as well:\n"
        f"1. mkdir {directory} && mv {main} {new}\n"
        f"2. {name_host}\n"
        f"   relative paths in it are now relative to {own.parent}, so write\n"
        f'   checkout = "{site.checkout}"\n'
        f"3. move its sections [proxy], [admin], [control], [state] and [build] to a new {file},\n"
        f'   below the line include = ["{INCLUDE}"]\n'
        "4. run this blue-green init again, and restart the supervisor. Sites then start from\n"
        "   HEAD, without the releases and the history of the one before; to keep those, see\n"
        f"   {documents.path_of('sites.md')}"
    )
