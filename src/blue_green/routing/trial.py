"""A trial: a release that is not live yet serves some of the requests."""

from attrs import define

from blue_green.routing.lease import Target


@define(eq=False)
class Trial:
    """The targets of a release on trial. A request that is assigned to it may lease them.

    Once the trial has ended, such a request goes where all others go.
    """

    targets: list[Target]

    def end(self, *, is_live: bool) -> None:
        """Give no more leases; `is_live`: the gate gives leases on the same targets from now on."""
        for target in self.targets:
            if not is_live:
                target.lost.set()
        self.targets = []
