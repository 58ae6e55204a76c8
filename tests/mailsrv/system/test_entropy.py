import pytest

from mailsrv.system import entropy
from tests.fakes.entropy import FakeEntropy


@pytest.mark.parametrize("source", [entropy, FakeEntropy()], ids=["system", "fake"])
def test_octets_come_in_the_number_asked_for_and_differ(source):
    assert [len(source.octets(count)) for count in (0, 1, 32, 100)] == [0, 1, 32, 100]
    assert source.octets(32) != source.octets(32)


@pytest.mark.parametrize("source", [entropy, FakeEntropy()], ids=["system", "fake"])
def test_below_reaches_every_number_and_no_other(source):
    assert {source.below(3) for _ in range(200)} == {0, 1, 2}
    assert source.below(1) == 0


@pytest.mark.parametrize("source", [entropy, FakeEntropy()], ids=["system", "fake"])
def test_passwords_have_their_length_and_differ(source):
    assert len(source.password()) == 16
    assert len(source.password(24)) == 24
    assert source.password() != source.password()


def test_passwords_can_be_read_aloud():
    drawn = "".join(entropy.password(64) for _ in range(20))
    assert not set(drawn) & set("01iloIO")
    assert drawn.isascii() and drawn.isalnum()


def test_the_fake_repeats():
    assert FakeEntropy().octets(40) == FakeEntropy().octets(40)
    assert FakeEntropy(b"other").octets(40) != FakeEntropy().octets(40)
