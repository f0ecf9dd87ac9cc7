# SPDX-License-Identifier: BSD-2-Clause
"""Servers of all sorts for the client's TLS, and policies to meet them with.

Each case is a next hop of its own, [127.0.1.N]:PORT, so that it has its own entry in
smtp_tls_policy_maps and its own lines in the log.
"""

import re
import socket
import ssl
import threading

import small_ca

CLEAR, NO_OFFER, REFUSES, GARBAGE, INJECTS, WRAPPED, EARLY = (
    "clear", "no offer", "refuses", "garbage", "injects", "wrapped", "early")


class Server:
    """STARTTLS with CERT, unless MODE is another one.  sessions: (commands, SNI, resumed) of each."""

    def __init__(self, cert=None, mode=CLEAR, versions=None):
        self.mode, self.context, self.sessions = mode, None, []
        if cert:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(cert)
            self.context.sni_callback = self._note_name
            if versions:
                self.context.minimum_version = self.context.maximum_version = versions
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(("0.0.0.0", 0))
        self.socket.listen(50)
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self._loop, daemon=True).start()

    def _note_name(self, connection, name, _context):
        connection.sni = name

    def _loop(self):
        while True:
            connection, _ = self.socket.accept()
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        seen = {"said": [], "sni": None, "resumed": False, "to": connection.getsockname()[0]}
        self.sessions.append(seen)
        try:
            connection.settimeout(60)
            self._talk(connection, seen)
        except OSError:
            pass
        finally:
            connection.close()

    def _wrap(self, connection, seen):
        connection = self.context.wrap_socket(connection, server_side=True)
        seen["sni"], seen["resumed"] = getattr(connection, "sni", None), connection.session_reused
        seen["version"], seen["cert"] = connection.version(), connection.getpeercert(True)
        return connection

    def _talk(self, connection, seen):
        if self.mode == WRAPPED:
            connection = self._wrap(connection, seen)
        lines = connection.makefile("rb", buffering=0)
        connection.sendall(b"220 mx.example.test ESMTP\r\n")
        while True:
            line = lines.readline()
            if not line:
                return
            seen["said"].append(line.rstrip().decode("latin-1"))
            verb = line.split()[0].upper()
            if verb in (b"EHLO", b"LHLO"):
                offer = self.mode != NO_OFFER and not isinstance(connection, ssl.SSLSocket)
                connection.sendall(b"250-mx.example.test\r\n" +
                                   (b"250-STARTTLS\r\n" if offer else b"") + b"250 8BITMIME\r\n" +
                                   (b"250 2.1.0 early\r\n" if self._is_early(connection) else b""))
            elif verb == b"STARTTLS":
                connection = self._starttls(connection, seen)
                lines = connection.makefile("rb", buffering=0)
            elif verb == b"DATA":
                connection.sendall(b"354 go\r\n")
                while lines.readline() not in (b".\r\n", b""):
                    pass
                connection.sendall(b"250 2.0.0 taken\r\n")
            elif verb == b"QUIT":
                connection.sendall(b"221 bye\r\n")
                return
            else:
                connection.sendall(b"250 2.0.0 fine\r\n")

    def _is_early(self, connection):
        return self.mode == EARLY and isinstance(connection, ssl.SSLSocket)

    def _starttls(self, connection, seen):
        if self.mode == REFUSES:
            connection.sendall(b"454 4.7.0 TLS not available due to local problem\r\n")
            return connection
        if self.mode == INJECTS:
            connection.sendall(b"220 go\r\n250 injected\r\n")
        else:
            connection.sendall(b"220 go\r\n")
        if self.mode == GARBAGE:
            connection.recv(1)
            connection.sendall(b"this is no TLS\r\n")
            raise OSError("enough")
        return self._wrap(connection, seen)


class Servers:
    def __init__(self, directory):
        ca = self.ca = small_ca.SmallCa(directory)
        ca.server("good")
        ca.server("ec", "ec")
        ca.self_signed("alone", "mx.example.test")
        ca.sign("wild", "/CN=x", "serverAuth", extra="subjectAltName=DNS:*.example.test\n")
        ca.server("late")
        small_ca.openssl("x509", "-req", "-in", ca.path("late.csr"), "-CA", ca.path("ca.pem"),
                         "-CAkey", ca.path("ca.key"), "-CAcreateserial", "-days", "-1",
                         "-extfile", ca.path("late.ext"), "-out", ca.path("late.pem"))
        ca._chain("late")
        chain = lambda name: ca.path(name + ".chain")
        self.good, self.ec, self.alone, self.late, self.wild = (
            Server(chain(name)) for name in ("good", "ec", "alone", "late", "wild"))
        self.old = Server(chain("good"), versions=ssl.TLSVersion.TLSv1_2)
        self.plain, self.refuses = Server(mode=NO_OFFER), Server(mode=REFUSES)
        self.garbage, self.injects = Server(mode=GARBAGE), Server(chain("good"), mode=INJECTS)
        self.wrapped = Server(chain("good"), mode=WRAPPED)

    def strict_with(self, ca):
        """A server that wants a certificate of ours."""
        ca.client("client")
        self.strict = Server(ca.path("good.chain"))
        self.strict.context.load_verify_locations(ca.path("ca.pem"))
        self.strict.context.verify_mode = ssl.CERT_REQUIRED
        self.early = Server(ca.path("good.chain"), mode=EARLY)


class Case:
    """WANT: what comes after delays= in the recipient's log line; LINES: what else is logged, of
    this address."""

    def __init__(self, name, policy, server, want, *lines):
        self.name, self.policy, self.server, self.want, self.lines = name, policy, server, want, lines


SENT = r"dsn=2\.0\.0, status=sent \(250 2\.0\.0 taken\)"
CONFIG = r"tls=unknown\?, dsn=4\.7\.5, status=deferred \(client TLS configuration problem\)"
NOT_VERIFIED = r"dsn=4\.7\.5, status=deferred \(Server certificate not verified\)"
HANDSHAKE = r"dsn=4\.7\.5, status=deferred \(Cannot start TLS: handshake failure\)"
WHERE = 'warning: smtp_tls_policy_maps, next-hop destination "PEER": '


def make(s):
    """PEER is the next hop, ADDR its address."""
    good, ca = s.good, s.ca
    line = "TLS connection established to ADDR[ADDR]:PORT: TLSv1.3 with cipher "
    mismatch = "server certificate verification failed for ADDR[ADDR]:PORT: "
    broken = lambda text: (WHERE + text, "warning: TLS policy lookup for PEER/ADDR: "
                           "client TLS configuration problem")
    return [
        Case("none", "none", good, "tls=none, " + SENT),
        Case("may", "may", good, "tls=may, " + SENT, "Trusted " + line),
        Case("may, no offer", "may", s.plain, "tls=may:none, " + SENT),
        Case("may, refused", "may", s.refuses, "tls=may:none, " + SENT),
        Case("may, self-signed", "may", s.alone, "tls=may, " + SENT, "Untrusted " + line),
        Case("may, expired", "may", s.late, "tls=may, " + SENT, "Untrusted " + line),
        Case("may, no TLS behind STARTTLS", "may", s.garbage, r"tls=may\?, " + HANDSHAKE,
             "SSL_connect error to ADDR[ADDR]:PORT: -1"),
        Case("may, injected text", "may", s.injects, r"tls=may\?, " + HANDSHAKE),
        Case("encrypt", "encrypt", good, "tls=encrypt, " + SENT, "Trusted " + line),
        Case("encrypt, no offer", "encrypt", s.plain, r"tls=!encrypt, dsn=4\.7\.4, status=deferred "
             r"\(TLS is required, but was not offered by host \S+\)"),
        Case("encrypt, refused", "encrypt", s.refuses, r"tls=!encrypt, dsn=4\.7\.0, status=deferred "
             r"\(TLS is required, but host \S+ refused to start TLS: 454 4\.7\.0 TLS not available "
             r"due to local problem\)"),
        Case("encrypt, no TLS behind STARTTLS", "encrypt", s.garbage,
             r"tls=encrypt\?, " + HANDSHAKE),
        Case("encrypt, old", "encrypt", s.old, "tls=encrypt, " + SENT,
             "Trusted TLS connection established to ADDR[ADDR]:PORT: TLSv1.2 with cipher "
             "ECDHE-RSA-AES256-GCM-SHA384 (256/256 bits)"),
        Case("protocols", "encrypt protocols=!TLSv1.3", good, "tls=encrypt, " + SENT,
             "Trusted TLS connection established to ADDR[ADDR]:PORT: TLSv1.2 with cipher "),
        Case("no protocol in common", "encrypt protocols=TLSv1.3", s.old,
             r"tls=encrypt\?, " + HANDSHAKE, "SSL_connect error to ADDR[ADDR]:PORT: -1"),
        Case("unknown protocol", "encrypt protocols=foo", good, r"tls=encrypt\?, " + HANDSHAKE,
             'warning: ADDR[ADDR]:PORT: Invalid TLS protocol list "foo": aborting TLS session'),
        Case("unknown grade", "encrypt ciphers=bad", good, r"tls=encrypt\?, " + HANDSHAKE,
             'warning: ADDR[ADDR]:PORT: invalid cipher grade: "bad"'),
        Case("bad exclusion", "encrypt exclude=!x", good, r"tls=encrypt\?, " + HANDSHAKE,
             "warning: ADDR[ADDR]:PORT: invalid unary '!+-@' in cipher exclusion: !x"),
        Case("ciphers", "encrypt protocols=TLSv1.2 ciphers=high exclude=AESGCM:CHACHA20:ARIA:AESCCM",
             good, "tls=encrypt, " + SENT),
        Case("verify", "verify match=mx.example.test", good, "tls=verify, " + SENT,
             "Verified " + line),
        Case("verify, other name", "verify match=other.test", good, "tls=!verify, " + NOT_VERIFIED,
             mismatch + "num=62:hostname mismatch", "Trusted " + line),
        Case("verify, second name", "verify match=other.test:mx.example.test", good,
             "tls=verify, " + SENT),
        Case("verify, two matches", "verify match=other.test match=.example.test", good,
             "tls=verify, " + SENT),
        Case("verify, address", "verify", good, "tls=!verify, " + NOT_VERIFIED,
             mismatch + "num=64:IP address mismatch", "Untrusted " + line),
        Case("secure, wild", "secure match=a.example.test", s.wild, "tls=secure, " + SENT),
        Case("secure", "secure", good, "tls=!secure, " + NOT_VERIFIED),
        Case("secure, self-signed", "secure match=mx.example.test", s.alone,
             "tls=!secure, " + NOT_VERIFIED,
             "certificate verification failed for ADDR[ADDR]:PORT: self-signed certificate"),
        Case("secure, expired", "secure match=mx.example.test", s.late,
             "tls=!secure, " + NOT_VERIFIED, mismatch + "certificate has expired"),
        Case("secure, no offer", "secure match=mx.example.test", s.plain,
             r"tls=!secure, dsn=4\.7\.4, .*"),
        Case("secure, anchor", f"secure match=mx.example.test tafile={ca.path('ca.pem')}", good,
             "tls=secure, " + SENT, "Verified " + line),
        Case("secure, other anchor", f"secure match=mx.example.test tafile={ca.path('alone.pem')}",
             good, "tls=!secure, " + NOT_VERIFIED),
        Case("secure, no anchor", "secure match=mx.example.test tafile=/nonexistent", good, CONFIG),
        Case("fingerprint", "fingerprint match=" + ca.fingerprint("good"), good,
             "tls=fingerprint, " + SENT, "Verified " + line),
        Case("fingerprint of a key", "fingerprint match=" + ca.fingerprint("ec") + "|" +
             ca.key_fingerprint("alone").lower().replace(":", ""), s.alone,
             "tls=fingerprint, " + SENT, "Verified " + line),
        Case("fingerprint, other", "fingerprint match=" + ca.fingerprint("ec"), good,
             "tls=!fingerprint, " + NOT_VERIFIED, mismatch + "num=65:no matching DANE TLSA records"),
        Case("fingerprint, none given", "fingerprint", good, CONFIG,
             "warning: nexthop domain PEER: configured at fingerprint security level, but with no "
             "fingerprints to match."),
        Case("dane", "dane", good, "tls=may, " + SENT, "Trusted " + line),
        Case("dane-only", "dane-only", good,
             r"tls=unknown\?, dsn=4\.7\.5, status=deferred \(no TLSA records found\)",
             "warning: TLS policy lookup for PEER/ADDR: no TLSA records found"),
        Case("servername", "encrypt servername=name.example.test", good, "tls=encrypt, " + SENT),
        Case("half-dane", "half-dane", good, CONFIG, *broken('invalid security level "half-dane"')),
        Case("unknown level", "nonsense", good, CONFIG, *broken('invalid security level "nonsense"')),
        Case("unknown attribute", "encrypt foo=bar", good, CONFIG,
             *broken('invalid attribute name: "foo"')),
        Case("no value", "encrypt junk", good, CONFIG, *broken(
            "malformed attribute/value pair \"junk\": missing '=' after attribute name")),
        Case("match without names", "encrypt match=x", good, CONFIG,
             *broken('attribute "match" invalid at security level "encrypt"')),
        Case("tafile without names", "encrypt tafile=/x", good, CONFIG,
             *broken('attribute "tafile" invalid at security level "encrypt"')),
        Case("empty match", "verify match=", good, CONFIG,
             *broken('attribute "match" has empty value')),
        Case("nothing to match", "secure match=:", good, "tls=!secure, " + NOT_VERIFIED,
             "warning: ADDR[ADDR]:PORT: could not configure peer name checks"),
        Case("twice", "encrypt ciphers=high ciphers=medium", good, CONFIG,
             *broken('attribute "ciphers" is specified multiple times')),
        Case("bad boolean", "encrypt connection_reuse=maybe", good, CONFIG,
             *broken('attribute "connection_reuse" has bad value: "maybe"')),
        Case("bad servername", "may servername=..bad", good, CONFIG,
             *broken('"servername=..bad" specifies an invalid hostname')),
        Case("none with attributes", "none ciphers=high", good, "tls=none, " + SENT,
             WHERE + 'ignoring attribute "ciphers=high" with TLS disabled'),
        Case("empty protocols", "encrypt protocols=", good, "tls=encrypt, " + SENT),
        Case("sts, other host", "secure policy_type=sts policy_domain=example.test "
             "mx_host_pattern=*.example.test match=.example.test servername=hostname", good,
             r"tls=secure\?, dsn=4\.3\.0, status=deferred "
             r"\(server unavailable or unable to receive mail\)"),
        Case("sts, its host", "secure policy_type=sts policy_domain=example.test "
             "mx_host_pattern=ADDR match=.example.test", good, "tls=!secure, " + NOT_VERIFIED),
        Case("bad policy type", "encrypt policy_type=foo", good, CONFIG,
             *broken('attribute "policy_type" has an unexpected value: "foo"')),
    ]


def addr(i):
    return f"127.0.1.{i + 1}"


def fill(text, i, case):
    return (text.replace("ADDR", addr(i)).replace("PEER", f"[{addr(i)}]:{case.server.port}")
            .replace("PORT", str(case.server.port)))


def main_cf(cases, ca):
    """What both sides are configured with; the Ith case's domain is cI.test."""
    nexthops = [f"[{addr(i)}]:{case.server.port}" for i, case in enumerate(cases)]
    policies = ", ".join(f"{{ {hop} = {fill(case.policy, i, case)} }}"
                         for i, (hop, case) in enumerate(zip(nexthops, cases)))
    transports = ", ".join(f"{{ c{i}.test = smtp:{hop} }}" for i, hop in enumerate(nexthops))
    return {"smtp_tls_policy_maps": f"inline:{{ {policies} }}",
            "transport_maps": f"inline:{{ {transports} }}",
            "smtp_tls_CAfile": ca.path("ca.pem"), "smtp_tls_loglevel": "1",
            "smtp_tls_fingerprint_digest": "sha256", "smtp_dns_support_level": "dnssec",
            "smtp_host_lookup": "dns", "mydestination": "", "mynetworks": "127.0.0.0/8",
            "smtpd_relay_restrictions": "permit_mynetworks, reject", "inet_protocols": "ipv4"}


def outcome(log, i):
    """What comes after delays= in the line of case I, or None."""
    found = re.search(rf"to=<u@c{i}\.test>.* delays=[^,]*, (.*)", log)
    return found and found[1]
