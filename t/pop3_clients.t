#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Mail fetched by the clients that people have: curl, mpop, fetchmail, getmail, poplib, openssl."""

import os
import poplib
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import tap  # noqa: E402
from instance import DOMAIN, WAIT_S, Instance  # noqa: E402

USER = f"alice@{DOMAIN}"
MESSAGES = ["From: a@example.net\nSubject: one\n\nfirst\n.dot\n..two\n", "From: b@example.net\nSubject: two\n\nlast"]


def fill(mail):
    base = mail.path("mail", DOMAIN, "alice")
    shutil.rmtree(base, ignore_errors=True)
    for part in ("cur", "new", "tmp"):
        os.makedirs(os.path.join(base, part))
    for i, text in enumerate(MESSAGES):
        with open(os.path.join(base, "new", f"{i}.h"), "w", encoding="ascii") as f:
            f.write(text)
    mail.own(mail.path("mail"))


def client(mail, name, text=""):
    """A directory of the client's own, with a file of settings that nobody else may read."""
    home = mail.path(name)
    os.makedirs(home, 0o700)
    path = os.path.join(home, "rc")
    with open(path, "w", encoding="ascii") as f:
        f.write(text)
    os.chmod(path, 0o600)
    return home, path


def run(args, home=None, **kwargs):
    env = dict(os.environ, HOME=home or "/", LC_ALL="C")
    return subprocess.run(args, env=env, timeout=WAIT_S, text=True, stdin=subprocess.DEVNULL if "input" not in kwargs
                          else None, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, **kwargs)


def needs(name):
    if shutil.which(name):
        return True
    tap.skip(f"no {name}", name)
    return False


def is_there(text, what):
    """TEXT holds both messages, whole."""
    text = text.replace("\r\n", "\n")
    bodies = [message.partition("\n\n")[2].rstrip("\n") for message in MESSAGES]
    tap.ok(all(body in text for body in bodies), what, text)


def is_empty(mail, what):
    tap.equal(mail.mail_files("alice"), [], what)


def test_poplib(mail):
    for how in ("clear", "STLS", "TLS", "APOP"):
        fill(mail)
        if how == "TLS":
            pop = poplib.POP3_SSL("127.0.0.1", mail.pop3s_port, timeout=WAIT_S, context=mail.tls())
        else:
            pop = poplib.POP3("127.0.0.1", mail.pop3_port, timeout=WAIT_S)
        if how == "STLS":
            pop.stls(mail.tls())
        if how == "APOP":
            if b"<" not in pop.welcome:
                tap.skip("no APOP is offered", "poplib, APOP")
                continue
            pop.apop(USER, "alice")
        else:
            pop.user(USER)
            pop.pass_("alice")
        got = "\n".join("\n".join(line.decode() for line in pop.retr(i + 1)[1]) for i in range(pop.stat()[0]))
        is_there(got, f"poplib, {how}")
        tap.equal(len(pop.uidl()[1]), 2, f"poplib, {how}: UIDL")
        for i in (1, 2):
            pop.dele(i)
        pop.quit()
        is_empty(mail, f"poplib, {how}: deleted")


def test_curl(mail):
    if not needs("curl"):
        return
    fill(mail)
    common = ["curl", "-sS", "--cacert", mail.path("etc/ssl/cert.pem"), "-u", f"{USER}:alice"]
    port, tls_port = f"pop3://127.0.0.1:{mail.pop3_port}", f"pop3s://localhost:{mail.pop3s_port}"
    for name, args in (("clear", [port]), ("STLS", ["--ssl-reqd", port.replace("127.0.0.1", "localhost")]), ("TLS", [tls_port]),
                       ("AUTH LOGIN", ["--login-options", "AUTH=LOGIN", port]),
                       ("an initial response", ["--sasl-ir", "--login-options", "AUTH=PLAIN", port])):
        done = run(common + args[:-1] + [args[-1] + "/1"] + [args[-1] + "/2"])
        is_there(done.stdout, f"curl, {name}")
        done = run(common + args)
        tap.like(done.stdout.replace("\r", ""), r"^1 \d+\n2 \d+$", f"curl, {name}: LIST")


def test_openssl(mail):
    for name, args in (("TLS", ["-connect", f"127.0.0.1:{mail.pop3s_port}"]),
                       ("STLS", ["-starttls", "pop3", "-connect", f"127.0.0.1:{mail.pop3_port}"])):
        fill(mail)
        done = run(["openssl", "s_client", "-quiet", "-crlf", "-ign_eof", "-CAfile", mail.path("etc/ssl/cert.pem")] + args,
                   input=f"USER {USER}\nPASS alice\nRETR 1\nRETR 2\nQUIT\n")
        is_there(done.stdout.replace("\n..", "\n."), f"openssl s_client, {name}")
        tap.like(done.stdout, "OK Logging out", f"openssl s_client, {name}: QUIT")


def test_mpop(mail):
    if not needs("mpop"):
        return
    for name, port, starttls, auth in (("TLS", mail.pop3s_port, "off", "plain"), ("STLS", mail.pop3_port, "on", "login"),
                                       ("USER", mail.pop3_port, "on", "user")):
        fill(mail)
        home, path = client(mail, f"mpop-{name}", f"""
account default
host localhost
port {port}
tls on
tls_starttls {starttls}
tls_trust_file {mail.path("etc/ssl/cert.pem")}
auth {auth}
user {USER}
password alice
delivery mbox {mail.path(f"mpop-{name}", "box")}
uidls_file {mail.path(f"mpop-{name}", "uidls")}
keep off
""")
        done = run(["mpop", "-C", path], home)
        try:
            with open(os.path.join(home, "box"), encoding="utf-8") as f:
                is_there(f.read(), f"mpop, {name}")
        except FileNotFoundError:
            tap.ok(False, f"mpop, {name}", done.stdout)
        is_empty(mail, f"mpop, {name}: deleted")


def test_fetchmail(mail):
    if not needs("fetchmail"):
        return
    for name, port, options in (("TLS", mail.pop3s_port, "ssl"), ("clear", mail.pop3_port, "sslproto ''")):
        fill(mail)
        home, path = client(mail, f"fetchmail-{name}", f"""
poll localhost protocol pop3 port {port} uidl
  user "{USER}" password "alice" {options} sslcertfile {mail.path("etc/ssl/cert.pem")}
  mda "cat >> {mail.path(f"fetchmail-{name}", "box")}" fetchall no keep
""")
        done = run(["fetchmail", "-f", path, "--pidfile", os.path.join(home, "pid"), "--nosyslog"], home)
        try:
            with open(os.path.join(home, "box"), encoding="utf-8") as f:
                is_there(f.read(), f"fetchmail, {name}")
        except FileNotFoundError:
            tap.ok(False, f"fetchmail, {name}", done.stdout)
        is_empty(mail, f"fetchmail, {name}: deleted")


def test_getmail(mail):
    if not needs("getmail"):
        return
    for name, kind, port in (("TLS", "SimplePOP3SSLRetriever", mail.pop3s_port), ("clear", "SimplePOP3Retriever", mail.pop3_port)):
        fill(mail)
        home = mail.path(f"getmail-{name}")
        home, path = client(mail, f"getmail-{name}", f"""
[retriever]
type = {kind}
server = localhost
port = {port}
username = {USER}
password = alice
[destination]
type = Mboxrd
path = {home}/box
[options]
delete = true
""")
        open(os.path.join(home, "box"), "w", encoding="ascii").close()
        # It delivers nothing as root.
        mail.own(home)
        done = run(mail.as_user(["getmail", "--getmaildir", home, "--rcfile", "rc"]), home)
        with open(os.path.join(home, "box"), encoding="utf-8") as f:
            is_there(f.read().replace("\n>", "\n"), f"getmail, {name}")
        is_empty(mail, f"getmail, {name}: deleted")
        if done.returncode:
            tap.note(done.stdout)


def run_all():
    with Instance(dovecot="auth_mechanisms = plain login apop\n") as mail:
        tests = (test_poplib, test_curl, test_openssl, test_mpop, test_fetchmail, test_getmail)
        for test in tests:
            try:
                test(mail)
            except Exception as error:
                tap.ok(False, test.__name__, repr(error))
    tap.done()


run_all()
