"""Apps in Node, and static pages that are built with it."""

import json

import pytest

from tests.support.init_checkout import Fill, init


def package(*packages: str, **scripts: str) -> str:
    return json.dumps({"scripts": scripts, "devDependencies": dict.fromkeys(packages, "1")})


@pytest.mark.parametrize(
    ("files", "kind", "build", "directory"),
    [
        (
            {"package.json": package("astro", build="astro build"), "package-lock.json": ""},
            "Astro",
            "sh -c npm ci && npm run build",
            "dist",
        ),
        (
            {
                "package.json": package("@11ty/eleventy", start="eleventy --serve"),
                ".eleventy.js": 'return { dir: { input: "src", output: "./out" } }',
            },
            "Eleventy",
            "sh -c npm install && npx @11ty/eleventy",
            "out",
        ),
        (
            {
                "package.json": package("vite", build="vite build"),
                "vite.config.ts": "build: { outDir: '../out' }",
                "pnpm-lock.yaml": "",
            },
            "Vite",
            "sh -c pnpm install --frozen-lockfile && pnpm run build",
            "dist",
        ),
        (
            {
                "package.json": package(
                    "@docusaurus/core", start="docusaurus start", build="docusaurus build"
                ),
                "yarn.lock": "",
            },
            "Docusaurus",
            "sh -c yarn install --frozen-lockfile && yarn run build",
            "build",
        ),
    ],
)
def test_the_pages_of_a_generator_are_built_and_served_as_files(
    fill: Fill, files: dict[str, str], kind: str, build: str, directory: str
) -> None:
    written, site, _ = init(fill(files))
    assert (written.app.kind, site.files.directories) == (kind, {"/": directory})
    assert site.release.build is not None
    assert (" ".join(site.release.build), site.app.command) == (build, ())


def test_an_application_in_the_browser_may_need_its_page_for_other_paths(fill: Fill) -> None:
    text = init(fill({"package.json": package("vite", build="vite build")}))[2]
    assert '# fallback = "dist/index.html"' in text


def test_astro_on_a_server_is_an_app(fill: Fill) -> None:
    files = {
        "package.json": package("astro", "@astrojs/node", build="astro build"),
        "astro.config.mjs": 'export default defineConfig({ output: "server" })',
    }
    _, site, _ = init(fill(files))
    assert site.app.command == ("node", "dist/server/entry.mjs")
    assert site.app.env == {"HOST": "127.0.0.1"}
    assert site.files.directories == {"/_astro": "dist/client/_astro"}


def test_a_server_that_uses_vite_is_an_app(fill: Fill) -> None:
    files = {"package.json": package("vite", "express", start="node server.js", build="vite build")}
    written, site, _ = init(fill(files))
    assert (written.app.kind, site.app.command) == ("Node", ("node", "server.js"))
    assert site.release.build == ("sh", "-c", "npm install && npm run build")
