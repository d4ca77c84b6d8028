"""What a setting is, read from its field."""

from pathlib import Path
from typing import Literal

import pytest
from attrs import frozen

from blue_green.config.effects import Effect, NextSwap, Now
from blue_green.config.kinds import Period
from blue_green.config.sections import SECTIONS, settings_of


def test_a_field_has_all_that_is_known_of_a_setting() -> None:
    @frozen
    class Section:
        pause: NextSwap[Period | None] = None
        mode: Now[Literal["a", "b"]] = "a"

    pause, mode = settings_of(Section).values()
    assert (pause.key, pause.type, pause.default) == ("pause", Period, None)
    assert (pause.effect, pause.syntax.unit) == (Effect.NEXT_SWAP, "s")
    assert pause.syntax.read("2m") == 120
    assert mode.syntax.read("b") == "b"
    with pytest.raises(ValueError, match='must be "a" or "b", not "c"'):
        mode.syntax.read("c")


def test_a_field_without_an_effect_is_an_error() -> None:
    @frozen
    class Section:
        pause: Period | None = None

    with pytest.raises(
        TypeError, match=r"Section\.pause does not say when a new value takes effect"
    ):
        settings_of(Section)


def test_every_setting_has_a_type_that_can_be_read() -> None:
    for section in SECTIONS.values():
        for setting in settings_of(section).values():
            assert setting.is_section or setting.syntax.word


def test_a_section_of_a_section_has_both_names() -> None:
    assert SECTIONS["proxy.tls"].__name__ == "TlsSettings"
    assert Path in {setting.type for setting in settings_of(SECTIONS["proxy.tls"]).values()}
