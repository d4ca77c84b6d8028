"""Generators of static pages."""

import pytest

from tests.support.init_checkout import Fill, init

MKDOCS = ".venv/bin/python -m mkdocs build -q -d site"
VENV = "python3 -m venv .venv && .venv/bin/pip install -q -r requirements.txt"
SPHINX = "project = 'shop'\nextensions = []\n"
GEMS = "env BUNDLE_PATH=vendor/bundle bundle"


@pytest.mark.parametrize(
    ("files", "kind", "build", "directory"),
    [
        ({"hugo.toml": "baseURL = '/'"}, "Hugo", "hugo --gc --minify", "public"),
        (
            {"config.toml": "baseURL = '/'\npublishDir = 'out'", "content/a.md": ""},
            "Hugo",
            "hugo --gc --minify",
            "out",
        ),
        ({"config/_default/hugo.yaml": "baseURL: /"}, "Hugo", "hugo --gc --minify", "public"),
        ({"config.toml": "base_url = '/'\noutput_dir = '../x'"}, "Zola", "zola build", "public"),
        (
            {"_config.yml": "title: x", "_posts/a.md": ""},
            "Jekyll",
            "env JEKYLL_ENV=production jekyll build --quiet",
            "_site",
        ),
        (
            {"_config.yml": "destination: ./out", "Gemfile": 'gem "jekyll", "~> 4"'},
            "Jekyll",
            f"sh -c {GEMS} install --quiet && env BUNDLE_PATH=vendor/bundle JEKYLL_ENV=production "
            "bundle exec jekyll build --quiet",
            "out",
        ),
        (
            {"mkdocs.yml": "site_name: x", "requirements.txt": "mkdocs"},
            "MkDocs",
            f"sh -c {VENV} && {MKDOCS}",
            "site",
        ),
        (
            {"docs/conf.py": SPHINX, "requirements.txt": "furo"},
            "Sphinx",
            f"sh -c {VENV} && .venv/bin/pip install -q sphinx && .venv/bin/python -m sphinx -q -b "
            "html docs _html",
            "_html",
        ),
    ],
)
def test_a_generator_is_recognised_by_its_settings(
    fill: Fill, files: dict[str, str], kind: str, build: str, directory: str
) -> None:
    written, site, text = init(fill(files))
    assert (written.app.kind, site.files.directories) == (kind, {"/": directory})
    assert site.release.build is not None
    assert (" ".join(site.release.build), site.app.command) == (build, ())
    assert "[app]" not in text
    assert "[health]" not in text


def test_the_documentation_of_an_app_is_not_taken_for_the_app(fill: Fill) -> None:
    files = {"docs/conf.py": SPHINX, "mkdocs.yml": "", "main.py": "app = FastAPI()"}
    assert init(fill(files))[0].app.kind == "ASGI"
