"""Commands for people to type."""

from blue_green.config.command_line import command_line, to_decide


def test_a_command_for_one_of_several_sites_names_it() -> None:
    assert command_line("swap", "blog", "eac2fb8") == "blue-green swap --site blog eac2fb8"


def test_a_command_for_the_only_site_needs_no_name() -> None:
    assert command_line("swap", "", "--retry") == "blue-green swap --retry"


def test_what_ends_a_canary_can_be_pasted() -> None:
    assert to_decide("blog") == (
        "blue-green promote --site blog makes it live, blue-green abort --site blog ends it"
    )
