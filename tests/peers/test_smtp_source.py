"""Postfix's smtp-source sends 2000 messages over 20 connections, and none is lost, cut or doubled."""

import re

from tests.peers.house import DOMAIN

MESSAGES = 2000
CONNECTIONS = 20
SIZE = 4096


def test_none_is_lost(house, peer, run):
    before = len(house.delivered("source"))
    envelope = ["-f", "load@example.net", "-t", f"source@{DOMAIN}", "-M", "client.example.net"]
    amount = ["-m", MESSAGES, "-s", CONNECTIONS, "-l", SIZE]
    done = run([peer("smtp-source"), "-d", *amount, *envelope, f"inet:127.0.0.1:{house.ports['smtp']}"])
    assert done.returncode == 0, done.stdout.decode()
    messages = house.delivered("source")
    assert before == 0 and len(messages) == MESSAGES, house.said()
    identities = {re.search(rb"(?im)^Message-Id: <([^>]+)>", octets)[1] for octets in messages}
    assert len(identities) == MESSAGES
    lengths = {len(octets.partition(b"\r\n\r\n")[2]) for octets in messages}
    assert len(lengths) == 1 and lengths.pop() > SIZE // 2
    assert all(octets.endswith(b"\r\n") for octets in messages)
