import pytest

from tfdat.errors import MAX_SHOWN, printable, shortened


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ± text, 中文", "plain ± text, 中文"),
        ("two\nlines\tand a tab", "two\nlines\tand a tab"),
        ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
        ("\x1b[2J", r"\x1b[2J"),
        ("right\u202eleft", r"right\u202eleft"),
        ("a\u2028b", r"a\u2028b"),
        ("\x9b31m", r"\x9b31m"),
        ("\ud800", r"\ud800"),
    ],
)
def test_what_a_terminal_would_act_on_is_made_visible(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_a_long_value_is_cut() -> None:
    assert shortened("x" * 1000) == "'" + "x" * (MAX_SHOWN - 4) + "..."
    assert shortened([1, 2]) == "[1, 2]"
