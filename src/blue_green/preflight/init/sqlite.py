"""Apps with an SQLite database that all releases share."""

from collections.abc import Sequence

from attrs import evolve

from blue_green.preflight.init.app import App
from blue_green.preflight.init.checkout import Checkout

WHY = "SQLite allows one writer, so only one release may run: requests wait during a swap"


def with_sqlite(app: App, checkout: Checkout, named: Sequence[str] = ()) -> App:
    """Choose the exclusive strategy if one of the databases that were found is linked."""
    databases = (*checkout.databases, *(name for name in named if not name.endswith("/")))
    if any(name in app.link for name in databases):
        return evolve(app, strategy="exclusive", why_strategy=WHY)
    return app
