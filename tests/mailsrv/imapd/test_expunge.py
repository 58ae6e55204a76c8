"""EXPUNGE: what the dialogs do not show."""

from tests.fakes.imap_client import House, message


def test_numbers_count_down(tmp_path):
    house = House(tmp_path)
    house.deliver(*[message(str(number)) for number in range(1, 10)])
    client, other = house.client(selected="INBOX"), house.client(selected="INBOX")
    client.do("STORE 1,3:5,9 +FLAGS.SILENT (\\Deleted)")
    assert client.do("EXPUNGE") == [
        *[f"* {number} EXPUNGE" for number in (9, 5, 4, 3, 1)],
        "OK expunged",
    ]
    assert other.do("NOOP")[:-1] == [f"* {number} EXPUNGE" for number in (9, 5, 4, 3, 1)]
    assert list(house.flags()) == [2, 6, 7, 8]


def test_what_came_and_went_untold_is_not_told(tmp_path):
    house = House(tmp_path)
    house.deliver(message())
    client, other = house.client(selected="INBOX"), house.client(selected="INBOX")
    other.append(message("new"), arguments="(\\Deleted) ")
    other.do("EXPUNGE")
    assert client.do("NOOP") == ["OK nothing more is new"]
    # And EXPUNGE takes what its client does not know of yet.
    other.append(message("new"), arguments="(\\Deleted) ")
    assert client.do("EXPUNGE") == ["OK expunged"]
    assert list(house.flags()) == [1]


def test_uids_that_the_client_does_not_know_stay(tmp_path):
    house = House(tmp_path)
    house.deliver(message())
    client, other = house.client(selected="INBOX"), house.client(selected="INBOX")
    other.append(message("new"), arguments="(\\Deleted) ")
    assert client.do("UID EXPUNGE 1:*") == ["* 2 EXISTS", "OK nothing to be expunged"]
    assert list(house.flags()) == [1, 2]
