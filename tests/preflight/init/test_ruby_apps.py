"""Rails, and other apps in Ruby."""

from blue_green.config.settings import SiteSettings
from tests.support.init_checkout import Fill, init

LOCK = "GEM\n  specs:\n    puma (6.4.2)\n    rails (7.1.3)\n    sprockets-rails (3.4.2)\n"
DATABASE = """\
default: &default
  adapter: sqlite3
  pool: 5
development:
  <<: *default
  database: storage/development.sqlite3
production:
  <<: *default
  database: {}
"""
RAILS = {
    "Gemfile": 'gem "rails"\ngem "puma"\n',
    "Gemfile.lock": LOCK,
    "Procfile.dev": "web: bin/rails server",
    "bin/rails": "#!/usr/bin/env ruby",
    "config.ru": "run Rails.application",
    "config/application.rb": "module Shop; end",
    "config/credentials.yml.enc": "x",
    "config/database.yml": "production:\n  adapter: postgresql\n",
    "config/environments/production.rb": "  config.force_ssl = true\n",
    "config/routes.rb": 'get "up" => "rails/health#show", as: :rails_health_check',
    "app/assets/config/manifest.js": "",
    "log/.keep": "",
    "storage/.keep": "",
    "tmp/pids/.keep": "",
}


def settings(fill: Fill, more: dict[str, str] | None = None) -> SiteSettings:
    return init(fill({**RAILS, **(more or {})}))[1]


def test_rails_runs_on_puma_in_production(fill: Fill) -> None:
    written, site, _ = init(fill(RAILS))
    assert written.app.kind == "Rails"
    assert " ".join(site.app.command) == "bundle exec puma --bind tcp://127.0.0.1:{port}"
    assert site.app.env["RAILS_ENV"] == "production"
    assert site.app.env["BUNDLE_PATH"] == "vendor/bundle"
    assert (site.health.path, site.health.https) == ("/up", True)
    assert "copy it there, or set RAILS_MASTER_KEY" in " ".join(written.app.advice)


def test_rails_prepares_its_database_and_its_assets(fill: Fill) -> None:
    site = settings(fill)
    assert site.release.migrate == ("bin/rails", "db:prepare")
    assert site.release.build is not None
    steps = site.release.build[-1].split(" && ")
    assert steps == ["bundle install --quiet", "mkdir -p tmp/pids", "bin/rails assets:precompile"]
    assert site.files.directories == {"/assets": "public/assets"}


def test_data_of_rails_outlives_its_releases(fill: Fill) -> None:
    site = settings(fill)
    assert site.release.link == (
        "config/master.key", "storage/", "log/", "tmp/cache/", "vendor/bundle/",
    )  # fmt: skip
    assert site.swap.strategy == "overlap"


def test_rails_on_sqlite_has_one_writer(fill: Fill) -> None:
    site = settings(fill, {"config/database.yml": DATABASE.format("db/production.sqlite3")})
    assert "db/production.sqlite3" in site.release.link
    assert site.swap.strategy == "exclusive"


def test_a_database_in_storage_is_shared_with_it(fill: Fill) -> None:
    site = settings(fill, {"config/database.yml": DATABASE.format("storage/production.sqlite3")})
    assert site.release.link.count("storage/") == 1
    assert "storage/production.sqlite3" not in site.release.link
    assert site.swap.strategy == "exclusive"


def test_sinatra_is_served_by_the_server_of_its_gems(fill: Fill) -> None:
    files = {
        "Gemfile": 'gem "sinatra"\ngem "puma"',
        "config.ru": "run Shop",
        "app.rb": "get '/healthz' do 'ok' end",
    }
    written, site, _ = init(fill(files))
    assert written.app.kind == "Rack"
    assert " ".join(site.app.command) == "bundle exec puma --bind tcp://127.0.0.1:{port}"
    assert (site.release.build, site.health.path) == (("bundle", "install", "--quiet"), "/healthz")
    assert "BUNDLE_FROZEN" not in site.app.env


def test_a_rack_app_without_gems_needs_no_bundler(fill: Fill) -> None:
    _, site, _ = init(fill({"config.ru": "run App"}))
    assert site.app.command == ("rackup", "--host", "127.0.0.1", "--port", "{port}")
    assert (site.release.build, site.release.link) == (None, ())


def test_the_procfile_of_rails_brings_its_worker(fill: Fill) -> None:
    lines = "web: bundle exec puma -C config/puma.rb\nworker: bundle exec sidekiq\n"
    written, site, _ = init(fill({**RAILS, "Procfile": lines + "release: bin/rails db:migrate"}))
    assert written.app.kind == "Rails with a Procfile"
    assert site.app.command == ("bundle", "exec", "puma", "-C", "config/puma.rb")
    assert site.release.migrate == ("bin/rails", "db:migrate")
    assert site.processes["worker"].command == ("bundle", "exec", "sidekiq")
    assert site.files.directories == {"/assets": "public/assets"}
