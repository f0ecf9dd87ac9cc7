#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""postmulti: several instances, each on a port of its own."""

import json
import os
import re
import shutil
import smtplib
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import instance  # noqa: E402
import tap  # noqa: E402


class Several(instance.Instance):
    """The primary instance, which is not started by itself, and a prototype for more."""

    def __init__(self):
        super().__init__()
        self.second_port = instance.free_ports(1)[0]
        os.mkdir(self.path("meta"))
        shutil.copy(self.path("etc/postfix/main.cf"), self.path("meta/main.cf.proto"))
        with open(self.path("etc/postfix/master.cf"), encoding="utf-8") as f:
            text = f.read().replace(str(self.smtp_port), str(self.second_port))
        text = re.sub(rf"^127.0.0.1:{self.submission_port}.*\n(?: .*\n)*", "", text, flags=re.M)
        with open(self.path("meta/master.cf.proto"), "w", encoding="utf-8") as f:
            f.write(text)
        with open(self.path("etc/postfix/main.cf"), "a", encoding="utf-8") as f:
            # pop3 and authd are not part of this.
            f.write(f"meta_directory = {self.path('meta')}\nsmtpd_sasl_auth_enable = no\n"
                    f"command_directory = {os.path.join(instance.stage(), 'sbin')}\n")
        self.own(self.dir)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.command("postmulti", "-p", "stop")
        super().__exit__(*exc)

    def multi(self, *args):
        return self.command("postmulti", *args)

    def fails(self, message, *args):
        got = self.multi(*args)
        tap.equal((got.returncode, got.stdout), (1, ""), f"{args}: status")
        tap.like(got.stderr, f"^postmulti: fatal: {message}", f"{args}: message")

    def works(self, *args, out=""):
        got = self.multi(*args)
        tap.equal((got.returncode, got.stdout, got.stderr), (0, out, ""), f"{args}")

    def main(self, name="postfix"):
        with open(self.path("etc", name, "main.cf"), encoding="utf-8") as f:
            return dict(re.findall(r"^(\w+) *= *(.*)$", f.read(), re.M))

    def greets(self, port):
        try:
            with smtplib.SMTP("127.0.0.1", port, timeout=10):
                return True
        except OSError:
            return False


def line(name, group, enabled, path):
    return f"{name:15} {group:15} {enabled:9} {path}\n"


def test_edits(m):
    primary = m.path("etc/postfix")
    second = m.path("etc/postfix-a")
    create = ("-e", "create", "-I", "postfix-a", "-G", "g1", f"queue_directory={m.path('spool-a')}",
              f"data_directory={m.path('data-a')}")
    m.works("-l", out=line("-", "-", "n", primary))
    m.fails("multi_instance_wrapper is empty, run 'postmulti -e init' first", *create)
    tap.ok(not os.path.exists(second), "nothing is made before -e init")
    m.works("-e", "init")
    tap.equal((m.main()["multi_instance_enable"], m.main()["multi_instance_wrapper"]),
              ("yes", "${command_directory}/postmulti -p --"), "-e init")
    m.works(*create)
    main = m.main("postfix-a")
    tap.equal([main.get(n) for n in ("queue_directory", "data_directory", "multi_instance_name",
                                     "multi_instance_group", "master_service_disable",
                                     "authorized_submit_users")],
              [m.path("spool-a"), m.path("data-a"), "postfix-a", "g1", "inet", ""], "-e create: main.cf")
    tap.equal(m.main()["multi_instance_directories"], second, "-e create: the primary one knows")
    both = line("-", "-", "y", primary) + line("postfix-a", "g1", "n", second)
    m.works("-l", out=both)
    m.works("-l", "-R", out="".join(reversed(both.splitlines(True))))
    m.works("-l", "-g", "g1", out=line("postfix-a", "g1", "n", second))
    m.works("-l", "-i", "nosuch")
    listed = [json.loads(text) for text in m.multi("-lj").stdout.splitlines()]
    tap.equal(listed[1], {"name": "postfix-a", "group": "g1", "enabled": "n", "config_directory": second},
              "-lj")
    m.works("-e", "assign", "-i", "postfix-a", "-G", 'g"1\\')
    listed = [json.loads(text) for text in m.multi("-lj").stdout.splitlines()]
    tap.equal(listed[1]["group"], 'g"1\\', "-lj of a name with a quote")
    m.works("-e", "assign", "-i", "postfix-a", "-I", "postfix-b", "-G", "-")
    m.works("-l", "-i", "postfix-b", out=line("postfix-b", "-", "n", second))
    m.works("-e", "enable", "-i", second)
    m.fails("Cannot remove enabled instances", "-e", "destroy", "-i", "postfix-b")
    m.works("-e", "disable", "-i", "postfix-b")
    m.works("-e", "deport", "-i", "postfix-b")
    tap.equal((m.main()["multi_instance_directories"], m.main()["alternate_config_directories"]),
              ("", second), "-e deport")
    m.works("-e", "import", f"config_directory={second}")
    tap.equal((m.main()["multi_instance_directories"], m.main()["alternate_config_directories"]),
              (second, ""), "-e import")
    m.works("-e", "destroy", "-i", "postfix-b")
    tap.equal([os.path.exists(p) for p in (second, m.path("spool-a"), m.path("data-a"))], [False] * 3,
              "-e destroy of one that was never used leaves nothing")
    m.works(*create)


def test_refused(m):
    second = m.path("etc/postfix-a")
    before = m.main()
    for message, args in (
            ("Specify exactly one of '-e', '-l', '-p', '-x'", ()),
            ("Specify exactly one of", ("-l", "-p")),
            ("Specify at most one '-I' option", ("-e", "create", "-I", "a", "-I", "b")),
            ("New instance name must start with 'postfix-'", ("-e", "create", "-I", "bad")),
            ("Missing config_directory parameter value", ("-e", "import")),
            ("Malformed parameter setting 'x'", ("-e", "create", "-I", "postfix-c", "x")),
            ("'x' is not a parameter", ("-e", "create", "-I", "postfix-c", "x=y")),
            ("new config_directory=.* is already in use by instance",
             ("-e", "create", "-I", "postfix-c", f"config_directory={second}")),
            ("new queue_directory=.* is already in use by instance",
             ("-e", "create", "-I", "postfix-c", f"queue_directory={m.path('spool')}")),
            ("instance .* multi_instance_name=postfix-a conflicts with",
             ("-e", "create", "-I", "postfix-a", f"config_directory={m.path('etc/postfix-c')}")),
            ("'.*' lacks a main.cf file", ("-e", "import", f"config_directory={m.path('etc')}")),
            ("Parameter overrides not valid with '-e init'", ("-e", "init", "x=y")),
            ("Parameter overrides not valid with '-e enable'", ("-e", "enable", "-i", "-", "x=y")),
            ("Select an instance via '-i name'", ("-e", "enable")),
            ("No instance named nosuch", ("-e", "enable", "-i", "nosuch")),
            ("Cannot remove the primary instance", ("-e", "destroy", "-i", "-")),
            ("Cannot remove the primary instance", ("-e", "deport", "-i", "-")),
            ("Specify new instance name or group", ("-e", "assign", "-i", "-")),
            ("Invalid '-e' edit action 'bogus'", ("-e", "bogus")),
            ("Command required with '-p' or '-x' option", ("-p",)),
            ("Command not allowed with '-l'", ("-l", "x"))):
        m.fails(message, *args)
    tap.equal(m.main(), before, "nothing was edited")


def test_commands(m):
    primary, second = m.path("etc/postfix"), m.path("etc/postfix-a")
    m.works("-x", "sh", "-c", "echo $MAIL_CONFIG $multi_instance_name",
            out=f"{primary}\n{second} postfix-a\n")
    m.works("-xR", "sh", "-c", "echo $config_directory", out=f"{second}\n{primary}\n")
    m.works("-x", "-g", "g1", "sh", "-c", "echo $MAIL_CONFIG", out=f"{second}\n")
    m.works("-x", "-i", "-", "postconf", "-h", "queue_directory", out=m.path("spool") + "\n")
    tap.equal(m.multi("-x", "sh", "-c", "exit 3").returncode, 1, "one that fails is enough")
    m.works("-x", "-i", "nosuch", "false")
    got = m.multi("-p", "status")
    tap.equal((got.returncode, len(re.findall("is not running", got.stderr))), (1, 2), "-p status: none runs")


def test_start_and_stop(m):
    m.command("postconf", "-c", m.path("etc/postfix-a"), "-X", "master_service_disable")
    got = m.multi("-p", "start")
    tap.equal(got.returncode, 0, "-p start")
    instance.wait_until(lambda: m.greets(m.smtp_port), "the primary one")
    tap.ok(not m.greets(m.second_port), "one that is disabled is not started")
    m.works("-e", "enable", "-i", "postfix-a")
    tap.equal(m.multi("-p", "-i", "postfix-a", "start").returncode, 0, "-p -i start")
    instance.wait_until(lambda: m.greets(m.second_port), "the second one")
    got = m.multi("-p", "status")
    tap.equal((got.returncode, len(re.findall("is running: PID", got.stderr))), (0, 2), "-p status: both run")
    with smtplib.SMTP("127.0.0.1", m.second_port, timeout=30) as smtp:
        smtp.sendmail("a@example.test", ["bob@example.test"], "Subject: second\r\n\r\nx\r\n")
    tap.equal(len(m.wait_for_mail("bob")), 1, "a message by way of the second one")
    tap.like(m.log(), r" postfix-a/smtpd\[", "it logs under its name")
    m.works("-e", "disable", "-i", "postfix-a")
    m.fails("Instance '.*' is not stopped", "-e", "deport", "-i", "postfix-a")
    tap.like(m.log(), r" postfix/postmulti\[\d+\]: fatal: Instance '.*' is not stopped",
             "what it says is logged, too")
    m.works("-e", "enable", "-i", "postfix-a")
    tap.equal(m.multi("-p", "reload").returncode, 0, "-p reload")
    tap.equal(m.multi("-p", "stop").returncode, 0, "-p stop")
    stops = re.findall(r"(\S+)/postfix-script\[\d+\]: stopping the Postfix", m.log())
    tap.equal(stops[-2:], ["postfix-a", "postfix"], "the last one is stopped first")
    tap.ok(not m.greets(m.smtp_port) and not m.greets(m.second_port), "none runs")


def test_wrapper(m):
    """postfix without a directory acts on all, by way of postmulti."""
    standard = m.command("postconf", "-dh", "config_directory").stdout.strip()
    name = "postfix, told nothing, acts on all instances"
    if os.geteuid() != 0 or not os.path.isdir(standard):
        tap.skip(f"needs root and a directory {standard} to mount over", name)
        return
    env = {k: v for k, v in os.environ.items() if k != "MAIL_CONFIG"}
    postfix = os.path.join(instance.stage(), "sbin", "postfix")
    got = subprocess.run(["unshare", "-m", "sh", "-c", 'mount --bind "$0" "$1" && shift && exec "$@"',
                          m.path("etc/postfix"), standard, *m.as_user([postfix, "status"])],
                         env=env, timeout=60, capture_output=True, text=True, check=False)
    if "mount" in got.stderr or "unshare" in got.stderr:
        tap.skip("no mounts here", name)
        return
    tap.equal((got.returncode, len(re.findall("is not running", got.stderr))), (1, 2), name)
    tap.like(got.stderr, "postfix-a/postfix-script: ", "each under its name")


with Several() as several:
    tap.run(*[lambda test=test: test(several) for test in (
        test_edits, test_refused, test_commands, test_start_and_stop, test_wrapper)])
