"""Users that the apps of several sites run as."""

from collections import defaultdict
from collections.abc import Sequence

from blue_green.preflight.checks.context import CheckContext
from blue_green.preflight.checks.finding import Findings, passed
from blue_green.system import documents


def shared_users(contexts: Sequence[CheckContext]) -> Findings:
    """Mention apps that run as one user, and so are not protected from each other."""
    names: dict[str, list[str]] = defaultdict(list)
    for context in contexts:
        names[context.user.name].append(context.site.name)
    for user, sites in names.items():
        if len(sites) > 1:
            yield passed(
                "[app] user",
                f"{', '.join(sites[:-1])} and {sites[-1]} run as {user}, so each can read and "
                "change the files of the others; as root, each can have a user of its own: see "
                f"{documents.path_of('hardening.md')}",
            )
