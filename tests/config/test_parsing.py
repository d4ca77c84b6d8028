"""supervisor.toml becomes settings, or a list of every problem in it."""

import signal
from pathlib import Path

import pytest

from blue_green.supervisor import settings_file
from tests.support.settings import MINIMAL, TLS, load, problems

TOP = Path(__file__).parents[2]


def test_all_errors_are_reported_at_once(file: Path) -> None:
    more = 'stop_timeout = "x"\n[git]\nbranch = 1\n[nonsense]\n[hold]\nlimit = 0\nramp = "many"'
    found = problems(file, more, start="[app]\nports = [1]\n")
    keys = [problem.partition(":")[0] for problem in found]
    assert sorted(keys) == [
        "[app] command",
        "[app] ports",
        "[app] stop_timeout",
        "[git] branch",
        "[hold] limit",
        "[hold] ramp",
        "[nonsense]",
    ]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ('comand = ["x"]', "[app] comand: is unknown; did you mean command?"),
        ("[helth]", "[helth]: is unknown; did you mean health?"),
        ('link = [".env"]', "[app] link: does not belong here, but in [release]"),
        ('[webhook]\nsecret = "x"', "[webhook] secret: is unknown; did you mean secret_file?"),
        ("[proxy]\ntls = true", "[proxy.tls]: must be a section of settings, not true"),
        (
            "[proxy]\ncertificate = 1",
            "[proxy] certificate: does not belong here, but in [tls]",
        ),
        (f"{TLS}listen = []", "[proxy.tls] listen: does not belong here, but in [proxy]"),
        (f"{TLS}redirects = []", "[proxy.tls] redirects: is unknown; did you mean redirect?"),
        ('[proxy.tls]\nkey = "k"', "[proxy.tls] certificate: is missing, and key is set"),
        ("[redirect]", "[redirect]: is unknown here; did you mean redirect_hosts, or red"),
        ("colour = 1", "[app] colour: is unknown; known here: command, ports, backends, directory"),
        ("[hold.deeper]", "[hold] deeper: is unknown; known here: timeout, limit, ramp"),
        ("[[git]]", "[git]: must be a section of settings"),
    ],
)
def test_an_unknown_key_is_reported_with_the_likely_one(file: Path, more: str, said: str) -> None:
    (problem,) = problems(file, more)
    assert problem.startswith(said)


def test_a_key_outside_of_any_section_is_reported_with_its_section(file: Path) -> None:
    (problem,) = problems(file, start='ports = [1, 2]\n[app]\ncommand = ["x"]\nports = [1, 2]')
    assert problem == "ports: is unknown here; did you mean paths, or ports in [app]?"


def test_everything_but_command_and_ports_has_a_default(file: Path) -> None:
    settings = load(file)
    assert settings.sites[0].app.name == file.parent.name
    assert settings.sites[0].app.stop_signal == signal.SIGTERM
    assert settings.sites[0].git.checkout == file.parent
    assert settings.state.directory == file.parent / ".blue-green"
    assert settings.control.socket == file.parent / ".blue-green" / "control.sock"
    assert [str(end) for end in settings.proxy.listen] == ["127.0.0.1:8000"]
    assert settings.admin.listen == ()


def test_paths_are_relative_to_the_file_and_not_to_the_current_directory(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    more = '[git]\ncheckout = "../site"\n[state]\ndirectory = "var"\n[control]\nsocket = "c"'
    file.write_text(MINIMAL + more)
    monkeypatch.chdir("/")
    settings = settings_file.load(file)
    assert settings.sites[0].git.checkout == file.parent.parent / "site"
    assert settings.sites[0].app.name == "site"
    assert settings.control.socket == file.parent / "var" / "c"


@pytest.mark.parametrize(
    ("text", "https"),
    [
        ("", False),
        (TLS, True),
        ("[health]\nhttps = true\n", True),
        (f"[health]\nhttps = false\n{TLS}", False),
    ],
)
def test_probes_claim_https_with_tls_unless_the_setting_says_otherwise(
    file: Path, text: str, https: bool
) -> None:
    assert load(file, text).sites[0].health.https is https


def test_paths_in_the_tls_section_are_relative_to_the_file_too(file: Path) -> None:
    tls = load(file, f'{TLS}redirect = ["unix:r.sock", "[::]:80"]').proxy.tls
    assert tls is not None
    assert (tls.certificate, tls.key) == (file.parent / "c.pem", file.parent / "k.pem")
    assert [str(end) for end in tls.redirecting] == [f"unix:{file.parent / 'r.sock'}", "[::]:80"]
    assert load(file).proxy.tls is None


def test_every_error_in_the_tls_section_is_reported(file: Path) -> None:
    found = problems(file, '[proxy.tls]\ncertificate = 1\nredirect = ["80"]')
    keys = [problem.partition(":")[0] for problem in found]
    assert sorted(keys) == [f"[proxy.tls] {key}" for key in ("certificate", "redirect")]


def test_the_state_directory_is_the_same_for_every_path_to_the_file(file: Path) -> None:
    """It marks our processes: with another name, they would not be found after a crash."""
    elsewhere = file.parent / "sub" / ".." / file.name
    (file.parent / "sub").mkdir()
    assert load(file).state == settings_file.load(elsewhere).state


def test_the_example_file_is_valid(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    settings = settings_file.load(TOP / "supervisor.toml.example")
    assert settings.sites[0].git.checkout == TOP
