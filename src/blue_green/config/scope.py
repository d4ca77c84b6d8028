"""What may be written at a place, and where everything else belongs."""

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import frozen

from blue_green.config.place import INCLUDE, SITES, Place
from blue_green.config.sections import OF_PROCESS, OF_SITE, ROOT, SECTIONS, settings_of

BEFORE_SECTIONS = "before the first section"
KEYS_OF_MAIN = (INCLUDE, SITES)


@frozen
class Scope:
    """A file, or the table of a site in it."""

    place: Place
    sections: Mapping[str, type[Any]]
    """The sections that may be written there. `ROOT` is among them where keys of a site may be."""
    main_keys: tuple[str, ...]
    """`include` and `sites`, if they may be written there."""
    of_site: str
    """Where a section of a site belongs; `{}` stands for its name."""
    root: str
    """Where the keys of `ROOT` belong."""
    of_process: str
    """Where a section of the process belongs; `{}` stands for its name."""
    main: str
    """Where `include` belongs."""

    @property
    def top(self) -> list[str]:
        """The sections at the top of it."""
        return [name for name in self.sections if "." not in name and name != ROOT]

    def names(self, section: str = "") -> list[str]:
        """What may be written in a section, or at the top."""
        if section:
            return list(settings_of(SECTIONS[section]))
        keys = settings_of(SECTIONS[ROOT]) if ROOT in self.sections else ()
        return [*self.top, *keys, *self.main_keys]

    def home(self, section: str) -> str:
        """Where a section belongs."""
        if section == ROOT:
            return self.root
        text = self.of_process if section in OF_PROCESS else self.of_site
        return text.replace("{}", section)

    def misplaced(self, name: str) -> str:
        """What to say of a section or a key of a whole file that stands here; empty if it may."""
        if name in self.names():
            return ""
        if name in OF_PROCESS:
            return f"is for the whole process and not for one site: it belongs {self.home(name)}"
        if name in KEYS_OF_MAIN:
            return f"belongs {self.main}"
        section = name if name in OF_SITE else ROOT
        if section == ROOT and name not in settings_of(SECTIONS[ROOT]):
            return ""
        return f"is for one site, and this file is for several: it belongs {self.home(section)}"

    def unknown(self, key: str, section: str = "") -> str:
        """What a key may have meant that is unknown in a section, or at the top."""
        if not section and (said := self.misplaced(key)):
            return said
        here = self.names(section)
        near = difflib.get_close_matches(key, here, 1)
        homes = [self.home(name) for name, kind in SECTIONS.items() if key in settings_of(kind)]
        if key in KEYS_OF_MAIN:
            homes = [self.main]
        if near and homes:
            return f"is unknown here; did you mean {near[0]}, or {key} {homes[0]}?"
        if near:
            return f"is unknown; did you mean {near[0]}?"
        if homes:
            return f"does not belong here, but {homes[0]}"
        return f"is unknown; known here: {', '.join(here)}"


def of_single(file: Path) -> Scope:
    """The main file, which is one site."""
    return Scope(
        Place(file),
        SECTIONS,
        KEYS_OF_MAIN,
        of_site="in [{}]",
        root=BEFORE_SECTIONS,
        of_process="in [{}]",
        main=BEFORE_SECTIONS,
    )


def of_process(file: Path) -> Scope:
    """The main file, which has several sites."""
    return Scope(
        Place(file),
        OF_PROCESS,
        KEYS_OF_MAIN,
        of_site="in [sites.NAME.{}], or in [{}] of the site's own file",
        root="in [sites.NAME], or before the first section of the site's own file",
        of_process="in [{}]",
        main=BEFORE_SECTIONS,
    )


def of_site(place: Place, main: Path) -> Scope:
    """One of several sites: its own file, or its table in the main file."""
    sections = {ROOT: SECTIONS[ROOT], **OF_SITE}
    if place.table:
        own, root, process = f"in [{place.table}.{{}}]", f"in [{place.table}]", "in [{}]"
    else:
        own, root, process = "in [{}]", BEFORE_SECTIONS, f"in [{{}}] of {main}"
    return Scope(place, sections, (), own, root, process, f"{BEFORE_SECTIONS} of {main}")
