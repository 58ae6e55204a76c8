"""Arguments as programs have given them for decades."""

import pytest

from mailsrv.cli.sendmail_arguments import Options, UsageError, read_options


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("a b", Options(recipients=("a", "b"))),
        ("-t -i", Options(from_header=True, ignore_dots=True)),
        ("-ti", Options(from_header=True, ignore_dots=True)),
        ("-oi -oem -odb -t", Options(from_header=True, ignore_dots=True)),
        ("-i -fa@b c", Options(ignore_dots=True, sender="a@b", recipients=("c",))),
        ("-r <> c", Options(sender="<>", recipients=("c",))),
        ("-f <a@b> c", Options(sender="a@b", recipients=("c",))),
        ("-FCronDaemon -B8BITMIME -oem root", Options(full_name="CronDaemon", recipients=("root",))),
        ("-bm -- -x", Options(recipients=("-x",))),
        ("-bs", Options(mode="s")),
        ("-b p", Options(mode="p")),
        ("-bi", Options(mode="i")),
        ("-q", Options(mode="q")),
        ("-q30m", Options(mode="q")),
        ("-N never -Rfull -Vid c", Options(notify=("NEVER",), ret="FULL", envid="id", recipients=("c",))),
        ("-N success,Delay c", Options(notify=("SUCCESS", "DELAY"), recipients=("c",))),
        ("-v -C file -h 5 -L tag -X log c", Options(verbose=True, config="file", recipients=("c",))),
        ("-O Timeout=1 -o Foo c", Options(recipients=("c",))),
        ("-d c", Options(recipients=("c",))),
    ],
)
def test_arguments(given: str, expected: Options) -> None:
    assert read_options(given.split()) == expected


@pytest.mark.parametrize("given", ["-f", "-z", "-bd", "-N never,delay", "-N x", "-R x", "-b"])
def test_what_means_nothing(given: str) -> None:
    with pytest.raises(UsageError):
        read_options(given.split())


def test_an_empty_sender_is_the_null_one() -> None:
    assert read_options(["-f", "", "c"]).sender == "<>"
