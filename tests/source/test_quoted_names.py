"""Names that git quotes are read as they are in the file system."""

from blue_green.source import quoted_names


def test_names_are_read_whether_they_are_quoted_or_not() -> None:
    output = 'plain name\nü\n"tab\\t and \\"quotes\\""\n"\\303\\274 \\\\"\n"ü\\t"\n"\\377"\n'
    assert quoted_names.lines(output) == [
        "plain name",
        "ü",
        'tab\t and "quotes"',
        "ü \\",
        "ü\t",
        "\udcff",
    ]


def test_only_newlines_separate_names() -> None:
    assert quoted_names.lines("a\u2028b\nc\x85d\n") == ["a\u2028b", "c\x85d"]
