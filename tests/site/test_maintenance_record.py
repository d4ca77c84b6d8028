"""What may be given to a maintenance, and what may be in the state file of one."""

from pathlib import Path

import pytest
import tomli_w

from blue_green.site.maintenance_record import (
    LONGEST_MESSAGE,
    MOST_NETWORKS,
    MaintenanceRecord,
    check_message,
    networks,
)
from blue_green.site.state import State
from blue_green.site.state_file import StateFile

GOOD = {
    "since": 1790000000.5,
    "message": "Back soon. Bis später 🛠️",
    "until": 1790003600.0,
    "allow": ["192.0.2.0/24", "2001:db8::1"],
    "token": "t" * 43,
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("203.0.113.7/32", "203.0.113.7"),
        ("203.0.113.0/24", "203.0.113.0/24"),
        ("203.0.113.0/255.255.255.0", "203.0.113.0/24"),
        ("0.0.0.0/0", "0.0.0.0/0"),
        ("2001:DB8::0:1", "2001:db8::1"),
        ("2001:db8::/32", "2001:db8::/32"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("::ffff:203.0.113.0/120", "203.0.113.0/24"),
        ("::/0", "::/0"),
    ],
)
def test_addresses_and_networks_have_one_form(text: str, expected: str) -> None:
    assert networks([text, text]) == [expected]


@pytest.mark.parametrize(
    "text",
    ["", "localhost", "203.0.113", "203.0.113.0/33", "1.2.3.4:80", "[::1]", "/24", "x" * 100_000],
)
def test_anything_else_is_no_network(text: str) -> None:
    with pytest.raises(ValueError, match="must be an address, or a network such as") as raised:
        networks([text])
    assert len(str(raised.value)) < 200


def test_an_address_with_the_length_of_a_network_is_ambiguous() -> None:
    with pytest.raises(ValueError, match=r"use 203\.0\.113\.0/24 for the whole network, or 203\."):
        networks(["203.0.113.7/24"])


def test_the_number_of_networks_is_limited() -> None:
    assert len(networks([f"10.0.0.{number}" for number in range(MOST_NETWORKS)])) == MOST_NETWORKS
    with pytest.raises(ValueError, match="may be given 100 times, not 101"):
        networks(["10.0.0.1"] * (MOST_NETWORKS + 1))


def test_a_message_is_a_line_of_limited_length() -> None:
    check_message("<b>ä</b> {until} 🛠️ العربية" + "x" * 400)
    with pytest.raises(ValueError, match="has 501 characters, and may have 500"):
        check_message("x" * (LONGEST_MESSAGE + 1))
    for bad in ("a\nb", "a\rb", "a\x00", "\x1b[31m", "\udcff", "\x85", "\t"):
        with pytest.raises(ValueError, match="must be one line of text"):
            check_message(bad)


def loaded(directory: Path, maintenance: object) -> State:
    document = {"version": 1, "maintenance": maintenance}
    (directory / "state.toml").write_text(tomli_w.dumps(document))
    return StateFile(directory / "state.toml").load()


def test_the_state_file_keeps_a_maintenance(tmp_path: Path) -> None:
    assert loaded(tmp_path, GOOD).maintenance == MaintenanceRecord(**GOOD)  # type: ignore[arg-type]
    assert loaded(tmp_path, {"since": 0}).maintenance == MaintenanceRecord(0.0)


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("until", float("inf")),
        ("until", float("nan")),
        ("until", 1e12),
        ("until", -1.0),
        ("message", "x" * 501),
        ("message", "a\r\nSet-Cookie: b"),
        ("message", 5),
        ("allow", ["everybody"]),
        ("allow", ["10.0.0.1"] * 101),
        ("allow", "10.0.0.1"),
        ("token", "short"),
        ("token", "t" * 42 + ";"),
        ("token", "t" * 43 + "\n"),
        ("unknown", 1),
    ],
    ids=str,
)
def test_damage_in_a_part_costs_only_that_part(
    tmp_path: Path, part: str, value: object, caplog: pytest.LogCaptureFixture
) -> None:
    rest = {name: known for name, known in GOOD.items() if name != part}
    kept = loaded(tmp_path, {**GOOD, part: value}).maintenance
    assert kept == MaintenanceRecord(**rest)  # type: ignore[arg-type]
    assert f"maintenance.{part}" in caplog.text
    assert part != "token" or str(value) not in caplog.text, "it is secret"
    assert (tmp_path / "state.toml.bad").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "record",
    [
        {**GOOD, "since": "yesterday"},
        {**GOOD, "since": float("nan")},
        {**GOOD, "since": -1.0},
        {**GOOD, "since": 1e12},
        {},
        "on",
        5,
        [GOOD],
    ],
    ids=str,
)
def test_a_site_whose_record_is_damaged_stays_in_maintenance_and_admits_nobody(
    tmp_path: Path, record: object
) -> None:
    kept = loaded(tmp_path, record).maintenance
    assert kept is not None
    assert (kept.token, kept.allow, kept.until) == (None, [], None)
    assert (tmp_path / "state.toml.bad").exists()


@pytest.mark.parametrize("version", ["version = 2", "versio", "version = 1\n\xff"])
def test_so_does_one_whose_whole_state_is_damaged(tmp_path: Path, version: str) -> None:
    file = tmp_path / "state.toml"
    file.write_bytes(f"{version}\nboot = 'x'\n\n[maintenance]\nsince = 1.0\n".encode("latin-1"))
    assert StateFile(file).load().maintenance is not None
    file.write_bytes(f"{version}\nboot = '[maintenance]'\n".encode("latin-1"))
    assert StateFile(file).load().maintenance is None
