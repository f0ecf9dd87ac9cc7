# SPDX-License-Identifier: BSD-2-Clause
"""A server that takes every message and keeps its bytes as they came over the wire."""

import re
import socket
import threading
import time


class ContentSink:
    """Announces FEATURES (EHLO keywords).  messages: (MAIL line, RCPT lines, bytes up to the final
    dot, dots as they came), one for each that was accepted."""

    def __init__(self, features=(), host="127.0.0.1"):
        self.features = list(features)
        self.messages = []
        self.cut_off = 0            # transactions that ended within DATA
        self.changed = threading.Condition()
        self.listener = socket.create_server((host, 0), backlog=50)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def wait(self, count, what="messages", seconds=30):
        """The COUNT messages that are to come; all of them."""
        deadline = time.monotonic() + seconds
        with self.changed:
            while len(self.messages) < count:
                if not self.changed.wait(deadline - time.monotonic()):
                    raise TimeoutError(f"{len(self.messages)} of {count} {what} came")
            return list(self.messages)

    def _accept(self):
        while True:
            try:
                peer, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(peer,), daemon=True).start()

    def _serve(self, peer):
        with peer, peer.makefile("rwb") as stream:
            try:
                self._dialogue(stream)
            except (OSError, ValueError):
                pass

    def _dialogue(self, stream):
        def say(text):
            stream.write(text.encode() + b"\r\n")
            stream.flush()

        mail, rcpts, chunks = "", [], b""
        say("220 sink.test ESMTP")
        while line := stream.readline():
            command = line.decode("latin-1").strip()
            verb = command.split(" ")[0].upper()
            if verb in ("EHLO", "LHLO"):
                lines = ["sink.test", *self.features]
                for at, text in enumerate(lines):
                    say(f"250{' ' if at == len(lines) - 1 else '-'}{text}")
            elif verb == "MAIL":
                mail, rcpts, chunks = command, [], b""
                say("250 2.1.0 Ok")
            elif verb == "RCPT":
                rcpts.append(command)
                say("250 2.1.5 Ok")
            elif verb == "DATA":
                say("354 go on")
                self._keep(mail, rcpts, self._data(stream))
                say("250 2.0.0 Ok")
            elif verb == "BDAT":
                size, last = re.fullmatch(r"BDAT (\d+)( LAST)?", command, re.I).groups()
                chunks += stream.read(int(size))
                if last:
                    self._keep(mail, rcpts, chunks)
                say("250 2.0.0 Ok")
            elif verb == "QUIT":
                say("221 2.0.0 Bye")
                return
            else:
                say("250 2.0.0 Ok")

    def _data(self, stream):
        """Up to the line with the dot alone; only CRLF ends a line."""
        data = b""
        while not (data == b".\r\n" or data.endswith(b"\r\n.\r\n")):
            line = stream.readline()
            if not line:
                with self.changed:
                    self.cut_off += 1
                    self.changed.notify_all()
                raise ValueError("cut off")
            data += line
        return data[:-3]

    def _keep(self, mail, rcpts, data):
        with self.changed:
            self.messages.append((mail, rcpts, data))
            self.changed.notify_all()
