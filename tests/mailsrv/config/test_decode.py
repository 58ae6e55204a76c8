"""Decoding: what the schema promises about types, and that a faulty value never stops the reading of the others."""

import tomllib

from mailsrv.config.complaints import Complaints
from mailsrv.config.decode import decode
from mailsrv.config.lines import Lines
from mailsrv.config.schema import Config, LimitsConfig

BASE = 'hostname = "mail.example.org"\ndata_dir = "/d"\n'


def run(text: str) -> tuple[Config, list[str]]:
    complaints = Complaints("f", Lines(text))
    return decode(tomllib.loads(text), complaints, "f"), complaints.faults


def test_defaults() -> None:
    config, faults = run(BASE)
    assert faults == []
    assert config == Config("mail.example.org", "/d", source="f")
    assert config.limits == LimitsConfig()


def test_each_kind_of_value() -> None:
    text = BASE + (
        'domains = ["a.example"]\n[limits]\nrecipients = 5\n[[listeners]]\nkind = "smtp"\nwithout_tls = true\n'
        '[aliases]\n"a@a.example" = "one"\n"b@a.example" = ["one", "two"]\n'
        '[catch_all]\n"a.example" = "one"\n[[tls.certificates]]\ncert_file = "c"\nkey_file = "k"\n'
    )
    config, faults = run(text)
    assert faults == []
    assert config.domains == ["a.example"]
    assert config.limits.recipients == 5
    assert config.listeners[0].without_tls is True
    assert config.aliases == {"a@a.example": ["one"], "b@a.example": ["one", "two"]}
    assert config.catch_all == {"a.example": "one"}
    assert config.tls.certificates[0].key_file == "k"


def test_elements_keep_their_places_beside_faulty_ones() -> None:
    config, faults = run(BASE + 'domains = [1, "a.example"]\naccounts = [5, {name = "b", addresses = ["x"]}]\n')
    assert config.domains == ["", "a.example"]
    assert config.accounts[1].name == "b"
    assert config.accounts[0].name == ""
    assert faults == [
        "f:3: domains: is a number, must be a string in quotes",
        "f:4: accounts: is a number, must be a table, written [[accounts]]",
    ]


def test_the_source_is_no_key() -> None:
    _, faults = run(BASE + 'source = "x"\n')
    assert len(faults) == 1
    assert "source: is not known" in faults[0]


def test_an_empty_file_names_what_is_missing() -> None:
    config, faults = run("")
    assert config.hostname == ""
    assert [fault.split(": ")[1] for fault in faults] == ["hostname", "data_dir"]


def test_true_is_no_number() -> None:
    _, faults = run(BASE + "[limits]\nrecipients = true\n")
    assert faults == ["f:4: limits.recipients: is true or false, must be a whole number"]
