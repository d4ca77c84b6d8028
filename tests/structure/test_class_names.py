"""One name, one class, in the program and in its tests."""

import ast
from collections import defaultdict
from pathlib import Path

TOP = Path(__file__).parents[2]


def test_no_two_classes_share_a_name() -> None:
    places = defaultdict(list)
    for path in [*TOP.glob("src/**/*.py"), *TOP.glob("tests/**/*.py")]:
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef):
                places[node.name].append(str(path.relative_to(TOP)))
    assert {name: where for name, where in places.items() if len(where) > 1} == {}
