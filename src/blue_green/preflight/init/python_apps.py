"""Apps in Python: Django, Datasette, and modules with an ASGI or WSGI application."""

import ast
import re
import shutil
from collections.abc import Iterator, Sequence

from attrs import evolve, frozen

from blue_green.preflight.init.checkout import App, Checkout, data_of, health_path
from blue_green.preflight.init.django_settings import named

ENVIRONMENTS = (".venv", "venv", "env")
REQUIREMENTS = ("requirements.txt", "pyproject.toml", "Pipfile", "setup.cfg")
ASGI = ("FastAPI", "Starlette", "Quart", "Litestar")
WSGI = ("Flask", "Bottle")
DATASETTE_FILES = ("datasette.yaml", "datasette.yml", "datasette.json")
METADATA = ("metadata.yaml", "metadata.yml", "metadata.json")
SHARED = "{} is linked: all releases share it, even when its requirements change"
SQLITE = "SQLite allows one writer, so only one release may run: requests wait during a swap"
DEVELOPMENT_SERVER = "runserver is for development: install gunicorn or uvicorn, and use it here"
LOCAL = ("--host", "127.0.0.1", "--port", "{port}")


@frozen
class Python:
    """The interpreter of an app, and where it comes from."""

    program: str
    build: tuple[str, ...] = ()
    link: tuple[str, ...] = ()
    required: frozenset[str] = frozenset()
    """The names in the app's requirements, in lower case."""
    installed: frozenset[str] = frozenset()
    advice: tuple[str, ...] = ()

    def run(self, *words: str) -> tuple[str, ...]:
        """The command that runs a module."""
        return (self.program, "-m", *words)

    def first(self, *names: str) -> str | None:
        """The first of these packages that is required or installed."""
        return next((name for name in names if name in self.required | self.installed), None)


def python_of(checkout: Checkout) -> Python:
    """Prefer an environment that is built for each release to one that all releases share."""
    inside = ".venv/bin/python"
    required = _required(checkout)
    if checkout.has("uv.lock") and shutil.which("uv"):
        return Python(inside, build=("uv", "sync", "--frozen"), required=required)
    for name in ENVIRONMENTS:
        if checkout.has(f"{name}/bin/python") and name not in checkout.tracked:
            return Python(
                f"{name}/bin/python",
                link=(name,),
                required=required,
                installed=_installed(checkout, name),
                advice=(SHARED.format(name),),
            )
    wanted = {"requirements.txt": "-r requirements.txt", "pyproject.toml": "."}
    for name, words in wanted.items():
        if name in checkout.tracked:
            install = f"python3 -m venv .venv && .venv/bin/pip install -q {words}"
            return Python(inside, build=("sh", "-c", install), required=required)
    return Python("python3", required=required)


def django(checkout: Checkout) -> Iterator[App]:
    if "manage.py" not in checkout.tracked:
        return
    match = re.search(r"DJANGO_SETTINGS_MODULE\W+([\w.]+)", checkout.text("manage.py"))
    project = match[1].split(".")[0] if match else "project"
    module = match[1] if match else ""
    settings, data = _settings(checkout, module), named(checkout, module)
    python = python_of(checkout)
    server, command = _django_server(python, project)
    advice = [] if server else [DEVELOPMENT_SERVER]
    migrate = (python.program, "manage.py", "migrate", "--noinput")
    yield _with_sqlite(
        App(
            kind="Django",
            because=f"detected from manage.py, with {server or 'no production server'}",
            command=command,
            build=python.build,
            migrate=migrate,
            link=checkout.with_data(
                (*python.link, *checkout.links), (*data.databases, *(f"{d}/" for d in data.uploads))
            ),
            host=_allowed_host(settings),
            https=bool(re.search(r"(?m)^[ \t]*SECURE_SSL_REDIRECT[ \t]*=(?!\s*False)", settings)),
            advice=(
                *python.advice,
                *advice,
                *checkout.advice((*data.databases, *data.uploads)),
                "if you use collectstatic, add it to build",
            ),
        ),
        checkout,
        data.databases,
    )


def _django_server(python: Python, project: str) -> tuple[str | None, tuple[str, ...]]:
    """The production server of a project, if it has one, and the command that starts it."""
    asgi = f"{project}.asgi:application"
    servers = {
        "gunicorn": ("gunicorn", "--bind", "127.0.0.1:{port}", f"{project}.wsgi"),
        "uvicorn": ("uvicorn", *LOCAL, asgi),
        "daphne": ("daphne", "--bind", "127.0.0.1", "--port", "{port}", asgi),
        "waitress": ("waitress", "--listen=127.0.0.1:{port}", f"{project}.wsgi:application"),
    }
    if server := python.first(*servers):
        return server, python.run(*servers[server])
    return None, (python.program, "manage.py", "runserver", "--noreload", "127.0.0.1:{port}")


def datasette(checkout: Checkout) -> Iterator[App]:
    python = python_of(checkout)
    config, metadata = checkout.first(*DATASETTE_FILES), checkout.first(*METADATA)
    databases = checkout.databases
    # That it is installed is weak evidence: it may serve another purpose.
    is_likely = metadata or "datasette" in python.installed
    if not (config or "datasette" in python.required or (databases and is_likely)):
        return
    words = ["serve", *databases, "--port", "{port}"]
    words += ["--config", config] if config else []
    words += ["--metadata", metadata] if metadata else []
    words += ["--plugins-dir", "plugins"] if "plugins" in checkout.tracked else []
    words += ["--template-dir", "templates"] if "templates" in checkout.tracked else []
    own = shutil.which("datasette") if python.program == "python3" else None
    seen = [name for name in (config, metadata, *databases) if name] or ["a requirement"]
    app = App(
        kind="Datasette",
        because=f"detected from {', '.join(seen)}",
        command=(own, *words) if own else python.run("datasette", *words),
        build=python.build,
        link=(*python.link, *checkout.links),
        path="/-/versions.json",
        advice=python.advice,
    )
    yield _with_sqlite(app, checkout)


def asgi_and_wsgi(checkout: Checkout) -> Iterator[App]:
    """Modules with an application object at their top level."""
    if "manage.py" in checkout.tracked:
        return
    python = python_of(checkout)
    data = data_of(checkout, r"(?!tests?/|test_|conftest)(\w+/)*\w+\.py")
    for file in checkout.of_its_own(r"(?!tests?/|test_|conftest)(\w+/)?\w+\.py"):
        text = checkout.text(file)
        for name, kind in _applications(file, text):
            module = file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
            app = App(
                kind=kind,
                because=f"detected {name} in {file}",
                command=_serving(python, kind, module, name),
                build=python.build,
                link=checkout.with_data((*python.link, *checkout.links), data),
                path=health_path(text),
                advice=(*python.advice, *checkout.advice(data)),
            )
            yield _with_sqlite(app, checkout, data)


def _serving(python: Python, kind: str, module: str, name: str) -> tuple[str, ...]:
    """The command of an installed server for this kind of application, or else of the usual one."""
    target = f"{module}:{name}"
    bind = ("--bind", "127.0.0.1:{port}", target)
    if kind == "ASGI":
        server = python.first("uvicorn", "hypercorn", "daphne") or "uvicorn"
        words = {
            "uvicorn": (*LOCAL, target),
            "hypercorn": bind,
            "daphne": ("--bind", "127.0.0.1", "--port", "{port}", target),
        }[server]
    else:
        server = python.first("gunicorn", "waitress") or "gunicorn"
        words = {"gunicorn": bind, "waitress": ("--listen=127.0.0.1:{port}", target)}[server]
    return python.run(server, *words)


def _applications(file: str, text: str) -> Iterator[tuple[str, str]]:
    """Yield the name and the kind of each application object of a module."""
    try:
        body = ast.parse(text).body
    except (SyntaxError, ValueError, RecursionError):
        return
    named = {"asgi.py": "ASGI", "wsgi.py": "WSGI"}.get(file.rpartition("/")[2])
    for statement in body:
        if isinstance(statement, ast.AsyncFunctionDef) and named == "ASGI":
            names, made_by = [statement.name], ""
        elif isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Call):
            function = statement.value.func
            made_by = getattr(function, "id", "") or getattr(function, "attr", "")
            names = [target.id for target in statement.targets if isinstance(target, ast.Name)]
        else:
            continue
        kind = "ASGI" if made_by in ASGI else "WSGI" if made_by in WSGI else None
        for name in names:
            if kind or (named and name in ("app", "application")):
                yield name, kind or named or ""


def _with_sqlite(app: App, checkout: Checkout, named: Sequence[str] = ()) -> App:
    """Choose the exclusive strategy for an app with an SQLite database that all releases share."""
    databases = (*checkout.databases, *(name for name in named if not name.endswith("/")))
    if any(name in app.link for name in databases):
        return evolve(app, strategy="exclusive", why_strategy=SQLITE)
    return app


def _settings(checkout: Checkout, module: str) -> str:
    """The text of Django's settings."""
    file = module.replace(".", "/")
    return checkout.text(f"{file}.py") or checkout.text(f"{file}/__init__.py")


def _allowed_host(text: str) -> str:
    """The first name in ALLOWED_HOSTS, without which Django answers 400."""
    match = re.search(r"(?m)^ALLOWED_HOSTS\s*=\s*[\[(]([^\])]*)", text)
    names = re.findall(r"[\"']\.?([\w.-]+)[\"']", match[1]) if match else []
    is_open = bool(match and "*" in match[1]) or "127.0.0.1" in names
    return "" if is_open or not names else str(names[0])


def _required(checkout: Checkout) -> frozenset[str]:
    """The words in files that list requirements: some are not packages, which does no harm."""
    text = "\n".join(map(checkout.text, REQUIREMENTS))
    return frozenset(word.lower() for word in re.findall(r"[A-Za-z][\w-]*", text))


def _installed(checkout: Checkout, environment: str) -> frozenset[str]:
    places = (checkout.path / environment).glob("lib/python3*/site-packages/*")
    return frozenset(place.name.lower() for place in places if place.is_dir())
