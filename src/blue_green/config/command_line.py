"""Commands for people to type, in messages about a site."""


def command_line(command: str, site: str, *arguments: str) -> str:
    """The command with `--site`, which a site needs if it is one of several; else `site` is ""."""
    of_site = ["--site", site] if site else []
    return " ".join(["blue-green", command, *of_site, *arguments])
