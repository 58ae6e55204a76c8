"""The words of reports: the shipped ones are complete, and an operator's mistake costs a section, never a report."""

import string

import pytest

from mailsrv.deliver import templates
from mailsrv.deliver.templates import CAUSES, SECTIONS, load_templates, read_sections, shipped
from mailsrv.errors import StorageError
from mailsrv.system.disk import Disk

ENGLISH = load_templates(["en"])[0][0]


def load_own(tmp_path, languages, **files):
    for name, octets in files.items():
        (tmp_path / f"{name}.txt").write_bytes(octets)
    return load_templates(languages, str(tmp_path), Disk().read)


@pytest.mark.parametrize("language", ["en", "de"])
def test_shipped_words_are_complete_and_well_formed(language):
    complaints = []
    sections = read_sections(shipped(language), language, complaints)
    assert complaints == []
    assert sections.keys() == SECTIONS.keys()


@pytest.mark.parametrize("language", ["en", "de"])
def test_shipped_words_fit_a_line(language):
    lines = shipped(language).decode("utf-8").splitlines()
    assert [line for line in lines if len(line) > 76 and not line.startswith("#")] == []


def test_every_cause_has_its_advice():
    for cause in CAUSES:
        assert {f"cause.{cause}", f"advice.{cause}"} <= SECTIONS.keys()


def test_words_are_filled_in():
    assert ENGLISH.fill("duration.hours", count=4) == "4 hours"
    assert ENGLISH.fill("author", hostname="mx.example") == "Mail server mx.example"


def test_what_is_filled_in_is_not_read_again():
    assert ENGLISH.fill("author", hostname="{id} {{x}} \\1") == "Mail server {id} {{x}} \\1"


def test_an_own_section_goes_before_the_shipped_one(tmp_path):
    own = "\ufeff# ours\r\n[author]\r\n\r\n{{Post}} of {hostname}\r\n\r\n[more]\r\nplus {count}\r\n".encode()
    (words,), complaints = load_own(tmp_path, ["en"], en=own)
    assert complaints == []
    assert words.fill("author", hostname="us") == "{Post} of us"
    assert words.fill("more", count=3) == "plus 3"
    assert words.sections["cause.tls"] == ENGLISH.sections["cause.tls"]


def test_several_languages_in_their_order(tmp_path):
    found, complaints = load_own(tmp_path, ["de", "en", "de"])
    assert [words.language for words in found] == ["de", "en"]
    assert complaints == []


def test_a_new_language_is_in_english_where_it_is_silent(tmp_path):
    (words,), complaints = load_own(tmp_path, ["fr"], fr="[author]\nCourriel à {hostname}\n".encode())
    assert words.language == "fr"
    assert words.fill("author", hostname="x") == "Courriel à x"
    assert words.sections["failed"] == ENGLISH.sections["failed"]
    assert len(complaints) == 1 and "fr.txt: in English for want of a section: advice.bad-sender," in complaints[0]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (b"[author]\nby {nobody}\n", "{nobody} is not known here, only hostname"),
        (b"[cause.tls]\n{hostname}\n", "{hostname} is not known here, only plain text"),
        (b"[author]\n{hostname.__class__}\n", "{hostname.__class__} is not known here"),
        (b"[author]\n{}\n", "{} is not known here"),
        (b"[author]\na } here\n", "a } stands alone: write }}"),
        (b"[author]\nand {hostname\n", "a { stands alone: write {{"),
        (b"[author]\n\n[more]\n{count}\n", "is empty"),
        (b"[failed]\nNo list here.\n", "{recipients} is missing"),
        (b"[fialed]\n{recipients}\n", "[fialed]: there is no such section"),
        (b"[author]\nA\n[author]\nB\n", "en.txt:3: [author]: stands here twice"),
        (b"Hello\n[author]\nA\n", "en.txt:1: this text stands before the first [section]"),
        (b"[author]\nA\n[more]\n\xff\n", "en.txt:4: not UTF-8; the file is not used"),
    ],
)
def test_a_mistake_is_named_and_costs_a_section_at_most(tmp_path, text, complaint):
    (words,), complaints = load_own(tmp_path, ["en"], en=text)
    assert len(complaints) == 1 and complaint in complaints[0]
    assert words.sections.keys() == SECTIONS.keys()
    for section, allowed in SECTIONS.items():
        words.fill(section, **dict.fromkeys(allowed, "x"))


@pytest.mark.parametrize("languages", [["xx"], ["../en"], [""], []])
def test_without_a_language_there_is_english(tmp_path, languages):
    found, complaints = load_own(tmp_path, languages)
    assert [words.language for words in found] == ["en"]
    assert len(complaints) == len(languages)


def test_a_file_that_cannot_be_read_is_a_complaint(tmp_path):
    def refuse(path, limit):
        raise StorageError(f"{path}: permission denied")

    (words,), complaints = load_templates(["en"], "/etc/words", refuse)
    assert complaints == ["/etc/words/en.txt: permission denied"]
    assert words == ENGLISH
    (_, complaints) = load_own(tmp_path, ["en"], en=b"#" * (templates.MAX_FILE + 1))
    assert "more than" in complaints[0]


def test_comments_are_left_out_and_text_keeps_its_shape():
    sections = read_sections(b"[failed]\n\none\n# not this\n  two\n\n{recipients}\n\n", "x", complaints := [])
    assert (sections, complaints) == ({"failed": "one\n  two\n\n{recipients}"}, [])


def test_the_letters_name_all_that_helps():
    for kind in ("failed", "delayed", "succeeded"):
        used = {name for _, name, _, _ in string.Formatter().parse(ENGLISH.sections[kind]) if name}
        assert {"hostname", "subject", "sent", "recipients", "attached", "id"} <= used
