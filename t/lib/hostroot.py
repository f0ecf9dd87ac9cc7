# SPDX-License-Identifier: BSD-2-Clause
"""A throw-away host for tests that need root: a copy-on-write view of this machine's root in a
mount, network, PID and IPC namespace of its own, where the suite is installed for real.

    hostroot.enter()            # returns inside; the script starts again in there
    ...

Nothing that happens inside is seen outside, and nothing is left when the script ends.
"""

import os
import subprocess
import sys
import tempfile

import tap

_INSIDE = "PC_HOSTROOT"


def private_mounts_or_skip():
    """Skips the whole test where mounts of its own cannot be made."""
    tried = subprocess.run(["unshare", "--mount", "--propagation", "private", "true"],
                           stderr=subprocess.PIPE, text=True)
    if tried.returncode != 0:
        tap.skip_all(f"no mounts of its own here (in a chroot there are none): {tried.stderr.strip()}")


def enter():
    """Returns inside the throw-away host; skips the whole test where that cannot be made."""
    if os.environ.get(_INSIDE):
        return
    if os.geteuid() != 0:
        tap.skip_all("needs root, for namespaces and accounts")
    private_mounts_or_skip()
    base = tempfile.mkdtemp(prefix="postcote-host-")
    os.environ[_INSIDE] = base
    script = os.path.abspath(sys.argv[0])
    inside = f"""
set -e
mount -t tmpfs none {base}
mkdir {base}/upper {base}/work {base}/root
mount -t overlay overlay -o lowerdir=/,upperdir={base}/upper,workdir={base}/work {base}/root || {{
	echo '1..0 # SKIP overlay file systems are not to be had here'
	exit 0
}}
mount -t proc proc {base}/root/proc
mount --rbind /dev {base}/root/dev
mount --rbind /sys {base}/root/sys
mount -t tmpfs none {base}/root/run
mount -t tmpfs none {base}/root/tmp
chmod 1777 {base}/root/tmp
for dir in "$PC_SRCDIR" "$PC_BUILDDIR" "$PC_STAGE"; do
	case $dir in /tmp/*) mkdir -p {base}/root"$dir"; mount --bind "$dir" {base}/root"$dir";; esac
done
ip link set lo up
exec chroot {base}/root "$@"
"""
    status = subprocess.run(
        ["unshare", "--mount", "--net", "--ipc", "--pid", "--fork", "--kill-child",
         "--propagation", "private", "sh", "-c", inside, "sh", sys.executable, script]).returncode
    os.rmdir(base)
    sys.exit(status)


def sh(command, **kwargs):
    """Runs a shell command; returns CompletedProcess with text."""
    kwargs.setdefault("timeout", 120)
    return subprocess.run(["sh", "-c", command], text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, **kwargs)


def install_command():
    """make install of a build with the prefix /usr, as a package would have it."""
    return (f"rm -rf /etc/postfix /var/spool/postfix /var/lib/postfix && "
            f"make -s -C {os.environ['PC_BUILDDIR']} install prefix=/usr exec_prefix=/usr")


def install():
    done = sh(install_command(), timeout=300)
    if done.returncode != 0:
        raise RuntimeError(f"make install: {done.stdout}")
