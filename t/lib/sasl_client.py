# SPDX-License-Identifier: BSD-2-Clause
"""The client's side of SASL mechanisms, written from the RFCs: what a server's answers are checked with."""

import base64
import hashlib
import hmac
import os
import re


class Cram:
    """RFC 2195."""

    def __init__(self, user, password):
        self.user, self.password = user.encode(), password.encode()
        self.first = None

    def step(self, challenge):
        digest = hmac.new(self.password, challenge, "md5").hexdigest()
        return self.user + b" " + digest.encode()

    done = True


class Plain:
    """RFC 4616."""

    def __init__(self, user, password, authzid=""):
        self.first = f"{authzid}\0{user}\0{password}".encode()
        self.done = True

    def step(self, _challenge):
        return self.first


class Login:
    """draft-murchison-sasl-login."""

    def __init__(self, user, password):
        self.answers = [user.encode(), password.encode()]
        self.first, self.done = None, True

    def step(self, _challenge):
        return self.answers.pop(0)


class External:
    """RFC 4422, appendix A."""

    def __init__(self, authzid=""):
        self.first, self.done = authzid.encode(), True

    def step(self, _challenge):
        return self.first


class Scram:
    """RFC 5802, without channel binding."""

    def __init__(self, hash_name, user, password, authzid="", nonce=None):
        self.hash, self.password = hash_name, password.encode()
        name = user.replace("=", "=3D").replace(",", "=2C")
        self.gs2 = "n," + ("a=" + authzid if authzid else "") + ","
        self.bare = f"n={name},r={nonce or base64.b64encode(os.urandom(18)).decode()}"
        self.first = (self.gs2 + self.bare).encode()
        self.signature, self.done, self.steps = None, False, 0

    def _hmac(self, key, text):
        return hmac.new(key, text, self.hash).digest()

    def step(self, challenge):
        self.steps += 1
        if self.steps == 2:
            self.done = challenge == b"v=" + base64.b64encode(self.signature)
            return b""
        fields = dict(f.split("=", 1) for f in challenge.decode().split(","))
        salt, rounds = base64.b64decode(fields["s"]), int(fields["i"])
        salted = hashlib.pbkdf2_hmac(self.hash, self.password, salt, rounds)
        bare = "c=" + base64.b64encode(self.gs2.encode()).decode() + ",r=" + fields["r"]
        message = f"{self.bare},{challenge.decode()},{bare}".encode()
        key = self._hmac(salted, b"Client Key")
        proof = bytes(a ^ b for a, b in
                      zip(key, self._hmac(hashlib.new(self.hash, key).digest(), message)))
        self.signature = self._hmac(self._hmac(salted, b"Server Key"), message)
        return (bare + ",p=" + base64.b64encode(proof).decode()).encode()


class Digest:
    """RFC 2831, qop=auth."""

    def __init__(self, user, password, realm=None, uri="smtp/localhost", authzid="", extra=""):
        self.user, self.password, self.realm, self.uri = user, password, realm, uri
        self.authzid, self.extra = authzid, extra
        self.first, self.done, self.proof = None, False, None

    def step(self, challenge):
        if self.proof:
            self.done = challenge == b"rspauth=" + self.proof
            return b""
        fields = dict(re.findall(r'(\w+)="?([^",]*)"?', challenge.decode()))
        realm = fields.get("realm", "") if self.realm is None else self.realm
        cnonce, nonce = base64.b64encode(os.urandom(12)).decode(), fields["nonce"]

        def md5(data):
            return hashlib.md5(data).digest()

        a1 = md5(f"{self.user}:{realm}:{self.password}".encode()) + f":{nonce}:{cnonce}".encode()
        if self.authzid:
            a1 += b":" + self.authzid.encode()

        def response(method):
            tail = f"{nonce}:00000001:{cnonce}:auth:" + md5(f"{method}:{self.uri}".encode()).hex()
            return md5(f"{md5(a1).hex()}:{tail}".encode()).hex()

        self.proof = response("").encode()
        text = f'username="{self.user}",' + (f'realm="{realm}",' if realm else "") + \
            f'nonce="{nonce}",cnonce="{cnonce}",nc=00000001,qop=auth,digest-uri="{self.uri}",' + \
            (f'authzid="{self.authzid}",' if self.authzid else "") + \
            f"response={response('AUTHENTICATE')},charset=utf-8{self.extra}"
        return text.encode()


def apop(user, password, challenge):
    """What a POP3 server passes on of "APOP user digest": its greeting's "<...>", and that."""
    digest = hashlib.md5((challenge + password).encode()).digest()
    return challenge.encode() + b"\0" + user.encode() + b"\0" + digest


def make(mechanism, user, password):
    """A client of MECHANISM."""
    return {"PLAIN": Plain, "LOGIN": Login, "CRAM-MD5": Cram, "DIGEST-MD5": Digest,
            "SCRAM-SHA-1": lambda u, p: Scram("sha1", u, p),
            "SCRAM-SHA-256": lambda u, p: Scram("sha256", u, p)}[mechanism](user, password)
