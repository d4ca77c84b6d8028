"""A trial: a release that is not live yet serves some of the requests."""

from attrs import define

from blue_green.routing.lease import Target


@define(eq=False)
class Trial:
    """The targets of a release on trial. A request that is assigned to it may lease them.

    Once the trial has ended, such a request goes where all others go.
    """

    targets: list[Target]

    def choice(self, live: list[Target], avoid: Target | None) -> list[Target]:
        """The targets that a request may get: live ones if the trial's only target has failed it.

        It may have died just now, and a request gets no third chance.
        """
        if avoid is None:
            return self.targets or live
        return [target for target in self.targets if target is not avoid] or live or self.targets

    def end(self, *, is_live: bool) -> None:
        """Give no more leases; `is_live`: the gate gives leases on the same targets from now on."""
        for target in self.targets:
            if not is_live:
                target.lost.set()
        self.targets = []
