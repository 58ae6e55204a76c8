"""The words of findings are an interface: they stand in messages, records and reports."""

from mailsrv.authn.findings import Policy, Result


def test_words() -> None:
    assert [one.value for one in Result] == [
        "none", "pass", "fail", "softfail", "neutral", "policy", "temperror", "permerror",
    ]  # fmt: skip
    assert [one.value for one in Policy] == ["none", "quarantine", "reject"]
