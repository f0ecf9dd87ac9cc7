# SPDX-License-Identifier: BSD-2-Clause
"""A suite that is only qmgr, between an intake, an agent and a bounce service of the test's own
(t/queue_tool.c)."""

import os
import socket
import subprocess

from instance import Instance, wait_until

TOOL = os.path.join(os.environ.get("PC_TOOLS", os.environ["PC_BUILDDIR"]), "t", "queue_tool")
MAIN = {
    "default_transport": "test:here",
    "virtual_mailbox_domains": "",
    "minimal_backoff_time": "1s",
    "maximal_backoff_time": "1s",
    "queue_run_delay": "1s",
    "transport_retry_time": "1s",
    # However slow the machine is, a delivery is fast enough to be waited for.
    "postcote_deliver_time_limit_ms": "10000",
    "transport_maps": "inline:{ {err.test=error:5.1.2 gone away} {void.test=nothere:} "
                      "{sink.test=discard:} {later.test=retry:4.7.9 not yet} }",
}


class Queue(Instance):
    """A suite that is only qmgr; agent and bounce are ours.  SERVICES: more lines of master.cf; AGENT:
    the transport "test" is served."""

    def __init__(self, services="", agent=True, **main):
        super().__init__(main=dict(MAIN, **main))
        path = self.path("etc/postfix/master.cf")
        keep = ("qmgr", "showq", "flush", "error", "retry", "discard")
        with open(path, encoding="utf-8") as f:
            lines = [l for l in f if l.split() and l.split()[0] in keep]
        with open(path, "w", encoding="utf-8") as f:
            f.writelines(lines + [services])
        self.spool = self.path("spool")
        self.children = []
        self.number = 0
        self.has_agent = agent

    def start(self):
        result = self.command("postfix", "start")
        if result.returncode != 0:
            raise RuntimeError(f"postfix start: {result.stdout}{result.stderr}\n{self.log()}")
        wait_until(lambda: os.path.exists(self.path("spool/public/qmgr")), "public/qmgr")
        if self.has_agent:
            self.serve("agent", "test")
        self.serve("bounce", "bounce")

    def stop(self):
        return self.command("postfix", "stop")

    def close(self):
        for child in self.children:
            child.kill()
            child.wait()
        super().close()

    def serve(self, what, name):
        path = self.path("spool/private", name)
        # pylint: disable=consider-using-with
        child = subprocess.Popen(self.as_user([TOOL, what, path, self.path("log", name + ".txt")]),
                                 stderr=subprocess.DEVNULL)
        self.children.append(child)

        def listens():
            with socket.socket(socket.AF_UNIX) as s:
                return s.connect_ex(path) == 0
        wait_until(listens, f"{name} listens")
        return child

    def inject(self, sender, *rcpts, options=(), wait=True):
        self.number += 1
        ident = "%05XAB%05d" % (self.number, self.number)
        argv = [TOOL, "inject", *options, self.spool, ident, sender, *rcpts]
        # pylint: disable=consider-using-with
        child = subprocess.Popen(self.as_user(argv), stdout=subprocess.PIPE, text=True)
        if not wait:
            return ident, child
        said = child.communicate(timeout=60)[0].strip()
        return ident, said

    def lines(self, name):
        try:
            with open(self.path("log", name + ".txt"), encoding="utf-8") as f:
                return f.read().splitlines()
        except FileNotFoundError:
            return []

    def files(self):
        """{id: queue} of all messages that have a name."""
        found = {}
        for queue in ("incoming", "active", "deferred", "hold", "corrupt"):
            for _dir, _dirs, files in os.walk(os.path.join(self.spool, queue)):
                for name in files:
                    found[name] = queue
        return found

    def is_removed(self, ident):
        return f"{ident}: removed" in self.log()

    def qmgr_pid(self):
        return wait_until(lambda: self.pids("qmgr"), "qmgr runs")[0]
