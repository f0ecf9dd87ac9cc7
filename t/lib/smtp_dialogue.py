# SPDX-License-Identifier: BSD-2-Clause
"""SMTP by hand: what is sent byte for byte, and whole replies, for tests of a server."""

import re
import socket


class Dialogue:
    """A connection; reply() is one reply as a list of lines, [] when the server has closed."""

    def __init__(self, port, greeting=True, timeout=60, client="127.0.0.1"):
        self.sock = socket.create_connection(("127.0.0.1", port), timeout, (client, 0))
        self.buffer = b""
        self.greeting = self.reply() if greeting else None

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def close(self):
        self.sock.close()

    def send(self, data):
        if isinstance(data, str):
            data = data.encode("latin-1")
        try:
            self.sock.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass  # what the server said before it closed is still to be read

    def line(self):
        """One line without its end; None at the end of input."""
        while b"\n" not in self.buffer:
            try:
                data = self.sock.recv(65536)
            except ConnectionResetError:
                data = b""
            if not data:
                return None
            self.buffer += data
        line, self.buffer = self.buffer.split(b"\n", 1)
        return line.decode("latin-1").removesuffix("\r")

    def reply(self):
        lines = []
        while True:
            line = self.line()
            if line is None:
                return lines
            lines.append(line)
            if not re.match(r"\d\d\d-", line):
                return lines

    def ask(self, line):
        """The reply to a command, its lines joined by LF."""
        self.send(line if isinstance(line, bytes) else line + "\r\n")
        return "\n".join(self.reply())

    def rest(self):
        """All that comes until the server closes."""
        lines = []
        while (line := self.line()) is not None:
            lines.append(line)
        return lines

    def quiet(self, seconds=0.3):
        """True when nothing comes for that time."""
        if self.buffer:
            return False
        old = self.sock.gettimeout()
        self.sock.settimeout(seconds)
        try:
            data = self.sock.recv(65536)
            self.buffer += data
            return False
        except (TimeoutError, socket.timeout):
            return True
        finally:
            self.sock.settimeout(old)

    def tls(self, context, name="mail.example.test"):
        self.sock = context.wrap_socket(self.sock, server_hostname=name)
        self.buffer = b""
