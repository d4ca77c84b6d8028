"""Read supervisor.toml, and the files that it includes, into `Settings`, or report all errors."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
from attrs import field, frozen

from blue_green.config import scope
from blue_green.config.contradictions import HOSTS, contradictions, no_hosts
from blue_green.config.defaults import complete_process, complete_site
from blue_green.config.error import ConfigError
from blue_green.config.kinds import shown
from blue_green.config.place import INCLUDE, SITES, Place
from blue_green.config.renamed import with_new_names
from blue_green.config.sections import OF_PROCESS, OF_SITE, ROOT
from blue_green.config.settings import Settings
from blue_green.config.site_document import (
    SiteDocument,
    bad_names,
    in_main_file,
    include_patterns,
    is_single,
)
from blue_green.config.tables import read_tables


@frozen
class Parsed:
    """The settings that can be used, and all errors in the others."""

    settings: Settings | None
    """Those of the process and of all sites without errors; None if the process has errors."""
    problems: list[str] = field(factory=list)
    """Errors of the process, or of the only site."""
    of_sites: Mapping[str, list[str]] = field(factory=dict)
    """Errors of each of several sites, by its name."""

    @property
    def every_problem(self) -> list[str]:
        return [*self.problems, *(line for lines in self.of_sites.values() for line in lines)]

    @property
    def whole(self) -> Settings:
        """All settings; raise `ConfigError` with every error in them."""
        if self.settings is None or self.every_problem:
            raise ConfigError(self.every_problem)
        return self.settings


def parse(document: Mapping[str, Any], path: Path) -> Settings:
    """Settings from a TOML document that `path` held, without the files that it includes.

    Relative paths are relative to it. Raises `ConfigError` with every error in it.
    """
    return parse_all(document, path).whole


def parse_all(
    document: Mapping[str, Any],
    path: Path,
    included: Sequence[SiteDocument] = (),
    problems: Iterable[str] = (),
) -> Parsed:
    """As `parse`, with the included files, and with what went wrong when they were read."""
    if is_single(document):
        return _parse_single(document, path)
    return _parse_several(document, path, included, list(problems))


def _parse_single(document: Mapping[str, Any], path: Path) -> Parsed:
    place = Place(path)
    problems: list[str] = []
    values = read_tables(with_new_names(document, place), scope.of_single(path), problems)
    if problems:
        return Parsed(None, problems)
    of_process = {name: values[name] for name in values.keys() & OF_PROCESS}
    process = complete_process(of_process, document, place, is_single=True)
    of_site = {name: values[name] for name in values.keys() & {ROOT, *OF_SITE}}
    site = complete_site("", of_site, place, process)
    settings = attrs.evolve(process, sites=(site,))
    return Parsed(settings, [problem.text for problem in contradictions(settings)])


def _parse_several(
    document: Mapping[str, Any],
    path: Path,
    included: Sequence[SiteDocument],
    problems: list[str],
) -> Parsed:
    values = read_tables(document, scope.of_process(path), problems)
    problems += _bad_lists(document, path)
    sites = sorted([*in_main_file(document, path), *included], key=lambda site: site.name)
    of_sites: dict[str, list[str]] = defaultdict(list)
    for name, text in bad_names(sites):
        of_sites[name].append(text)
    read = [(site, _read_site(site, path, of_sites[site.name])) for site in sites]
    settings = None
    if not problems:
        process = complete_process(values, document, Place(path), is_single=False)
        complete = (
            complete_site(site.name, values, site.place, process)
            for site, values in read
            if not of_sites[site.name]
        )
        settings = attrs.evolve(process, sites=tuple(complete))
        for problem in contradictions(settings):
            (problems if problem.site is None else of_sites[problem.site]).append(problem.text)
        usable = tuple(site for site in settings.sites if not of_sites[site.name])
        settings = None if problems else attrs.evolve(settings, sites=usable)
    return Parsed(settings, problems, {name: lines for name, lines in of_sites.items() if lines})


def _read_site(site: SiteDocument, main: Path, problems: list[str]) -> dict[str, Any]:
    problems += site.problems
    if site.problems:
        return {}
    renamed = with_new_names(site.document, site.place)
    values = read_tables(renamed, scope.of_site(site.place, main), problems)
    if problems and HOSTS not in renamed:  # Otherwise it is found when the settings are complete.
        problems.append(no_hosts(site.place))
    return values


def _bad_lists(document: Mapping[str, Any], path: Path) -> Iterable[str]:
    """What is wrong with `include` and with `sites` themselves."""
    try:
        include_patterns(document)
    except ValueError as error:
        yield f"{Place(path).key('', INCLUDE)}: {error}"
    sites = document.get(SITES, {})
    if not isinstance(sites, Mapping):
        yield (
            f"{Place(path).key('', SITES)}: must be a section for each site, [sites.NAME], not "
            f"{shown(sites)}; files of sites are named by include"
        )
    elif not sites and INCLUDE not in document:
        yield f"{Place(path).key(SITES)}: must have a section for each site, [sites.NAME]"
