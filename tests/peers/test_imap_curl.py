"""curl and IMAP: lists, fetches, searches, appends, and says what it is told to, over each way in."""

import pytest

from tests.peers.imap_house import PASSWORD, check, contents, digest, make_message

LOGIN_DENIED = 67
NO_SUCH_FILE = 78
# way: scheme, listener kind, options of TLS, login
WAYS = {
    "imaps": ("imaps", "imaps", [], "AUTH=PLAIN"),
    "imaps-login": ("imaps", "imaps", [], "AUTH=LOGIN"),
    "starttls": ("imap", "imap", ["--ssl-reqd"], "AUTH=PLAIN"),
    "clear": ("imap", "clear", [], "AUTH=PLAIN"),
}


@pytest.fixture
def curl(imap_house, peer, run):
    """curl(way, account, path, options...) -> the finished program."""
    program = peer("curl")

    def call(way, account, path, *options, password=PASSWORD):
        scheme, kind, tls, login = WAYS[way]
        url = f"{scheme}://localhost:{imap_house.ports[kind]}/{path}"
        words = ["--silent", "--show-error", "--cacert", imap_house.certificate, *tls]
        words += ["--user", f"{account}:{password}", "--login-options", login]
        return run([program, url, *words, *options])

    return call


@pytest.mark.parametrize("way", WAYS)
def test_curl_reads_what_it_has_appended(way, imap_house, curl, tmp_path):
    account = imap_house.new_account()
    messages = [make_message(number, "curl") for number in (1, 3)]
    for octets in messages:
        (tmp_path / "message").write_bytes(octets)
        done = curl(way, account, "INBOX", "--upload-file", tmp_path / "message")
        assert done.returncode == 0, done.stdout.decode()
    listed = curl(way, account, "")
    assert listed.stdout.decode().rstrip().endswith('"/" INBOX'), listed.stdout
    fetched = curl(way, account, "INBOX;UID=2")
    assert (fetched.returncode, fetched.stdout) == (0, messages[1])
    assert curl(way, account, "INBOX;MAILINDEX=1").stdout == messages[0]
    with imap_house.log_in(account) as client:
        assert sorted(contents(client)) == sorted((digest(octets), ("\\Seen",)) for octets in messages)


def test_curl_reads_parts_and_searches(imap_house, curl):
    account = imap_house.new_account()
    imap_house.put(account, [make_message(number, "part") for number in range(12)])
    field = curl("imaps", account, "INBOX;UID=4;SECTION=HEADER.FIELDS%20(SUBJECT)")
    assert field.stdout == b"Subject: part 3\r\n\r\n"
    text = curl("imaps", account, "INBOX;UID=4;SECTION=1").stdout
    assert text.startswith(b"This is line 0 of part 3") and text.count(b"\r\n") == 3, text
    found = curl("imaps", account, "INBOX?SUBJECT%20%22part%201%22")
    assert found.stdout.split() == b"* SEARCH 2 11 12".split()


def test_curl_says_what_it_is_told(imap_house, curl):
    account = imap_house.new_account()
    imap_house.put(account, [make_message(number, "custom") for number in range(4)])
    assert curl("imaps", account, "", "--request", "CREATE Drawer").returncode == 0
    assert curl("imaps", account, "INBOX", "--request", "STORE 1:2 +FLAGS (\\Deleted)").returncode == 0
    assert curl("imaps", account, "INBOX", "--request", "UID COPY 1:3 Drawer").returncode == 0
    expunged = curl("imaps", account, "INBOX", "--request", "EXPUNGE")
    assert expunged.stdout.split() == b"* 2 EXPUNGE * 1 EXPUNGE".split()
    status = curl("imaps", account, "", "--request", "STATUS Drawer (MESSAGES)")
    assert status.stdout.strip() == b"* STATUS Drawer (MESSAGES 3)"
    with imap_house.log_in(account) as client:
        assert contents(client).total() == 2
        assert check(client.select("Drawer")) == [b"3"]


def test_curl_is_refused(imap_house, curl):
    account = imap_house.new_account()
    assert curl("imaps", account, "", password="wrong").returncode == LOGIN_DENIED
    nowhere = curl("imaps", account, "Nowhere;UID=1")
    assert (nowhere.returncode, nowhere.stdout) == (LOGIN_DENIED, b"curl: (67) Select failed\n")
    assert curl("imaps", account, "INBOX;UID=1").returncode == NO_SUCH_FILE
