#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""A real Postfix and our smtpd, both on authd: the mechanisms that they offer, and logins by each of
them with clients of all kinds."""

import base64
import os
import shutil
import smtplib
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import peer_dovecot  # noqa: E402
import peer_postfix  # noqa: E402
import sasl_client  # noqa: E402
import tap  # noqa: E402
from instance import Instance, free_ports  # noqa: E402

MECHANISMS = ("PLAIN", "LOGIN", "CRAM-MD5", "DIGEST-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256")
USER, PASSWORD = "carol@a.test", "geheim"
CONFIG = """
base_dir = {{dir}}/run
state_dir = {{dir}}/state
log_path = {{dir}}/log
protocols =
ssl = no
auth_mechanisms = plain login cram-md5 digest-md5 scram-sha-1 scram-sha-256 apop anonymous external
auth_failure_delay = 0
passdb {{{{
  driver = passwd-file
  args = {{dir}}/users
}}}}
userdb {{{{
  driver = static
  args = uid=5000 gid=5000 home=/home/%u
}}}}
service auth {{{{
  unix_listener {{dir}}/auth {{{{
    mode = 0666
  }}}}
  inet_listener {{{{
    address = 127.0.0.1
    port = {port}
  }}}}
}}}}
service anvil {{{{
  unix_listener anvil-auth-penalty {{{{
    mode = 0
  }}}}
}}}}
"""
MAIN = {"smtpd_sasl_auth_enable": "yes", "smtpd_sasl_type": "dovecot", "smtpd_tls_auth_only": "no",
        "smtpd_peername_lookup": "no", "smtpd_client_connection_rate_limit": "0"}
OPTIONS = ("", "noanonymous", "noanonymous,noplaintext", "nodictionary", "noactive", "mutual_auth",
           "noplaintext,noactive,nodictionary,noanonymous,mutual_auth")


def offered(port):
    with smtplib.SMTP("127.0.0.1", port, timeout=60) as smtp:
        smtp.ehlo()
        return smtp.esmtp_features.get("auth", "(none)").split()


def log_in(port, mechanism, user, password):
    """The last reply."""
    client = sasl_client.make(mechanism, user, password)
    first = "" if client.first is None else " " + base64.b64encode(client.first).decode()
    with smtplib.SMTP("127.0.0.1", port, timeout=60) as smtp:
        smtp.ehlo()
        code, text = smtp.docmd("AUTH", mechanism + first)
        while code == 334:
            answer = client.step(base64.b64decode(text))
            code, text = smtp.docmd(base64.b64encode(answer).decode())
        if code == 235 and not client.done:
            return "235, but the server did not prove itself"
        return f"{code} {text.decode()}"


def abort(port, mechanism, steps, how):
    """The replies after STEPS good responses and then HOW; and whether a login works after that."""
    client = sasl_client.make(mechanism, USER, PASSWORD)
    with smtplib.SMTP("127.0.0.1", port, timeout=60) as smtp:
        smtp.ehlo()
        replies = [smtp.docmd("AUTH", mechanism)]
        if client.first is not None and steps and replies[-1][0] == 334:
            replies.append(smtp.docmd(base64.b64encode(client.first).decode()))
            steps -= 1
        while steps and replies[-1][0] == 334:
            answer = client.step(base64.b64decode(replies[-1][1]))
            replies.append(smtp.docmd(base64.b64encode(answer).decode()))
            steps -= 1
        if replies[-1][0] == 334:
            replies.append(smtp.docmd(how))
        codes = [code for code, _ in replies]
        text = replies[-1][1].decode()
        if codes[-1] != 235:
            again = base64.b64encode(f"\0{USER}\0{PASSWORD}".encode()).decode()
            codes.append(smtp.docmd("AUTH", "PLAIN " + again)[0])
        return codes, text


def curl(port, mechanism, password):
    return subprocess.run(
        ["curl", "-sS", "--max-time", "60", f"smtp://127.0.0.1:{port}", "--user", f"{USER}:{password}",
         "--login-options", "AUTH=" + mechanism, "-X", "NOOP"],
        capture_output=True, text=True, timeout=90, check=False)


def swaks(port, mechanism, password):
    return subprocess.run(
        ["swaks", "--server", f"127.0.0.1:{port}", "--auth", mechanism, "--auth-user", USER,
         "--auth-password", password, "--quit-after", "AUTH"],
        capture_output=True, text=True, timeout=90, check=False)


def msmtp(port, mechanism, password):
    return subprocess.run(
        ["msmtp", "--host=127.0.0.1", f"--port={port}", "--tls=off", "--auth=" + mechanism.lower(),
         "--user=" + USER, "--passwordeval=echo " + password, "--from=a@a.test",
         "--timeout=60", "b@a.test"], input="Subject: x\n\n", capture_output=True, text=True, timeout=90,
        check=False)


def test_logins(name, port):
    for mechanism in MECHANISMS:
        tap.equal(log_in(port, mechanism, USER, PASSWORD), "235 2.7.0 Authentication successful",
                  f"{name}: {mechanism}")
        for user, password in ((USER, "x"), ("nobody@a.test", PASSWORD)):
            tap.like(log_in(port, mechanism, user, password), "^535 5.7.8 ",
                     f"{name}: {mechanism} {user} {password}")


def refused_login(result):
    """By the server; a client without the mechanism would fail as well."""
    return result.returncode != 0 and ("535" in result.stdout + result.stderr or
                                       "denied" in result.stderr.lower())


def test_clients(name, port):
    if shutil.which("curl"):
        for mechanism in ("PLAIN", "LOGIN", "CRAM-MD5", "DIGEST-MD5"):
            good, bad = curl(port, mechanism, PASSWORD), curl(port, mechanism, "x")
            tap.equal((good.returncode, good.stderr), (0, ""), f"{name}: curl {mechanism}")
            tap.equal(bad.returncode, 67, f"{name}: curl {mechanism}, wrong password")
    else:
        tap.skip("curl is not installed", f"{name}: curl")
    if shutil.which("swaks"):
        for mechanism in ("PLAIN", "LOGIN", "CRAM-MD5"):
            good, bad = swaks(port, mechanism, PASSWORD), swaks(port, mechanism, "x")
            tap.equal(good.returncode, 0, f"{name}: swaks {mechanism}")
            tap.ok(refused_login(bad), f"{name}: swaks {mechanism}, wrong password", bad.stdout)
    else:
        tap.skip("swaks is not installed", f"{name}: swaks")
    if shutil.which("msmtp"):
        for mechanism in ("PLAIN", "CRAM-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256"):
            good, bad = msmtp(port, mechanism, PASSWORD), msmtp(port, mechanism, "x")
            # Nobody has that mailbox, so it is at RCPT that it ends.
            tap.like(good.stderr, "recipient address b@a.test not accepted|^$",
                     f"{name}: msmtp {mechanism}")
            tap.like(bad.stderr, "authentication failed", f"{name}: msmtp {mechanism}, wrong password")
    else:
        tap.skip("msmtp is not installed", f"{name}: msmtp")


def test_offers(ports):
    """The words of MECH lines filter alike."""
    for options, theirs, ours in ports:
        tap.equal(offered(ours), offered(theirs), "smtpd -o " + options)


def test_aborts(theirs, ours):
    for mechanism in MECHANISMS:
        for steps in range(4):
            for how in ("*", "#", "", "AAAA", "x" * 5000):
                tap.equal(abort(ours, mechanism, steps, how), abort(theirs, mechanism, steps, how),
                          f"{mechanism}, {how[:9]!r} after {steps} steps")


def services(ports, port):
    """For master.cf: what is asked of both, on ports of their own."""
    return "".join(f"127.0.0.1:{p} inet n - n - - smtpd\n  -o {option}\n"
                   for p, option in zip(ports, [*("smtpd_sasl_security_options=" + o for o in OPTIONS),
                                                f"smtpd_sasl_path=inet:127.0.0.1:{port}"]))


def run_all():
    peer_postfix.find()
    directory = tempfile.mkdtemp(prefix="postcote-authd-")
    os.chmod(directory, 0o755)
    with open(directory + "/users", "w", encoding="utf-8") as f:
        f.write(f"{USER}:{{PLAIN}}{PASSWORD}::::::\n")
    port = free_ports(1)[0]
    auth = peer_dovecot.Dovecot(directory, CONFIG.format(port=port), ("auth-userdb",), False)
    try:
        main = {**MAIN, "smtpd_sasl_path": directory + "/auth",
                "smtpd_sasl_security_options": "noanonymous"}
        theirs, ports = peer_postfix.PeerPostfix(main), free_ports(2 * (len(OPTIONS) + 1))
        mine, other = ports[::2], ports[1::2]
        with open(theirs.path("etc/master.cf"), "a", encoding="ascii") as f:
            f.write(services(other, port))
        with theirs, Instance(main=main, master=services(mine, port)) as ours:
            for name, side in (("Postfix", theirs), ("smtpd", ours)):
                test_logins(name, side.smtp_port)
                test_clients(name, side.smtp_port)
            test_aborts(theirs.smtp_port, ours.smtp_port)
            test_offers(list(zip([*OPTIONS, "smtpd_sasl_path=inet:..."], other, mine)))
            tap.equal(log_in(mine[-1], "SCRAM-SHA-256", USER, PASSWORD),
                      "235 2.7.0 Authentication successful", "a login by TCP")
    finally:
        auth.close()
        shutil.rmtree(directory, ignore_errors=True)
    tap.done()


run_all()
