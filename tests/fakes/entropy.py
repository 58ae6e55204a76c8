"""Randomness that repeats: the same seed gives the same octets, in the form of the module system/entropy."""

import hashlib


class FakeEntropy:
    def __init__(self, seed=b"mailsrv"):
        self.seed = seed
        self.drawn = 0

    def octets(self, count):
        taken = b""
        while len(taken) < count:
            taken += hashlib.sha256(self.seed + self.drawn.to_bytes(8, "big")).digest()
            self.drawn += 1
        return taken[:count]

    def below(self, bound):
        return int.from_bytes(self.octets(8), "big") % bound

    def password(self, length=16):
        return self.octets(length).hex()[:length]
