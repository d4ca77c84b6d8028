"""The status of several sites: a line for each, and below it what is wrong with the site."""

from collections.abc import Iterator, Mapping
from typing import Any

from blue_green.cli import certificate_text, display, process_text
from blue_green.cli.terminal import Piece, Style, columns

WIDEST = 30
"""Columns of a cell, but for the last one of a line."""
HEADINGS = ("site", "phase", "live", "req/s", "in flight", "held", "hosts", "commit")
NARROWEST = 12
"""Columns that a long name has at least in a narrow terminal, and a commit if it is shown."""
NUMBERS = (3, 4, 5)
"""The columns that are aligned to the right."""
INDENT = 4
DOT, GAP = 2, 2
"""Columns before the first cell, and between two."""


def status(result: Mapping[str, Any], style: Style) -> list[str]:
    """All sites, or the one that was asked for."""
    if "sites" not in result:
        return display.status(result, style)
    sites = result["sites"]
    cells = [HEADINGS, *(_cells(name, site) for name, site in sites.items())]
    widths = _widths(cells, style)
    if style.width is not None and _taken(widths[:-1]) + NARROWEST > style.width:
        widths, cells = widths[:-1], [row[:-1] for row in cells]  # Room for no commits.
    lines = [_line(cells[0], widths, ("  ", ""), dict.fromkeys(range(len(HEADINGS)), "dim"), style)]
    for site, row in zip(sites.values(), cells[1:], strict=True):
        colour = "yellow" if site.get("maintenance") else display.COLOURS[site["phase"]]
        dot = (f"{style.dot} ", colour)
        lines.append(_line(row, widths, dot, {0: "bold", 1: colour, 6: "dim"}, style))
        lines += _problems(site, style)
    return [*lines, "", *display.process(result, style)]


def _widths(cells: list[tuple[str, ...]], style: Style) -> list[int]:
    """The columns of each cell. Long names are truncated before any number is."""
    name, *others = [min(max(map(columns, column)), WIDEST) for column in zip(*cells, strict=True)]
    if style.width is not None:
        taken = _taken([0, *others[: NUMBERS[-1]]])
        name = min(name, max(style.width - taken, NARROWEST))
    return [name, *others]


def _taken(widths: list[int]) -> int:
    """The columns of a line up to the end of these cells, with the gap behind them."""
    return DOT + sum(width + GAP for width in widths)


def _line(
    cells: tuple[str, ...],
    widths: list[int],
    first: Piece,
    colours: Mapping[int, str],
    style: Style,
) -> str:
    """Align the cells of a line, up to the last one that is not empty."""
    pieces: list[Piece] = [first]
    filled = max(at for at, cell in enumerate(cells) if cell) + 1
    for at, (cell, width) in enumerate(zip(cells[:filled], widths, strict=False)):
        if at == len(widths) - 1:  # As long as the terminal is wide.
            pieces.append(cell)
            break
        text = Style(unicode=style.unicode, width=width).line(cell)
        gap = " " * (width - columns(text))
        padded = gap + text if at in NUMBERS else text + gap
        pieces += [(padded if at + 1 < filled else padded.rstrip(), colours.get(at, "")), "  "]
    return style.line(*pieces)


def _cells(name: str, site: Mapping[str, Any]) -> tuple[str, ...]:
    routes = display.routes(site)
    hosts = f"{routes[0]} +{len(routes) - 1}" if len(routes) > 1 else "".join(routes)
    if not display.runs(site):
        return (name, _in_maintenance(site, site["phase"]), "", "", "", "", hosts, "")
    live = site["live"]["revision"] if site["live"] else ""
    requests = (f"{site['requests_per_second']:.1f}", str(site["in_flight"]), str(site["held"]))
    subject = site["subjects"].get(live, "")
    return (name, _phase(site), live[:7] or "nothing", *requests, hosts, subject)


def _phase(site: Mapping[str, Any]) -> str:
    phase = str(site["phase"])
    if (left := site["paused_for"]) is not None:
        phase = f"paused {left:.0f} s"
    elif site["step"]:
        phase = f"{phase} ({site['step']})"
    return _in_maintenance(site, phase)


def _in_maintenance(site: Mapping[str, Any], phase: str) -> str:
    return f"maintenance, {phase}" if site.get("maintenance") else phase


def _problems(site: Mapping[str, Any], style: Style) -> Iterator[str]:
    """Why the site is down, and what is wrong with it or with its newest revision."""
    yield from _problem(site.get("down", ""), "red", style)
    yield from _problem(site["problem"], "red" if site["phase"] == "broken" else "yellow", style)
    yield from _problem(certificate_text.first_problem(site), "yellow", style)
    for problem in process_text.problems(site):
        yield from _problem(problem, "yellow", style)
    if not display.runs(site):
        return
    _, revision = display.missing(site)
    if revision and not (site["swap"] and site["swap"]["revision"] == revision):
        subject = site["subjects"].get(revision, "")
        named = f'{revision[:7]} "{subject}"' if subject else revision[:7]
        yield from _problem(f"{named} is not live: {site['why']}", "yellow", style)


def _problem(text: str, colour: str, style: Style) -> list[str]:
    """The first line of a text; `status SITE` shows the steps to take."""
    return style.wrapped(INDENT, text.partition("\n")[0], colour) if text else []
