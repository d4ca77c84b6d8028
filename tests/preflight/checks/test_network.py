"""What is wrong with addresses and how clients reach them."""

from pathlib import Path

import pytest

from blue_green.preflight.checks import network
from tests.support.settings import TLS, load

FEW_STREAMS = "[proxy.http2]\nmax_streams = 50\n"


def test_limits_for_http2_have_no_effect_without_tls(tmp_path: Path) -> None:
    [finding] = network.http2(load(tmp_path / "settings.toml", FEW_STREAMS))
    assert finding.verdict == "warned"
    assert "no effect without [proxy.tls]" in finding.text


@pytest.mark.parametrize("more", ["", "[proxy.http2]\nenabled = false\n", FEW_STREAMS + TLS])
def test_other_settings_of_http2_are_fine(tmp_path: Path, more: str) -> None:
    assert not list(network.http2(load(tmp_path / "settings.toml", more)))
