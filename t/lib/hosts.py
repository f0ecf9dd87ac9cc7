# SPDX-License-Identifier: BSD-2-Clause
"""Several throw-away hosts on one network, for tests that need root: each sees a copy-on-write view
of the root directory and has mount, network, PID, IPC and host name namespaces of its own.

    hostroot.enter()                    # the machine that the hosts stand in
    net = Network("172.16.108")         # a bridge; the test itself is .254 on it
    a = Host(net, "mta1", 101)
    a.sh("postfix start")               # as hostroot.sh, but in there
    a.path("/var/log/maillog")          # a file of its, as the test sees it

What the test installed in its own root before a host was made is there in the host too.  All end
with the test.
"""

import os
import subprocess

from instance import wait_until


def run(*command):
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


class Network:
    """A bridge in the test's own network namespace."""

    def __init__(self, prefix):
        self.prefix = prefix
        run("ip", "link", "add", "br0", "type", "bridge")
        run("ip", "addr", "add", f"{prefix}.254/24", "dev", "br0")
        run("ip", "link", "set", "br0", "up")


class Host:
    """Runs until the test ends."""

    def __init__(self, net, name, number):
        self.name, self.address = name, f"{net.prefix}.{number}"
        self.base = f"/run/hosts/{name}"
        os.makedirs(self.base)
        # The directories of the overlay cannot lie on one themselves.
        run("mount", "-t", "tmpfs", "none", self.base)
        for part in ("upper", "work", "root"):
            os.mkdir(f"{self.base}/{part}")
        inside = f"""
set -e
mount -t overlay overlay -o lowerdir=/,upperdir={self.base}/upper,workdir={self.base}/work {self.base}/root
mount -t proc proc {self.base}/root/proc
mount --rbind /dev {self.base}/root/dev
mount --rbind /sys {self.base}/root/sys
mount -t tmpfs none {self.base}/root/run
mount -t tmpfs none {self.base}/root/tmp
chmod 1777 {self.base}/root/tmp
hostname {name}
ip link set lo up
echo ready
exec chroot {self.base}/root sh -c 'while :; do sleep 1000; done'
"""
        # A PID namespace ends with its first process, which ends with the test's.
        self.process = subprocess.Popen(
            ["unshare", "--mount", "--net", "--ipc", "--uts", "--pid", "--fork", "--kill-child",
             "--propagation", "private", "sh", "-c", inside], stdout=subprocess.PIPE, text=True)
        if self.process.stdout.readline() != "ready\n":
            raise RuntimeError(f"the host {name} did not start")
        # unshare's child is the host's process 1.
        path = f"/proc/{self.process.pid}/task/{self.process.pid}/children"
        with open(path, encoding="ascii") as f:
            self.pid = f.read().split()[0]
        self._join(net, name)
        wait_until(lambda: self.sh("pwd").stdout == "/\n", f"{name}'s root")

    def _join(self, net, name):
        run("ip", "link", "add", f"v-{name}", "type", "veth", "peer", "name", "eth0", "netns", self.pid)
        run("ip", "link", "set", f"v-{name}", "master", "br0", "up")
        self._enter("-n", "ip", "addr", "add", f"{self.address}/24", "dev", "eth0")
        self._enter("-n", "ip", "link", "set", "eth0", "up")
        self._enter("-n", "ip", "route", "add", "default", "via", f"{net.prefix}.254")

    def _enter(self, *command):
        run("nsenter", "-t", self.pid, *command)

    def sh(self, command, **kwargs):
        """Runs a shell command in the host; returns CompletedProcess with text."""
        kwargs.setdefault("timeout", 120)
        return subprocess.run(
            ["nsenter", "-t", self.pid, "-m", "-n", "-i", "-u", "-p", "-r", "-w", "sh", "-c", command],
            text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
            **kwargs)

    def path(self, name):
        return f"/proc/{self.pid}/root{name}"

    def read(self, name):
        with open(self.path(name), encoding="utf-8", errors="replace") as f:
            return f.read()

    def write(self, name, text, mode=0o644):
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        with open(self.path(name), "w", encoding="utf-8") as f:
            f.write(text)
        os.chmod(self.path(name), mode)
