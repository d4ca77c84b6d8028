"""Apps in Python: Django, Datasette, and modules with an ASGI or WSGI application."""

import ast
import re
import shutil
from collections.abc import Iterator

from blue_green.preflight.init import python_servers
from blue_green.preflight.init.app import App
from blue_green.preflight.init.checkout import Checkout, data_of, health_path
from blue_green.preflight.init.django_settings import named
from blue_green.preflight.init.python_environment import Python, python_of
from blue_green.preflight.init.sqlite import with_sqlite

ASGI = ("FastAPI", "Starlette", "Quart", "Litestar")
WSGI = ("Flask", "Bottle")
DATASETTE_FILES = ("datasette.yaml", "datasette.yml", "datasette.json")
METADATA = ("metadata.yaml", "metadata.yml", "metadata.json")
SERVERS = ("gunicorn", "uvicorn", "daphne", "hypercorn", "waitress")
"""For production, the preferred ones first."""
DEVELOPMENT_SERVER = "runserver is for development: install gunicorn or uvicorn, and use it here"
UPLOADS = (
    'Django does not serve uploads in {}: "/media/" = "{}" in [files] does, if that is MEDIA_URL'
)
NO_STATIC_ROOT = (
    "its settings name no STATIC_ROOT in the checkout: set it, for example to BASE_DIR / "
    '"staticfiles", and run init again, so that its static files are collected and served'
)


def django(checkout: Checkout) -> Iterator[App]:
    if "manage.py" not in checkout.tracked:
        return
    match = re.search(r"DJANGO_SETTINGS_MODULE\W+([\w.]+)", checkout.text("manage.py"))
    project = match[1].split(".")[0] if match else "project"
    module = match[1] if match else ""
    settings, data = _settings(checkout, module), named(checkout, module)
    python = python_of(checkout)
    if not python.first(*SERVERS):
        python = python.having("gunicorn")
    server, command = _django_server(python, project, checkout)
    collect = (python.program, "manage.py", "collectstatic", "--noinput") if data.static else ()
    advice = [*python.advice, *([] if server else [DEVELOPMENT_SERVER])]
    if "django.contrib.staticfiles" in settings and not data.static:
        advice.append(NO_STATIC_ROOT)
    advice += [UPLOADS.format(directory, directory) for directory in data.uploads]
    yield with_sqlite(
        App(
            kind="Django",
            because=f"detected from manage.py, with {server or 'no production server'}",
            command=command,
            why_command=python_servers.why(command),
            build=python.build_and(collect),
            migrate=(python.program, "manage.py", "migrate", "--noinput"),
            link=checkout.with_data(
                (*python.link, *checkout.links), (*data.databases, *(f"{d}/" for d in data.uploads))
            ),
            files=data.static,
            host=_allowed_host(settings),
            https=bool(re.search(r"(?m)^[ \t]*SECURE_SSL_REDIRECT[ \t]*=(?!\s*False)", settings)),
            advice=(*advice, *checkout.advice((*data.databases, *data.uploads))),
        ),
        checkout,
        data.databases,
    )


def _django_server(
    python: Python, project: str, checkout: Checkout
) -> tuple[str | None, tuple[str, ...]]:
    """The production server of a project, if it has one, and the command that starts it."""
    for_wsgi = python_servers.wsgi(f"{project}.wsgi:application", checkout)
    servers = {**for_wsgi, **python_servers.asgi(f"{project}.asgi:application")}
    if server := python.first(*SERVERS):
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
        build=python.build_and(),
        link=(*python.link, *checkout.links),
        path="/-/versions.json",
        advice=python.advice,
    )
    yield with_sqlite(app, checkout)


def asgi_and_wsgi(checkout: Checkout) -> Iterator[App]:
    """Modules with an application object at their top level."""
    if "manage.py" in checkout.tracked:
        return
    data = data_of(checkout, r"(?!tests?/|test_|conftest)(\w+/)*\w+\.py")
    for file in checkout.of_its_own(r"(?!tests?/|test_|conftest)(\w+/)?\w+\.py"):
        text = checkout.text(file)
        for name, kind in _applications(file, text):
            module = file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
            python, command = _serving(python_of(checkout), kind, f"{module}:{name}", checkout)
            app = App(
                kind=kind,
                because=f"detected {name} in {file}",
                command=command,
                why_command=python_servers.why(command),
                build=python.build_and(),
                link=checkout.with_data((*python.link, *checkout.links), data),
                path=health_path(text),
                advice=(*python.advice, *checkout.advice(data)),
            )
            yield with_sqlite(app, checkout, data)


def _serving(
    python: Python, kind: str, target: str, checkout: Checkout
) -> tuple[Python, tuple[str, ...]]:
    """The command of an installed server for this kind of application, or else of the usual one."""
    servers = python_servers.wsgi(target, checkout)
    if kind == "ASGI":
        servers = python_servers.asgi(target)
    server = python.first(*servers) or next(iter(servers))
    python = python.having(server)
    return python, python.run(*servers[server])


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
