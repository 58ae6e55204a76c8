"""The commands on rights; dialogs in tests/cases/imap/acl and sharing show the rest."""

import pytest

from mailsrv.imapd.access import tell_rights

from tests.fakes.imap_client import House


@pytest.mark.parametrize(
    ("rights", "told"), [("lr", "lr"), ("k", "kc"), ("x", "xc"), ("t", "td"), ("e", "ed"), ("kte", "ktecd"), ("", "")]
)
def test_rights_of_old_are_told_beside(rights, told):
    assert tell_rights(rights) == told


@pytest.mark.parametrize(
    ("sent", "kept"), [("c", "kxc"), ("d", "ted"), ("lrswipkxtea", "lrswipkxteacd"), ("ca", "kxac")]
)
def test_rights_of_old_are_understood(tmp_path, sent, kept):
    client = House(tmp_path).client()
    assert client.do(f"SETACL INBOX bob {sent}") == ["OK granted"]
    assert client.do("GETACL INBOX")[0] == f"* ACL INBOX alice lrswipkxteacd bob {kept}"


def test_an_account_that_is_gone_is_taken_off(tmp_path):
    house = House(tmp_path)
    client = house.client()
    client.do("SETACL INBOX bob l")
    with house.access.change("alice") as grants:
        next(iter(grants.values()))["zoe"] = "lr"
    assert client.do("GETACL INBOX")[0].endswith("bob l zoe lr")
    assert client.do("DELETEACL INBOX zoe") == ["OK taken back"]
    assert client.do("DELETEACL INBOX zoe") == ["NO [CANNOT] there is no account zoe"]
    assert client.do("SETACL INBOX -alice l")[0].startswith("NO [CANNOT]")
