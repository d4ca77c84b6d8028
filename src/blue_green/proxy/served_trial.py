"""A release on trial: some clients are sent there, and all others to the live release."""

from collections.abc import Awaitable
from typing import TYPE_CHECKING

from attrs import define

from blue_green.files.roots import FileRoots
from blue_green.proxy.canary import Canary
from blue_green.proxy.secret_link import SecretLink
from blue_green.routing.trial import Trial

if TYPE_CHECKING:  # A stream has a client, which has a site, which has this.
    from blue_green.proxy.client_stream import ClientStream


@define(eq=False)
class ServedTrial:
    """What the proxy knows of the release: where it is, and which clients it is for."""

    trial: Trial
    audience: Canary | SecretLink
    """A share of the clients, or those that have opened the link of a preview."""
    files: FileRoots | None = None
    """The files that are served to them without the app."""

    def admit(self, stream: "ClientStream", prefix: str) -> Awaitable[None] | None:
        """Assign the request to the release if its client is admitted.

        Returns the response if it opens the secret link. `prefix` is that of the request's route.
        """
        request, audience = stream.request, self.audience
        if isinstance(audience, Canary):
            is_in, stream.set_cookie = audience.admit(stream.client.remote, request, prefix)
            if is_in:
                stream.trial = self
        elif (opened := audience.open(stream, prefix)) is not None:
            return opened
        elif audience.is_held_by(request):
            stream.trial = self
            stream.is_admitted = True  # It is for people who know of it.
        return None
