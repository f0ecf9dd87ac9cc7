# SPDX-License-Identifier: BSD-2-Clause
"""Several throw-away hosts on one network, for tests that need root: each sees a copy-on-write view
of the root directory and has mount, network, PID, IPC and host name namespaces of its own.  There is no way out of the network.

    hostroot.enter()                    # the machine that the hosts stand in
    net = Network("172.16.108")         # a bridge; the test itself is .254 on it
    ours = layer("ours", "make install")        # what a command does to a root, for hosts to stand on
    a = Host(net, "mta1", 101, ours)
    a.sh("postfix start")               # as hostroot.sh, but in there
    a.path("/var/log/maillog")          # a file of its, as the test sees it

All end with the test.
"""

import os
import subprocess

from instance import wait_until


def run(*command):
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


BASE = "/run/hosts"


def _base(name):
    """Its directories; those of an overlay cannot lie on one themselves."""
    base = f"{BASE}/{name}"
    os.makedirs(base)
    run("mount", "-t", "tmpfs", "none", base)
    for part in ("upper", "work", "root"):
        os.mkdir(f"{base}/{part}")
    return base


def _mounts(base, layers):
    lower = ":".join([*layers, "/"])
    return f"""set -e
mount -t overlay overlay -o lowerdir={lower},upperdir={base}/upper,workdir={base}/work {base}/root
mount -t proc proc {base}/root/proc
mount --rbind /dev {base}/root/dev
mount --rbind /sys {base}/root/sys
mount -t tmpfs none {base}/root/run
mount -t tmpfs none {base}/root/tmp
chmod 1777 {base}/root/tmp
for dir in "$PC_SRCDIR" "$PC_BUILDDIR" "$PC_STAGE"; do
	case $dir in /tmp/*) mkdir -p {base}/root"$dir"; mount --bind "$dir" {base}/root"$dir";; esac
done
"""


def layer(name, command, *layers):
    """The directory with what the shell command changes in a root of LAYERS over this one."""
    base = _base(name)
    done = subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "sh", "-c",
         _mounts(base, layers) + f'exec chroot {base}/root sh -c "$0" 2>&1', command],
        stdout=subprocess.PIPE, text=True, timeout=600)
    if done.returncode != 0:
        raise RuntimeError(f"the layer {name}: {done.stdout}")
    return base + "/upper"


class Network:
    """A bridge in the test's own network namespace."""

    def __init__(self, prefix):
        self.prefix = prefix
        run("ip", "link", "add", "br0", "type", "bridge")
        run("ip", "addr", "add", f"{prefix}.254/24", "dev", "br0")
        run("ip", "link", "set", "br0", "up")


class Host:
    """Runs until the test ends."""

    def __init__(self, net, name, number, *layers):
        self.name, self.address, self.base = name, f"{net.prefix}.{number}", _base(name)
        inside = _mounts(self.base, layers) + f"""
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

    def end(self):
        """All that runs there ends; the address is free again."""
        self.process.kill()
        self.process.wait()
        run("umount", "-l", self.base)
        os.rmdir(self.base)

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
