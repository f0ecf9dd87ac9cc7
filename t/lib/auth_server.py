# SPDX-License-Identifier: BSD-2-Clause
"""A Dovecot auth server as small as can be: who says "NAME" with the password "NAME" is NAME."""

import base64
import os
import socket
import threading

HELLO = b"VERSION\t1\t2\nMECH\tPLAIN\tplaintext\nSPID\t1\nCUID\t1\nCOOKIE\t" + b"0" * 32 + b"\nDONE\n"


def plain(user, password=None):
    """The initial response of AUTH PLAIN."""
    return base64.b64encode(f"\0{user}\0{user if password is None else password}".encode()).decode()


class AuthServer:
    """Listens on the sockets PATHS until close()."""

    def __init__(self, *paths):
        self.sockets = []
        for path in paths:
            listener = socket.socket(socket.AF_UNIX)
            listener.bind(path)
            os.chmod(path, 0o666)
            listener.listen()
            self.sockets.append(listener)
            threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def _accept(self, listener):
        try:
            while True:
                conn, _ = listener.accept()
                threading.Thread(target=self._serve, args=(conn,), daemon=True).start()
        except OSError:
            pass  # closed

    @staticmethod
    def _serve(conn):
        with conn, conn.makefile("rb") as lines:
            conn.sendall(HELLO)
            for line in lines:
                fields = line.rstrip(b"\n").split(b"\t")
                if fields[0] != b"AUTH":
                    continue
                given = [f[5:] for f in fields if f.startswith(b"resp=")]
                _, user, password = base64.b64decode(given[0]).split(b"\0")
                word = b"OK" if user == password else b"FAIL"
                conn.sendall(b"%s\t%s\tuser=%s\n" % (word, fields[1], user))

    def close(self):
        for listener in self.sockets:
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()
