"""Real programs deliver and submit over each port: swaks, curl, msmtp, Python's smtplib, openssl."""

import re
import smtplib
import socket
import ssl

import pytest

from tests.peers.house import DOMAIN, PASSWORDS

ALICE, BOB = f"alice@{DOMAIN}", f"bob@{DOMAIN}"
STRANGER = "stranger@example.net"
CURL_LOGIN_DENIED = 67
SWAKS_AUTH_FAILED = 28
MSMTP_NO_PERMISSION = 77


def message(marker, author=STRANGER, newline="\r\n"):
    """A small message with a dot at the beginning of a line and an octet above 127."""
    fields = [f"From: {author}", f"To: {BOB}", f"Subject: {marker}", "Content-Type: text/plain; charset=utf-8"]
    return newline.join([*fields, "", "gr\u00fcezi", ".", "..two dots", "end", ""])


def check_body(octets):
    """Nothing was lost or added on the way: the dots were stuffed and unstuffed, the octets above 127 kept."""
    body = octets.partition(b"\r\n\r\n")[2]
    assert body == "gr\u00fcezi\r\n.\r\n..two dots\r\nend\r\n".encode(), body


def trace(octets):
    """The first Received field on one line: the one that we made."""
    field = re.search(rb"^Received: ([^\r]*(?:\r\n[ \t][^\r]*)*)", octets, re.MULTILINE)
    assert field, octets
    return b" ".join(field[1].split())


def swaks_input(marker, author=STRANGER):
    """The message as swaks wants it: it ends the last line itself."""
    return message(marker, author, "\n").removesuffix("\n")


# door: listener kind and how swaks is told to use it
SWAKS = {
    "smtp": ("smtp", ["--protocol", "ESMTP"], b"with ESMTP "),
    "smtp-starttls": ("smtp", ["--tls"], b"with ESMTPS "),
    "submission": ("submission", ["--tls", "--auth", "PLAIN"], b"with ESMTPSA "),
    "submission-login": ("submission", ["--tls", "--auth", "LOGIN"], b"with ESMTPSA "),
    "submissions": ("submissions", ["--tls-on-connect", "--auth", "PLAIN"], b"with ESMTPSA "),
    "submissions-pipelined": ("submissions", ["--tls-on-connect", "--auth", "PLAIN", "--pipeline"], b"with ESMTPSA "),
    "lmtp": ("lmtp", ["--protocol", "LMTP"], b"with LMTP "),
    "lmtp-unix": ("", ["--protocol", "LMTP"], b"with LMTP "),
}


@pytest.mark.parametrize("way", SWAKS)
def test_swaks(way, house, peer, run, marker):
    kind, options, protocol = SWAKS[way]
    where = ["--server", "127.0.0.1", "--port", house.ports[kind]] if kind else ["--socket", house.lmtp_path]
    login = ["--auth-user", "alice", "--auth-password", PASSWORDS["alice"]] if "--auth" in options else []
    author = ALICE if login else STRANGER
    envelope = ["--from", author, "--to", BOB, "--ehlo", "client.example.net", "--data", "-"]
    done = run([peer("swaks"), *where, *options, *login, *envelope], swaks_input(marker, author))
    assert done.returncode == 0, done.stdout.decode()
    octets = house.expect_one("bob", marker)
    check_body(octets)
    assert protocol in trace(octets) + b" ", trace(octets)


def test_swaks_to_two_accounts(house, peer, run, marker):
    envelope = ["--from", STRANGER, "--to", f"{ALICE},{BOB}", "--ehlo", "client.example.net", "--data", "-"]
    done = run(
        [peer("swaks"), "--server", f"127.0.0.1:{house.ports['smtp']}", *envelope], message(marker, newline="\n")
    )
    assert done.returncode == 0, done.stdout.decode()
    assert house.expect_one("alice", marker) == house.expect_one("bob", marker)


def test_swaks_wrong_password(house, peer, run, marker):
    login = ["--tls", "--auth", "PLAIN", "--auth-user", "alice", "--auth-password", "wrong"]
    where = ["--server", f"127.0.0.1:{house.ports['submission']}", "--ehlo", "client.example.net"]
    done = run([peer("swaks"), *where, *login, "--from", ALICE, "--to", BOB, "--body", marker])
    assert done.returncode == SWAKS_AUTH_FAILED, done.stdout.decode()
    assert b"535 5.7.8" in done.stdout
    assert not [octets for octets in house.delivered("bob") if marker.encode() in octets]


@pytest.mark.parametrize("way", ["plain", "none"])
def test_swaks_login_needs_tls(way, house, peer, run, marker):
    login = ["--auth", "PLAIN", "--auth-user", "alice", "--auth-password", PASSWORDS["alice"]] if way == "plain" else []
    where = ["--server", f"127.0.0.1:{house.ports['submission']}", "--ehlo", "client.example.net"]
    done = run([peer("swaks"), *where, *login, "--from", ALICE, "--to", BOB, "--body", marker])
    assert done.returncode != 0, done.stdout.decode()
    assert b"AUTH" not in done.stdout.partition(b"EHLO")[2].partition(b" ->")[0]
    assert not [octets for octets in house.delivered("bob") if marker.encode() in octets]


# scheme, listener kind, TLS options, login
CURL = {
    "smtp": ("smtp", "smtp", [], []),
    "smtp-starttls": ("smtp", "smtp", ["--ssl-reqd"], []),
    "submission": ("smtp", "submission", ["--ssl-reqd"], ["AUTH=PLAIN"]),
    "submission-login": ("smtp", "submission", ["--ssl-reqd"], ["AUTH=LOGIN"]),
    "submissions": ("smtps", "submissions", [], ["AUTH=PLAIN"]),
}


@pytest.mark.parametrize("way", CURL)
def test_curl(way, house, peer, run, marker):
    scheme, kind, tls, mechanism = CURL[way]
    login = ["--user", f"alice:{PASSWORDS['alice']}", "--login-options", *mechanism] if mechanism else []
    author = ALICE if login else STRANGER
    url = f"{scheme}://127.0.0.1:{house.ports[kind]}/client.example.net"
    options = ["--silent", "--show-error", "--cacert", house.certificate, *tls, *login]
    done = run(
        [peer("curl"), url, *options, "--mail-from", author, "--mail-rcpt", BOB, "--upload-file", "-"],
        message(marker, author),
    )
    assert done.returncode == 0, done.stdout.decode()
    check_body(house.expect_one("bob", marker))


def test_curl_wrong_password(house, peer, run, marker):
    url = f"smtps://127.0.0.1:{house.ports['submissions']}/client.example.net"
    login = ["--user", "alice:wrong", "--silent", "--show-error", "--cacert", house.certificate]
    envelope = ["--mail-from", ALICE, "--mail-rcpt", BOB, "--upload-file", "-"]
    done = run([peer("curl"), url, *login, *envelope], message(marker, ALICE))
    assert done.returncode == CURL_LOGIN_DENIED, done.stdout.decode()


# listener kind, STARTTLS, mechanism
MSMTP = {
    "smtp": ("smtp", None, "off"),
    "smtp-starttls": ("smtp", "on", "off"),
    "submission-plain": ("submission", "on", "plain"),
    "submission-login": ("submission", "on", "login"),
    "submission-scram": ("submission", "on", "scram-sha-256"),
    "submissions-plain": ("submissions", "off", "plain"),
    "submissions-scram": ("submissions", "off", "scram-sha-256"),
}


def msmtp_options(house, kind, starttls, mechanism, password, author):
    """msmtp's command line for one door; the password comes from a program, as msmtp wants it."""
    where = ["--file=/dev/null", "--host=127.0.0.1", f"--port={house.ports[kind]}", "--domain=client.example.net"]
    tls = ["--tls=off"]
    if starttls is not None:
        tls = ["--tls=on", f"--tls-starttls={starttls}", f"--tls-trust-file={house.certificate}"]
    login = ["--auth=off"]
    if mechanism != "off":
        login = [f"--auth={mechanism}", "--user=alice", f"--passwordeval=echo '{password}'"]
    return [*where, *tls, *login, f"--from={author}", BOB]


@pytest.mark.parametrize("way", MSMTP)
def test_msmtp(way, house, peer, run, marker):
    kind, starttls, mechanism = MSMTP[way]
    program = peer("msmtp")
    if mechanism.startswith("scram") and b" scram-sha-256 " not in run([program, "--version"]).stdout:
        pytest.skip("this msmtp was built without SCRAM-SHA-256")
    author = STRANGER if mechanism == "off" else ALICE
    options = msmtp_options(house, kind, starttls, mechanism, PASSWORDS["alice"], author)
    done = run([program, *options], message(marker, author, "\n"))
    assert done.returncode == 0, done.stdout.decode()
    check_body(house.expect_one("bob", marker))


@pytest.mark.parametrize("mechanism", ["plain", "scram-sha-256"])
def test_msmtp_wrong_password(mechanism, house, peer, run, marker):
    program = peer("msmtp")
    options = msmtp_options(house, "submissions", "off", mechanism, "wrong", ALICE)
    done = run([program, *options], message(marker, ALICE, "\n"))
    assert done.returncode == MSMTP_NO_PERMISSION, done.stdout.decode()
    assert not [octets for octets in house.delivered("bob") if marker.encode() in octets]


def trusting(house):
    """A TLS context that accepts the server's certificate and nothing else, names included."""
    return ssl.create_default_context(cafile=str(house.certificate))


def open_smtplib(house, way):
    """A client of Python's own library at one door, TLS and EHLO done."""
    kind = way.partition("-")[0]
    if way == "lmtp-unix":
        return smtplib.LMTP(str(house.lmtp_path), local_hostname="client.example.net")
    if way == "lmtp":
        return smtplib.LMTP("127.0.0.1", house.ports["lmtp"], local_hostname="client.example.net")
    if kind == "submissions":
        return smtplib.SMTP_SSL(
            "127.0.0.1", house.ports[kind], "client.example.net", context=trusting(house), timeout=30
        )
    client = smtplib.SMTP("127.0.0.1", house.ports[kind], "client.example.net", timeout=30)
    if way != "smtp":
        client.starttls(context=trusting(house))
    return client


@pytest.mark.parametrize("way", ["smtp", "smtp-starttls", "submission", "submissions", "lmtp", "lmtp-unix"])
def test_smtplib(way, house, marker):
    with open_smtplib(house, way) as client:
        author = STRANGER
        if way.startswith("submission"):
            client.login("alice", PASSWORDS["alice"])
            author = ALICE
        text = message(marker, author).encode()
        assert client.sendmail(author, [BOB], text, mail_options=["BODY=8BITMIME"]) == {}
    check_body(house.expect_one("bob", marker))


@pytest.mark.parametrize("way", ["submission", "submissions"])
@pytest.mark.parametrize("login", ["alice", "nobody", ALICE])
def test_smtplib_wrong_password(way, login, house):
    with open_smtplib(house, way) as client, pytest.raises(smtplib.SMTPAuthenticationError) as refused:
        client.login(login, "wrong")
    assert refused.value.smtp_code == 535


def test_smtplib_login_by_address(house, marker):
    with open_smtplib(house, "submissions") as client:
        client.login(ALICE, PASSWORDS["alice"])
        client.sendmail(ALICE, [BOB], message(marker, ALICE).encode(), mail_options=["BODY=8BITMIME"])
    check_body(house.expect_one("bob", marker))


def test_smtplib_somebody_elses_address(house, marker):
    with open_smtplib(house, "submissions") as client:
        client.login("alice", PASSWORDS["alice"])
        with pytest.raises(smtplib.SMTPSenderRefused) as refused:
            client.sendmail(BOB, [BOB], message(marker, BOB).encode(), mail_options=["BODY=8BITMIME"])
    assert refused.value.smtp_error.startswith(b"5.7.1 ")


def test_smtplib_relaying_denied(house, marker):
    with open_smtplib(house, "smtp") as client, pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
        client.sendmail(STRANGER, ["somebody@elsewhere.example"], message(marker).encode())
    code, text = refused.value.recipients["somebody@elsewhere.example"]
    assert (code, text[:6]) == (550, b"5.7.1 ")


def test_lmtp_answers_for_each_recipient(house, marker):
    with open_smtplib(house, "lmtp-unix") as client:
        client.ehlo_or_helo_if_needed()
        assert client.mail(STRANGER)[0] == 250
        assert [client.rcpt(address)[0] for address in (ALICE, f"nobody@{DOMAIN}", BOB)] == [250, 550, 250]
        client.putcmd("DATA")
        assert client.getreply()[0] == 354
        client.send(b"Subject: " + marker.encode() + b"\r\n\r\n.\r\n")
        assert [client.getreply()[0] for _ in range(2)] == [250, 250]
        assert client.noop()[0] == 250
    house.expect_one("alice", marker)
    house.expect_one("bob", marker)


# options of s_client -> the handshake succeeds
VERSIONS = {"-tls1_3": True, "-tls1_2": True, "-tls1_1": False}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("kind", ["smtp", "submission", "submissions", "lmtp"])
def test_openssl_handshake(kind, version, house, peer, run):
    starttls = {"submissions": [], "lmtp": ["-starttls", "lmtp"]}.get(kind, ["-starttls", "smtp"])
    where = ["-connect", f"127.0.0.1:{house.ports[kind]}", "-CAfile", house.certificate, "-verify_return_error"]
    # At security level 0 the client would speak TLS 1.1: it is the server that must refuse it.
    old = ["-cipher", "DEFAULT:@SECLEVEL=0"] if version == "-tls1_1" else []
    done = run([peer("openssl"), "s_client", *where, *starttls, version, *old, "-quiet", "-ign_eof"], "QUIT\r\n")
    assert (b"221 2.0.0" in done.stdout) is VERSIONS[version], done.stdout.decode()


@pytest.mark.parametrize("version", ["-tls1_3", "-tls1_2"])
def test_openssl_resumes_at_every_worker(version, house, peer, run):
    """A ticket of one worker is accepted by whichever worker gets the next connections."""
    openssl, ticket = peer("openssl"), house.root / f"ticket{version}"
    command = [openssl, "s_client", "-connect", f"127.0.0.1:{house.ports['submissions']}", version, "-ign_eof"]
    first = run([*command, "-sess_out", ticket], "QUIT\r\n")
    assert b"New, TLSv1" in first.stdout and ticket.exists(), first.stdout.decode()
    for _ in range(8):
        again = run([*command, "-sess_in", ticket], "QUIT\r\n")
        assert b"Reused, TLSv1" in again.stdout, again.stdout.decode()


def test_input_before_starttls_is_discarded(house):
    """What came in one packet with STARTTLS is not run inside TLS (CVE-2011-0411)."""
    with socket.create_connection(("127.0.0.1", house.ports["smtp"]), 30) as plain:
        replies = plain.makefile("rb")
        assert replies.readline().startswith(b"220 ")
        plain.sendall(b"EHLO client.example.net\r\n")
        while replies.readline()[3:4] == b"-":
            continue
        plain.sendall(b"STARTTLS\r\nMAIL FROM:<injected@example.net>\r\n")
        assert replies.readline().startswith(b"220 ")
        with trusting(house).wrap_socket(plain, server_hostname="127.0.0.1") as secure:
            secure.sendall(b"EHLO client.example.net\r\nRCPT TO:<" + BOB.encode() + b">\r\n")
            answers = secure.makefile("rb")
            assert house.hostname.encode() in (first := answers.readline()), first
            while answers.readline()[3:4] == b"-":
                continue
            assert answers.readline().startswith(b"503 5.5.1 ")
