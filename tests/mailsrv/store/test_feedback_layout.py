"""Days and where their files lie."""

import pytest

from mailsrv.store.feedback_layout import FeedbackLayout, beginning_of, day_of, is_day
from tests.house.manual import find_tags


def test_a_day_is_one_of_utc():
    assert day_of(1_700_000_000.0) == "2023-11-14"
    assert beginning_of("2023-11-14") == 1_699_920_000
    assert day_of(beginning_of("2023-11-14") - 1) == "2023-11-13"


@pytest.mark.parametrize(
    ("name", "day"),
    [("2023-11-14.jsonl", "2023-11-14"), ("2023-13-14.jsonl", ""), ("2023-11-14", ""), ("x.jsonl", "")],
)
def test_a_file_of_a_day(name, day):
    assert is_day(name) == day


def test_everything_lies_in_one_directory():
    layout = FeedbackLayout("/d")
    assert layout.rows_of("2023-11-14") == "/d/feedback/out/2023-11-14.jsonl"
    assert layout.sent_of("2023-11-14") == "/d/feedback/sent/2023-11-14.jsonl"
    assert all(path.startswith("/d/feedback/") for path in (*layout.directories, layout.received))


def test_the_page_names_the_same_files():
    layout = FeedbackLayout("")
    files = {layout.rows_of("DAY"), layout.sent_of("DAY"), f"{layout.waiting}/ID", f"{layout.waiting}/ID.tried"}
    files |= {layout.received, layout.tmp}
    assert set(find_tags("mailsrv-store.5", "FEEDBACK")) == {path.lstrip("/") for path in files}
