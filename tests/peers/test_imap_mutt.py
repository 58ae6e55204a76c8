"""mutt in a terminal: it opens INBOX, reads, flags, copies, deletes, hears of a delivery, and leaves."""

import smtplib

import pytest

from tests.peers.imap_house import PASSWORD, contents, digest, make_message
from tests.peers.terminal import Terminal

CONFIG = """\
set imap_user="{account}" imap_pass="{password}"
set folder="{scheme}://localhost:{port}/" spoolfile="{scheme}://localhost:{port}/INBOX"
set ssl_starttls=yes ssl_force_tls={force} certificate_file="{certificate}"
set imap_authenticators="{mechanism}" imap_condstore={condstore} imap_qresync={condstore} imap_idle={condstore}
set header_cache="{root}/cache" tmpdir="{root}" record="" postponed="{scheme}://localhost:{port}/Drafts"
set quit=yes delete=yes move=no mark_old=no confirmappend=no confirmcreate=no wait_key=no pager_stop=yes
set sort=date-sent mail_check=1 timeout=1 index_format="%C=%Z=%s=" pager_index_lines=0 ssl_verify_dates=no
"""
# way: scheme, listener kind, TLS wanted, mechanism, CONDSTORE, QRESYNC and IDLE
WAYS = {
    "imaps": ("imaps", "imaps", "yes", "plain", "yes"),
    "starttls": ("imap", "imap", "yes", "login", "no"),
    "clear": ("imap", "clear", "no", "plain", "yes"),
}


@pytest.fixture
def open_mutt(imap_house, peer, tmp_path):
    """open_mutt(way, account) -> the terminal in which it runs."""
    program = peer("mutt")

    def call(way, account):
        scheme, kind, force, mechanism, condstore = WAYS[way]
        config = tmp_path / "muttrc"
        config.write_text(
            CONFIG.format(
                account=account, password=PASSWORD, scheme=scheme, port=imap_house.ports[kind], force=force,
                mechanism=mechanism, condstore=condstore, certificate=imap_house.certificate, root=tmp_path,
            )
        )  # fmt: skip
        return Terminal([program, "-n", "-F", config], HOME=str(tmp_path), MAIL="")

    return call


@pytest.mark.parametrize("way", WAYS)
def test_a_visit(way, imap_house, open_mutt):
    account = imap_house.new_account()
    messages = [make_message(number, "mutt") for number in range(5)]
    imap_house.put(account, messages)
    with open_mutt(way, account) as mutt:
        mutt.expect("5=N  =mutt 4=")
        mutt.press("1\r\r")  # to the first message, and open it
        mutt.expect("This is line 0 of mutt 0")
        mutt.press("i")
        mutt.expect("1=   =mutt 0=")
        mutt.press("2\rF")
        mutt.expect("2=N !=mutt 1=")
        mutt.press("3\rC")
        mutt.expect("Copy to mailbox")
        mutt.press("\x15=Drawer\r")
        mutt.expect("to Drawer")
        mutt.press("4\rd")
        mutt.expect("4=ND =mutt 3=")
        mutt.press("5\rd$")
        mutt.expect("3 kept, 2 deleted")
        deliver(imap_house, account)
        mutt.expect("=arrived=")
        mutt.press("q")
        assert mutt.wait_end() == 0
    with imap_house.log_in(account) as client:
        found = contents(client)
        assert found.total() == 4
        for octets, flags in zip(messages, [("\\Seen",), ("\\Flagged",), ()], strict=False):
            assert found[digest(octets), flags] == 1, (flags, found)
        assert list(contents(client, "Drawer")) == [(digest(messages[2]), ())]


def deliver(house, account):
    """One message through SMTP."""
    text = b"Date: Mon, 30 Nov 2026 10:00:00 +0000\r\nFrom: a@example.net\r\nSubject: arrived\r\n\r\nhere\r\n"
    with smtplib.SMTP("127.0.0.1", house.ports["smtp"], "client.example.net", timeout=30) as sender:
        sender.sendmail("stranger@example.net", [f"{account}@example.org"], text)
