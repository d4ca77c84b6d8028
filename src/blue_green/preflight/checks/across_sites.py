"""What the sites of one supervisor have in common: checkouts, and users."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

from blue_green.preflight.checks.context import CheckContext
from blue_green.preflight.checks.finding import Findings, passed, warned
from blue_green.system import documents


def across_sites(contexts: Sequence[CheckContext]) -> Findings:
    """Compare the sites; of one alone there is nothing to say."""
    if len(contexts) < 2:
        return
    yield from _checkouts(contexts)
    yield from _users(contexts)


def _checkouts(contexts: Sequence[CheckContext]) -> Findings:
    """Two sites may be made from one checkout, but only one can run in it."""
    for checkout, sharing in _grouped(contexts, lambda one: str(one.git.checkout.resolve())):
        in_place = [one for one in sharing if one.site.release.in_place]
        if len(sharing) > 1 and in_place:
            yield warned(
                "[release] in_place",
                f"{_names(sharing)} share {checkout}, and {_names(in_place)} would run in it: "
                "what one of them writes there, the others would see",
                "give each a checkout of its own (git clone), or unset in_place",
            )


def _users(contexts: Sequence[CheckContext]) -> Findings:
    """Apps that run as one user are not protected from each other."""
    for name, sharing in _grouped(contexts, lambda one: one.user.name):
        if len(sharing) > 1:
            yield passed(
                "[app] user",
                f"{_names(sharing)} run as {name}, so each can read and change the files of the "
                "others; as root, each can have a user of its own: see "
                f"{documents.path_of('hardening.md')}",
            )


def _grouped(
    contexts: Sequence[CheckContext], key: Callable[[CheckContext], str]
) -> Iterable[tuple[str, list[CheckContext]]]:
    groups: dict[str, list[CheckContext]] = defaultdict(list)
    for context in contexts:
        groups[key(context)].append(context)
    return groups.items()


def _names(contexts: Sequence[CheckContext]) -> str:
    names = [context.site.name for context in contexts]
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else names[0]
