"""Commands for people to type, in messages about a site."""


def command_line(command: str, site: str, *arguments: str) -> str:
    """The command with `--site`, which a site needs if it is one of several; else `site` is ""."""
    of_site = ["--site", site] if site else []
    return " ".join(["blue-green", command, *of_site, *arguments])


def to_decide(site: str) -> str:
    """How to end a canary or a preview."""
    promote, abort = command_line("promote", site), command_line("abort", site)
    return f"{promote} makes it live, {abort} ends it"
