"""A push to the checkout of a site: deploy the revision before git moves the branch to it.

The update hook of the checkout asks for this (githooks(5)), when the new objects are there. If the
swap fails, the hook refuses the push, and nothing has changed. If it succeeds, git updates the
files of the checkout and moves the branch; whatever could prevent that is checked before the swap.
"""

from pathlib import Path

import trio
from attrs import define

from blue_green.control.server import Refusal, Send
from blue_green.site.site import Site
from blue_green.site.trigger import Trigger
from blue_green.source import reset
from blue_green.source.git_errors import GitError
from blue_green.source.revision import REVISION
from blue_green.supervisor.follow_swap import follow
from blue_green.system import threads
from blue_green.system.printable import first_few

LOCK_TIMEOUT = 2.0
LOCK_INTERVAL = 0.1
"""Seconds that another git may take in the checkout, and between looks whether it is done."""
ABORTED = "the push was aborted"
ANOTHER_PUSH = "{} was pushed meanwhile and has just gone live: git fetch, and push again"


@define
class PushArguments:
    """What git passes to its update hook, and for which checkout."""

    checkout: str
    ref: str
    old: str
    new: str


async def receive(site: Site, push: PushArguments, send: Send) -> bool:
    """Deploy the pushed revision; whether git may update the branch.

    Sends a `note` if there is nothing to deploy, else the progress and a `receipt`. Raises
    `Refusal`.
    """
    if not REVISION.fullmatch(push.new):
        raise Refusal(f'"{push.new}" is not a revision', usage=True)
    about = {"site": site.label}
    try:
        if note := await _why_not_now(site, push):
            await send({"event": "note", "text": note, **about})
            return True
        await _check_update(site, push)
    except (GitError, OSError) as error:
        raise Refusal(str(error)) from None
    # A person who pushes a revision again has a reason to.
    retry = push.new in site.state.quarantine
    request = site.queue.request(push.new, Trigger.PUSH, retry=retry)
    try:
        receipt = await follow(site, request, send, with_output=True)
    except trio.BrokenResourceError:
        if request.trigger is Trigger.PUSH:
            site.queue.withdraw(request, ABORTED)  # Nobody will update the branch.
        raise
    is_live = receipt["outcome"] in ("promoted", "unchanged")
    if is_live:
        site.pushes.deployed(push.new)
    await send({"event": "receipt", "receipt": receipt, "addresses": _addresses(site), **about})
    return is_live


async def _why_not_now(site: Site, push: PushArguments) -> str:
    """Why git may update the branch without a swap; "" if there must be one first."""
    branch = push.ref.removeprefix("refs/heads/")
    try:
        current = await site.git.run("symbolic-ref", "--quiet", "HEAD")
    except GitError:
        return f"HEAD of {site.git.checkout} is detached: nothing is deployed"
    if current != push.ref:
        deployed = current.removeprefix("refs/heads/")
        return f"nothing is deployed: {deployed} is checked out on the server, not {branch}"
    if not push.old.strip("0"):
        return f"{branch} is new: it is deployed as soon as the push has ended"
    if site.releases.in_place:
        return "in_place = true: it is deployed as soon as the push has ended"
    found = await site.new_commits.without_changes(push.new)
    return f"nothing is deployed: {found.reason}" if found else ""


async def _check_update(site: Site, push: PushArguments) -> None:
    """Raise `Refusal` if git could not update the branch and the files after the swap."""
    git, queue = site.git, site.queue
    head = await git.head()
    if head != push.old:
        raise Refusal(f"HEAD has moved to {head[:7]}: git fetch, and push again")
    if (pending := site.pushes.pending) not in (None, push.old, push.new):
        raise Refusal(ANOTHER_PUSH.format(str(pending)[:7]))
    swap = queue.current if queue.current and queue.current.is_past_switch else None
    if swap and swap.trigger is Trigger.PUSH and swap.revision != push.new:
        raise Refusal(ANOTHER_PUSH.format(swap.revision[:7]))
    if lock := await _lock(site, push.ref):
        raise Refusal(
            "another git runs in the checkout on the server, or was killed there: if none runs, "
            f"delete {lock}"
        )
    if changed := await _changed(site):
        raise Refusal(f"the checkout on the server has uncommitted changes: {first_few(changed)}")
    if in_the_way := await reset.in_the_way(git, push.new):
        raise Refusal(
            "the checkout on the server has untracked files that would be overwritten: "
            f"{first_few(in_the_way)}. Move them away there"
        )


async def _lock(site: Site, ref: str) -> Path | None:
    """A lock of another git that stays, with which git could not update the branch or the files."""
    paths = await site.git.paths()
    locks = [
        *(paths.git_dir / name for name in ("index.lock", "HEAD.lock")),
        *(paths.common_dir / name for name in (f"{ref}.lock", "packed-refs.lock")),
    ]

    def find() -> Path | None:
        return next((lock for lock in locks if lock.exists()), None)

    with trio.move_on_after(LOCK_TIMEOUT):
        while await threads.run(find):
            await trio.sleep(LOCK_INTERVAL)
    return await threads.run(find)


async def _changed(site: Site) -> list[str]:
    """Tracked files that differ from HEAD or the index; git then refuses the update."""
    words = ("status", "--porcelain", "--untracked-files=no", "--ignore-submodules")
    # The first line has lost its leading space.
    listed = (await site.git.run(*words)).split("\n")
    return [line.strip().split(" ", 1)[-1].strip() for line in listed if line]


def _addresses(site: Site) -> str:
    """Where the site is served, for people."""
    hosts = [host for host in site.settings.serving.hosts if "*" not in host]
    return ", ".join(hosts) or site.addresses
