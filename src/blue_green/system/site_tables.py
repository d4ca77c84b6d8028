"""The sites in a settings file, which may be wrong, or of another version of this program."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import frozen

from blue_green.config.site_document import in_main_file, is_single
from blue_green.system import site_files


@frozen
class SiteTable:
    """The settings of one site as they are written."""

    name: str
    """Empty for the only site of a file."""
    file: Path
    values: Mapping[str, Any]

    @property
    def checkout(self) -> Path:
        named = table(self.values, "git").get("checkout", ".")
        return Path(os.path.normpath(self.file.absolute().parent / str(named)))

    @property
    def app_directory(self) -> Path:
        """The directory of the app in the checkout."""
        named = table(self.values, "app").get("directory", ".")
        return Path(os.path.normpath(self.checkout / str(named)))


def sites_in(document: Mapping[str, Any], file: Path) -> Sequence[SiteTable]:
    """The sites in a document that `file` held; included files that are unreadable are left out."""
    if is_single(document):
        return [SiteTable("", file, document)]
    included, _ = site_files.read(file, document)
    return [
        SiteTable(site.name, site.place.file, site.document)
        for site in [*in_main_file(document, file), *included]
        if not site.problems
    ]


def table(values: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """The table of this name; empty if there is none."""
    value = values.get(name)
    return value if isinstance(value, dict) else {}
