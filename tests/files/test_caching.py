"""Only names with a hash of the content may be kept without asking."""

import pytest

from blue_green.files.caching import is_hashed


@pytest.mark.parametrize(
    "path",
    [
        "app.3f2a9c1b.js",  # webpack, Parcel
        "main.3f2a9c1be5d27788.chunk.js",
        "site.55e7cbb9ba48.css",  # Django
        "app.55e7cbb9ba48.js.map",
        "application-d7e2ea1f.css",  # Propshaft
        f"application-{'0a' * 32}.js",  # Sprockets
        f"style.min.{'9f' * 32}.css",  # Hugo
        f"app-{'1b' * 16}.css",  # Phoenix
        "index-B7xK2_qa.js",  # Vite
        "index-BQ7-z1x0.css",
        "inter-Dx4kXJAl.woff2",
        "chunk-3KQ5P7M2.js",  # esbuild
        "logo-3f2a9c1b.svg",
        "_next/static/abc/_buildManifest.js",
        "_app/immutable/entry/start.js",
    ],
)
def test_names_with_a_hash_are_recognised(path: str) -> None:
    assert is_hashed(tuple(path.encode().split(b"/")))


@pytest.mark.parametrize(
    "path",
    [
        "", "index.html", "app.js", "jquery-3.7.1.min.js", "bootstrap.bundle.min.js",
        "angular-sanitize.js", "vue-DataGrid.js", "app-Settings.js", "lib-V8Engine.js",
        "report-20240115.pdf", "report-2024-01-15.html", "holiday-DSC01234.jpg", "x-IMG_1234.jpg",
        "facade-effaced.js", "app.12345678.js", "font-Regular1.woff", "3f2a9c1b.js",
        "app.3f2a9c1b", "app_3f2a9c1b.js", "static/app.js", "next/static/app.js",
    ],
)  # fmt: skip
def test_other_names_are_not(path: str) -> None:
    assert not is_hashed(tuple(path.encode().split(b"/")))
