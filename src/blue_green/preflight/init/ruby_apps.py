"""Apps in Ruby: Rails, and others with a config.ru, such as Sinatra."""

import re
from collections.abc import Iterator

from blue_green.preflight.init import sqlite
from blue_green.preflight.init.app import App, steps
from blue_green.preflight.init.checkout import Checkout, health_path

BUNDLE = ("bundle", "install", "--quiet")
GEMS = "vendor/bundle/"
"""Shared by all releases: bundler keeps several versions of a gem beside each other."""
ENV = {
    "BUNDLE_PATH": "vendor/bundle",
    "BUNDLE_WITHOUT": "development:test",
    "BUNDLE_FROZEN": "1",
}
RAILS_ENV = {
    "RAILS_ENV": "production",
    "RAILS_LOG_TO_STDOUT": "1",  # The default from Rails 7.1.
    "RAILS_SERVE_STATIC_FILES": "1",  # What is in public/ besides the assets; likewise.
}
KEY = "config/master.key"
NO_KEY = f"{KEY} is not in the checkout: copy it there, or set RAILS_MASTER_KEY in an env_file"
ASSETS = ("sprockets", "propshaft", "webpacker", "shakapacker", "vite_rails")
FILES = {"/assets/": "public/assets", "/packs/": "public/packs", "/vite/": "public/vite"}
OF_ADAPTER = re.compile(r"(?m)^[ \t]*adapter:[ \t]*sqlite3")
DATABASE = re.compile(r"(?m)^[ \t]*database:[ \t]*([\w./-]+\.(?:sqlite3|sqlite|db))\b")


def rails(checkout: Checkout) -> Iterator[App]:
    if not {"config/application.rb", "Gemfile"} <= checkout.tracked:
        return
    gems = checkout.text("Gemfile") + checkout.text("Gemfile.lock")
    has_assets = any(name in gems for name in ASSETS) and "app/assets" in checkout.tracked
    databases = _databases(checkout)
    data = ("storage/", *databases, "log/", "tmp/cache/", GEMS)
    has_key = "config/credentials.yml.enc" in checkout.tracked
    production = checkout.text("config/environments/production.rb")
    prepare = (*_rails(checkout), "db:prepare")
    yield App(
        kind="Rails",
        because="detected from config/application.rb",
        command=_puma(gems),
        env=_env(checkout) | RAILS_ENV,
        build=steps(
            BUNDLE,
            ("mkdir", "-p", "tmp/pids"),  # In which Puma writes its pid, if its settings say so.
            (*_rails(checkout), "assets:precompile") if has_assets else (),
        ),
        migrate=prepare if "config/database.yml" in checkout.tracked else (),
        link=checkout.with_data(checkout.links, (*([KEY] if has_key else []), *data)),
        files={path: FILES[path] for path in _served(gems)} if has_assets else {},
        strategy="exclusive" if databases else "overlap",
        why_strategy=sqlite.WHY if databases else "",
        path="/up" if "rails/health#show" in checkout.text("config/routes.rb") else "/",
        https=bool(re.search(r"(?m)^[ \t]*config\.force_ssl[ \t]*=[ \t]*true", production)),
        advice=(NO_KEY,) if has_key and not checkout.has(KEY) else (),
    )


def rack(checkout: Checkout) -> Iterator[App]:
    """Sinatra, Roda, Hanami and others."""
    if "config.ru" not in checkout.tracked or "config/application.rb" in checkout.tracked:
        return
    gems = checkout.text("Gemfile") + checkout.text("Gemfile.lock")
    text = checkout.text("config.ru") + checkout.text("app.rb")
    bundled = "Gemfile" in checkout.tracked
    command = _puma(gems) if "puma" in gems else _rackup(gems)
    yield App(
        kind="Rack",
        because="detected from config.ru",
        command=command if bundled else command[2:],
        env={**(_env(checkout) if bundled else {}), "RACK_ENV": "production"},
        build=BUNDLE if bundled else (),
        link=checkout.with_data(checkout.links, (GEMS,) if bundled else ()),
        path=health_path(text),
    )


def _puma(gems: str) -> tuple[str, ...]:
    if "puma" not in gems and "unicorn" in gems:
        return ("bundle", "exec", "unicorn", "--listen", "127.0.0.1:{port}")
    return ("bundle", "exec", "puma", "--bind", "tcp://127.0.0.1:{port}")


def _rackup(gems: str) -> tuple[str, ...]:
    if "unicorn" in gems:
        return _puma(gems)
    return ("bundle", "exec", "rackup", "--host", "127.0.0.1", "--port", "{port}")


def _rails(checkout: Checkout) -> tuple[str, ...]:
    return ("bin/rails",) if "bin/rails" in checkout.tracked else ("bundle", "exec", "rails")


def _env(checkout: Checkout) -> dict[str, str]:
    """A lock file, if there is one, says which versions are installed."""
    has_lock = "Gemfile.lock" in checkout.tracked
    return {name: value for name, value in ENV.items() if has_lock or name != "BUNDLE_FROZEN"}


def _served(gems: str) -> Iterator[str]:
    """The paths of the assets that are built."""
    yield "/assets/"
    if "webpacker" in gems or "shakapacker" in gems:
        yield "/packs/"
    if "vite_rails" in gems:
        yield "/vite/"


def _databases(checkout: Checkout) -> tuple[str, ...]:
    """The SQLite databases of production in config/database.yml."""
    text = checkout.text("config/database.yml")
    if not OF_ADAPTER.search(text):
        return ()
    named = DATABASE.findall(text[text.find("\nproduction:") :])
    return tuple(dict.fromkeys(named)) or ("db/production.sqlite3",)
