"""Find the databases, upload directories and static files that a Django project's settings name.

The project is not run: its settings are parsed, and simple expressions are evaluated (strings,
paths, `__file__`, and the defaults of environment variables).
"""

import ast
import posixpath
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath

from attrs import field, frozen

from blue_green.preflight.init.checkout import Checkout

ROOT = PurePosixPath("/checkout")
"""A placeholder for the path of the checkout."""
MAX_DEPTH = 5
"""Of settings modules that import others."""
URL = "sqlite:///"
PATH = re.compile(r"/[\w./-]+")

Value = str | PurePosixPath


@frozen
class Named:
    """Paths that the settings name, relative to the checkout."""

    databases: Sequence[str] = ()
    uploads: Sequence[str] = ()
    """Directories."""
    static: Mapping[str, str] = field(factory=dict)
    """The directory in which collectstatic collects files, by the path of their requests."""


def named(checkout: Checkout, module: str) -> Named:
    """The paths inside of the checkout that this settings module names."""
    settings = _Settings(checkout)
    settings.read(module)
    databases, uploads = _inside(settings.databases), _inside(settings.uploads)
    return Named(databases, uploads, settings.static())


def _inside(values: Sequence[Value]) -> Sequence[str]:
    paths = [PurePosixPath(posixpath.normpath(ROOT / value)) for value in values]
    inside = [path.relative_to(ROOT) for path in paths if path.is_relative_to(ROOT)]
    return [str(path) for path in dict.fromkeys(inside) if path.parts]


class _Settings:
    """Evaluates settings modules as far as their expressions are simple."""

    def __init__(self, checkout: Checkout) -> None:
        self.databases: list[Value] = []
        self.uploads: list[Value] = []
        self._checkout = checkout
        self._values: dict[str, Value] = {}

    def static(self) -> dict[str, str]:
        """The collected static files, if they are served from a path of the site itself."""
        root = self._values.get("STATIC_ROOT")
        directory = _inside([root]) if root else ()
        path = "/" + str(self._values.get("STATIC_URL", "static/")).strip("/")
        return {f"{path}/": directory[0]} if directory and PATH.fullmatch(path) else {}

    def read(self, module: str, depth: int = 0) -> None:
        stem = module.replace(".", "/")
        file = next(
            (f for f in (f"{stem}.py", f"{stem}/__init__.py") if self._checkout.text(f)), ""
        )
        try:
            body = ast.parse(self._checkout.text(file)).body
        except (SyntaxError, ValueError, RecursionError):
            return
        package = module if file.endswith("/__init__.py") else module.rpartition(".")[0]
        self._read_body(body, file, package, depth)

    def _read_body(self, body: Sequence[ast.stmt], file: str, package: str, depth: int) -> None:
        for statement in body:
            self._values["__file__"] = str(ROOT / file)
            match statement:
                case ast.ImportFrom(names=[ast.alias(name="*")]) if depth < MAX_DEPTH:
                    self.read(_absolute(statement, package), depth + 1)
                case ast.Assign(targets=targets, value=value):
                    for target in targets:
                        self._assign(target, value)
                case ast.AnnAssign(target=target, value=ast.expr() as value):
                    self._assign(target, value)
                case ast.If() | ast.Try() | ast.With():
                    for inner in (statement.body, getattr(statement, "orelse", [])):
                        self._read_body(inner, file, package, depth)

    def _assign(self, target: ast.expr, value: ast.expr) -> None:
        if not isinstance(target, ast.Name):
            return
        if target.id == "DATABASES":
            self.databases += self._databases_in(value)
        elif (plain := self._value(value)) is not None:
            self._values[target.id] = plain
            if target.id == "MEDIA_ROOT" and plain:
                self.uploads.append(plain)

    def _databases_in(self, value: ast.expr) -> Iterator[Value]:
        """Yield SQLite's files from the dictionaries and URLs in an expression."""
        for node in ast.walk(value):
            if isinstance(node, ast.Dict):
                entries = {
                    key.value: entry
                    for key, entry in zip(node.keys, node.values, strict=True)
                    if isinstance(key, ast.Constant)
                }
                engine = self._value(entries["ENGINE"]) if "ENGINE" in entries else ""
                name = self._value(entries["NAME"]) if "NAME" in entries else None
                if name and "sqlite" in str(engine) and _is_file(str(name)):
                    yield name
            elif isinstance(node, ast.Constant | ast.JoinedStr):
                url = self._value(node)
                if isinstance(url, str) and url.startswith(URL) and len(url) > len(URL):
                    yield url.removeprefix(URL)

    def _value(self, node: ast.expr) -> Value | None:
        """Evaluate a simple expression; None for any other."""
        match node:
            case ast.Constant(value=str() as text):
                return text
            case ast.Name(id=name):
                return self._values.get(name)
            case ast.JoinedStr(values=parts):
                texts = [self._value(part) for part in parts]
                return None if None in texts else "".join(map(str, texts))
            case ast.FormattedValue(value=inner):
                return self._value(inner)
            case ast.BinOp(left=left, op=ast.Div() | ast.Add(), right=right):
                return _joined(self._value(left), self._value(right), node.op)
            case ast.IfExp(body=body, orelse=orelse):
                return self._value(body) or self._value(orelse)
            case ast.Attribute(value=inner, attr="parent"):
                return _parent(self._value(inner), 1)
            case ast.Subscript(
                value=ast.Attribute(value=inner, attr="parents"),
                slice=ast.Constant(value=int() as number),
            ):
                return _parent(self._value(inner), number + 1)
            case ast.Call():
                return self._call(node)
        return None

    def _call(self, call: ast.Call) -> Value | None:
        """Evaluate a call of a path function, or the default of an environment lookup."""
        name, owner = _name_of(call.func)
        arguments = [self._value(argument) for argument in call.args]
        if name in METHODS and isinstance(call.func, ast.Attribute) and not owner:
            return METHODS[name]([self._value(call.func.value), *arguments])
        if name in FUNCTIONS:
            return FUNCTIONS[name](arguments)
        if name in ("get", "getenv") and len(arguments) == 2:
            return arguments[1]
        defaults = [word.value for word in call.keywords if word.arg == "default"]
        return self._value(defaults[0]) if defaults else None


Function = Callable[[Sequence[Value | None]], Value | None]


def _path(arguments: Sequence[Value | None]) -> Value | None:
    if not arguments or None in arguments:
        return None
    return PurePosixPath(*[str(argument) for argument in arguments])


def _text(arguments: Sequence[Value | None]) -> Value | None:
    return str(path) if (path := _path(arguments)) is not None else None


def _first(arguments: Sequence[Value | None]) -> Value | None:
    return arguments[0] if arguments else None


FUNCTIONS: Mapping[str, Function] = {
    "Path": _path, "PurePath": _path, "str": _text, "fspath": _text, "join": _text,
    "abspath": _first, "realpath": _first, "normpath": _first,
    "dirname": lambda arguments: _parent(_first(arguments), 1),
    "cwd": lambda _: ROOT, "getcwd": lambda _: str(ROOT),
}  # fmt: skip
METHODS: Mapping[str, Function] = {
    "resolve": _first, "absolute": _first, "expanduser": _first, "as_posix": _text,
    "joinpath": _path,
}  # fmt: skip


def _name_of(function: ast.expr) -> tuple[str, str]:
    """The last part of a function's name, and its owner if that is `os` or `os.path`."""
    match function:
        case ast.Name(id=name):
            return name, ""
        case ast.Attribute(value=ast.Name(id="os" | "path" as owner), attr=name):
            return name, owner
        case ast.Attribute(attr=name):
            return name, ""
    return "", ""


def _parent(value: Value | None, levels: int) -> Value | None:
    if value is None:
        return None
    path = PurePosixPath(value)
    for _ in range(levels):
        path = path.parent
    return str(path) if isinstance(value, str) else path


def _joined(left: Value | None, right: Value | None, how: ast.operator) -> Value | None:
    if left is None or right is None:
        return None
    if isinstance(how, ast.Add):
        return f"{left}{right}"
    return PurePosixPath(left) / right


def _is_file(name: str) -> bool:
    return ":memory:" not in name and not name.startswith("file:")


def _absolute(statement: ast.ImportFrom, package: str) -> str:
    """The absolute name of the imported module."""
    if not statement.level:
        return statement.module or ""
    parts = package.split(".")
    kept = parts[: len(parts) - statement.level + 1]
    return ".".join([*kept, *([statement.module] if statement.module else [])])
