# SPDX-License-Identifier: BSD-2-Clause
"""An SMTP or LMTP server that says what a test tells it to, for tests of a client.

    with Server({"RCPT TO:<no@": "550 5.1.1 no such user"}) as server:
        ... server.port, server.sessions[0].lines, server.messages ...

Commands are looked up by the longest key of SCRIPT that they begin with (case is ignored).  A value
is a reply (lines with "\\n" between them; sent as it is when bytes), a list of replies for the first,
second, ... time, of which the last one stays, a function of the session and the line that returns
one, or one of CLOSE, HANG and RESET.  "" is the greeting, "." the end of a message, "BDAT" each
chunk.  None: nothing is said.  In LMTP "." answers once for each recipient that was taken.
"""

import socket
import ssl
import struct
import threading
import time

CLOSE, HANG, RESET = object(), object(), object()

EHLO = "250-server.test\n250-PIPELINING\n250-SIZE\n250-8BITMIME\n250-DSN\n250 ENHANCEDSTATUSCODES"
DEFAULT = {
    "": "220 server.test ESMTP", "EHLO": EHLO, "LHLO": EHLO, "HELO": "250 server.test",
    "MAIL": "250 2.1.0 Ok", "RCPT": "250 2.1.5 Ok", "DATA": "354 go ahead",
    ".": "250 2.0.0 Ok: queued as TEST", "BDAT": "250 2.0.0 chunk", "RSET": "250 2.0.0 Ok",
    "QUIT": "221 2.0.0 Bye", "NOOP": "250 2.0.0 Ok", "STARTTLS": "220 2.0.0 Ready",
    "XFORWARD": "250 2.0.0 Ok",
}


class Session:
    """One connection: LINES (str) are the commands, WROTE the segments of the client's bytes."""

    def __init__(self, server, sock):
        self.server, self.sock = server, sock
        self.lines, self.wrote, self.buffer, self.last = [], [], b"", b""
        self.recipients, self.closed = 0, threading.Event()
        self.peer = sock.getpeername()

    def fill(self):
        data = self.sock.recv(65536)
        self.wrote.append(data)
        self.buffer += data
        return bool(data)

    def line(self):
        while b"\n" not in self.buffer:
            if not self.fill():
                return None
        line, _, self.buffer = self.buffer.partition(b"\n")
        return line

    def reply(self, value, line=""):
        """False when the session is over."""
        if callable(value):
            value = value(self, line)
        if value is HANG:
            self.server.stopped.wait(120)
        if value is RESET:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if value in (CLOSE, HANG, RESET):
            return False
        if isinstance(value, str):
            value = value.replace("\n", "\r\n").encode() + b"\r\n"
        if value:
            self.sock.sendall(value)
        return True

    def start_tls(self):
        self.sock = self.server.tls.wrap_socket(self.sock, server_side=True)
        self.buffer = b""

    def body(self):
        """Up to the dot, as it came on the wire; None when the client went away."""
        while not (self.buffer.startswith(b".\r\n") or b"\r\n.\r\n" in self.buffer):
            if not self.fill():
                self.server.cut.append(self.buffer)
                return None
        data, _, rest = (b"\r\n" + self.buffer).partition(b"\r\n.\r\n")
        self.buffer = rest
        return data[2:] + b"\r\n" if len(data) > 2 else b""

    def chunk(self, size):
        while len(self.buffer) < size:
            if not self.fill():
                return None
        data, self.buffer = self.buffer[:size], self.buffer[size:]
        return data

    def message(self):
        data = self.body()
        if data is None:
            return False
        self.server.messages.append(data)
        self.last = data  # for a "." that is a function
        return all([self.reply(self.server.answer("."))
                    for _ in range(self.recipients if self.server.lmtp else 1)])

    def command(self, line):
        value = self.server.answer(line)
        if callable(value):
            value = value(self, line)
        verb = line.upper()
        if verb.startswith("BDAT"):
            words = verb.split()
            data = self.chunk(int(words[1]))
            if data is None:
                return False
            self.server.chunks.append(data)
            last = words[-1] == "LAST"
            if last:
                self.server.messages.append(b"".join(self.server.chunks))
                self.server.chunks.clear()
            return all([self.reply(value, line) for _ in range(
                self.recipients if self.server.lmtp and last else 1)])
        if not self.reply(value, line):
            return False
        accepted = isinstance(value, (str, bytes)) and value[:1] in ("2", "3", b"2", b"3")
        if verb.startswith("RCPT") and accepted:
            self.recipients += 1
        if verb.startswith(("MAIL", "RSET")) and accepted:
            self.recipients = 0
        if verb.startswith("STARTTLS") and accepted and self.server.tls:
            self.start_tls()
        if verb.startswith("DATA") and accepted:
            return self.message()
        return not verb.startswith("QUIT")

    def run(self):
        try:
            if self.server.wrapper:
                self.start_tls()
            if not self.reply(self.server.answer("")):
                return
            while (line := self.line()) is not None:
                text = line.rstrip(b"\r").decode("utf-8", "surrogateescape")
                self.lines.append(text)
                if not self.command(text):
                    return
        except (OSError, ssl.SSLError) as error:
            self.server.errors.append(str(error))
        finally:
            self.sock.close()
            self.closed.set()


class Server:
    """TLS: an ssl.SSLContext; WRAPPER: without STARTTLS.  PATH: a UNIX socket instead of a port."""

    def __init__(self, script=None, lmtp=False, tls=None, wrapper=False, address="127.0.0.1", path=None,
                 port=0):
        self.script = {**DEFAULT, **(script or {})}
        self.lmtp, self.tls, self.wrapper = lmtp, tls, wrapper
        self.sessions, self.messages, self.chunks = [], [], []
        self.errors, self.cut, self.counts = [], [], {}
        self.stopped = threading.Event()
        if path:
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.bind(path)
            self.socket.listen(100)
        else:
            self.socket = socket.create_server(
                (address, port), backlog=100,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET)
            self.port = self.socket.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.stopped.set()
        self.socket.close()

    def answer(self, line):
        keys = [key for key in self.script if line.upper().startswith(key.upper()) and
                (key != "" or line == "") and (key != "." or line == ".")]
        if not keys:
            return "500 5.5.2 unknown command"
        key = max(keys, key=len)
        value = self.script[key]
        if isinstance(value, list):
            count = self.counts[key] = self.counts.get(key, 0) + 1
            value = value[min(count, len(value)) - 1]
        return value

    def _accept(self):
        while not self.stopped.is_set():
            try:
                sock, _ = self.socket.accept()
            except OSError:
                return
            session = Session(self, sock)
            self.sessions.append(session)
            threading.Thread(target=session.run, daemon=True).start()

    def lines(self):
        """All commands of all sessions."""
        return [line for session in self.sessions for line in session.lines]

    def wait(self, condition, seconds=60):
        deadline = time.monotonic() + seconds
        while not condition(self):
            if time.monotonic() > deadline:
                raise TimeoutError(f"the server saw {self.lines()} {self.messages}")
            time.sleep(0.01)
