"""Rows as lines and back; what is torn is a row left out."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from mailsrv.authn.dmarc_row import DkimSeen, DmarcRow, Override, SpfSeen
from mailsrv.store.feedback_lines import LeftOut, read_rows, write_left_out, write_row

ROW = DmarcRow(
    1.0, "ID", "192.0.2.1", "example.org", "b.example", "here.example", "none", "none", "example.org", "example.org",
    "v=DMARC1; p=none; rua=mailto:a@example.org", "fail", "pass", SpfSeen("b.example", "mfrom", "fail"),
    (DkimSeen("example.org", "s", "pass"),), (Override("other", "why"),),
)  # fmt: skip


@given(st.text(), st.text(), st.lists(st.builds(DkimSeen, st.text(), st.text(), st.text())))
def test_a_row_comes_back(client, record, dkim):
    row = replace(ROW, client=client, record=record, dkim=tuple(dkim))
    line = write_row(row)
    assert b"\n" not in line and line.isascii()
    assert list(read_rows([line])) == [row]


def test_empty_lines_mean_nothing_and_torn_ones_count():
    lines = [b"", write_row(ROW), b"\n", write_left_out(7), write_row(ROW)[:50], b'{"version":2}', b"{}", b"\xff"]
    assert list(read_rows(lines)) == [ROW, LeftOut(7), LeftOut(1), LeftOut(1), LeftOut(1), LeftOut(1)]
