# SPDX-License-Identifier: BSD-2-Clause
"""An SMTP (LMTP) server that says what a script says, for tests of the client.

    with ScriptedServer({"AUTH": ["334 VXNlcm5hbWU6", "334 UGFzc3dvcmQ6", "535 5.7.8 no"]}) as s:
        ...
        s.sessions            # what clients said, a list of lines each
        s.messages            # lines of messages, a list each, as they came

A script maps verbs, "CONNECT" and "." to a reply or a list of replies; None as a reply hangs up.
With a list the client's next lines get the further replies, whatever they are.  "EHLO" is a list of
what is offered.
"""

import socket
import threading


class ScriptedServer:
    DEFAULT = {"CONNECT": "220 mx.test ESMTP", "EHLO": ["AUTH PLAIN LOGIN"], "DATA": "354 go on",
               "QUIT": "221 2.0.0 bye"}

    def __init__(self, script=None, path=None):
        self.script = {**self.DEFAULT, **(script or {})}
        self.sessions, self.messages = [], []
        if path:
            self.listener = socket.socket(socket.AF_UNIX)
            self.listener.bind(path)
        else:
            self.listener = socket.create_server(("127.0.0.1", 0))
            self.port = self.listener.getsockname()[1]
        self.listener.listen(50)
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
        self.listener.close()

    def _accept(self):
        try:
            while True:
                conn, _ = self.listener.accept()
                heard = []
                self.sessions.append(heard)
                threading.Thread(target=self._serve, args=(conn, heard), daemon=True).start()
        except OSError:
            pass

    def _reply(self, verb):
        if verb in ("EHLO", "LHLO"):
            lines = ["mx.test", *self.script["EHLO"]]
            return "\r\n".join(f"250{'-' if i < len(lines) - 1 else ' '}{line}"
                               for i, line in enumerate(lines))
        return self.script.get(verb, "250 2.0.0 Ok")

    def _serve(self, conn, heard):
        try:
            with conn, conn.makefile("rwb") as f:
                self._talk(f, heard)
        except OSError:
            pass

    def _talk(self, f, heard):
        def say(reply):
            if reply is not None:
                f.write(reply.encode() + b"\r\n")
                f.flush()
            return reply is not None

        if not say(self._reply("CONNECT")):
            return
        in_data, owed = False, []
        for raw in f:
            line = raw.decode("utf-8", "replace").rstrip("\r\n")
            if in_data:
                self.messages[-1].append(line)
                if line == ".":
                    self.messages[-1].pop()
                    in_data = False
                    if not say(self._reply(".")):
                        return
                continue
            heard.append(line)
            verb = line.split(" ")[0].upper()
            reply = owed.pop(0) if owed else self._reply(verb)
            if isinstance(reply, list):
                reply, owed = reply[0], reply[1:]
            if not say(reply):
                return
            in_data = verb == "DATA" and reply.startswith("354")
            if in_data:
                self.messages.append([])
            if verb == "QUIT" and not owed:
                return
