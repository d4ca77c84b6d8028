"""Whatever a TOML document holds, it becomes settings, or errors that name a file."""

from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from blue_green.config import change_text, parsing
from blue_green.config.changes import changes, in_force
from blue_green.config.effects import Effect
from blue_green.config.place import Place
from blue_green.config.sections import SECTIONS, settings_of
from blue_green.config.site_document import SiteDocument

KEYS = sorted({key for kind in SECTIONS.values() for key in settings_of(kind)})
WORDS = ["", "*", "*.x.org", "x.org", "/", "/a", "/ready", "1s", "[::1]", "127.0.0.1:80", "ü", "\0"]
SCALARS = st.one_of(
    st.booleans(), st.integers(), st.floats(), st.dates(), st.sampled_from(WORDS), st.text()
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(KEYS), inner, max_size=3)
    ),
    max_leaves=6,
)
HOSTS = st.lists(st.sampled_from(["x.org", "y.org", "*", "*.x.org"]), min_size=1, max_size=2)
PORTS = st.integers(1, 9).map(lambda port: [port, port + 1])
APP = st.fixed_dictionaries({"command": st.just(["x"])}, optional={"ports": PORTS})
ANYTHING = st.dictionaries(st.sampled_from([*KEYS, *SECTIONS, "include", "sites"]), VALUES)
GOOD = st.fixed_dictionaries({"hosts": HOSTS, "app": APP})
SITES = st.one_of(GOOD, st.builds(lambda good, other: {**good, **other}, GOOD, ANYTHING))
NAMES = st.sampled_from(["a", "A", "b", "c", "x.org", ".", "ü"])
TABLES = st.dictionaries(NAMES, st.one_of(SITES, VALUES), max_size=3)
DOCUMENTS = st.one_of(
    SITES,
    st.fixed_dictionaries({}, optional={"include": VALUES, "sites": TABLES, "proxy": VALUES}),
)
INCLUDED = st.lists(
    st.builds(SiteDocument, NAMES, st.just(Place(Path("sites/x.toml"))), SITES), max_size=2
)


@given(st.lists(st.tuples(DOCUMENTS, INCLUDED), min_size=2, max_size=2))
def test_any_document_becomes_settings_or_errors(
    read: list[tuple[dict[str, Any], list[SiteDocument]]],
) -> None:
    old, new = (parsing.parse_all(one, Path("main.toml"), included) for one, included in read)
    for parsed in (old, new):
        problems = [
            *parsed.problems,
            *(line for lines in parsed.of_sites.values() for line in lines),
        ]
        assert all(problem.startswith(("main.toml: ", "sites/x.toml: ")) for problem in problems)
        assert parsed.settings or parsed.problems
    if old.settings and new.settings:
        found = changes(old.settings, new.settings)
        assert len(change_text.changes([change.as_dict() for change in found]).splitlines()) >= 1
        between = in_force(old.settings, new.settings)
        left = {change.effect for change in changes(between, new.settings)}
        assert left <= {Effect.RESTART}, "a reload has put the others in force"
