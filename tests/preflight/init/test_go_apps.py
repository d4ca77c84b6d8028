"""Apps in Go."""

import pytest

from tests.support.init_checkout import Fill, init

SERVER = 'package main\nfunc main() { http.ListenAndServe(":"+os.Getenv("PORT"), nil) }\n'
TOOL = 'package main\nfunc main() { fmt.Println("hello") }\n'
MODULE = "module example.com/team/shop/v2\n\ngo 1.22\n"


@pytest.mark.parametrize(
    ("files", "build", "command"),
    [
        ({"main.go": SERVER}, "go build -o bin/shop .", "bin/shop"),
        ({"cmd/web/main.go": SERVER}, "go build -o bin/web ./cmd/web", "bin/web"),
        (
            {"main.go": SERVER + 'var a = flag.String("addr", ":80", "")'},
            "go build -o bin/shop .",
            "bin/shop -addr 127.0.0.1:{port}",
        ),
        (
            {"main.go": SERVER + 'var p int\nfunc init() { flag.IntVar(&p, "port", 80, "") }'},
            "go build -o bin/shop .",
            "bin/shop -port {port}",
        ),
    ],
)
def test_a_program_is_built_in_each_release(
    fill: Fill, files: dict[str, str], build: str, command: str
) -> None:
    written, site, _ = init(fill({"go.mod": MODULE, **files}))
    assert written.app.kind == "Go"
    assert site.release.build is not None
    assert (" ".join(site.release.build), " ".join(site.app.command)) == (build, command)


def test_the_command_that_serves_is_the_likeliest(fill: Fill) -> None:
    checkout = fill(
        {
            "go.mod": MODULE,
            "cmd/admin/main.go": TOOL,
            "cmd/web/main.go": SERVER,
            "cmd/web/main_test.go": "package main",
            "internal/a.go": "package internal",
        }
    )
    assert init(checkout)[1].app.command == ("bin/web",)
    assert init(checkout, "2")[1].app.command == ("bin/admin",)
