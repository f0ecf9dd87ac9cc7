#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Bad input at start: what is wrong is told at once, with its place, and nothing is left running;
what concerns one service leaves the others up."""

import os
import poplib
import re
import smtplib
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import instance  # noqa: E402
import tap  # noqa: E402

MAIN, MASTER, DOVECOT = "etc/postfix/main.cf", "etc/postfix/master.cf", "etc/dovecot/dovecot.conf"
WRONG_MAIN = ("smtpd_timeout = 3x\n", "message_size_limit = many\n", "disable_vrfy_command = perhaps\n")
WRONG_MASTER = ("short unix n\n", "late unix n - n soon - smtpd\n", "odd carrier n - n - - smtpd\n")
WRONG_DOVECOT = ("nosuchsetting = 1\n", "mail_max_userip_connections = x\n", "auth_verbose = perhaps\n")


class Stopped(instance.Instance):
    """An instance that is not started by itself."""

    def __enter__(self):
        return self

    def append(self, name, lines):
        """Appends LINES to a file; returns the number of the first."""
        with open(self.path(name), "r+", encoding="utf-8") as f:
            first = len(f.read().splitlines()) + 1
            f.write("".join(lines))
        return first

    def runs(self):
        """What of it runs, with masters that wrote no pid file."""
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/cmdline", "rb") as f:
                    command = f.read().decode(errors="replace").replace("\0", " ")
                with open(f"/proc/{pid}/environ", "rb") as f:
                    if self.dir.encode() not in f.read() and self.dir not in command:
                        continue
            except OSError:
                continue
            found.append(command)
        return found

    def fails(self, what, status=1, argv=None):
        """Starts it in vain; returns what it said."""
        result = self.command(*argv) if argv else self.postcote("start")
        tap.equal(result.returncode, status, f"{what}: exit status")
        tap.equal(self.runs(), [], f"{what}: nothing runs")
        return result.stderr

    def recovers(self, what):
        result = self.postcote("start")
        tap.equal(result.returncode, 0, f"{what} mended: it starts")
        tap.equal(sorted(self.master_pids()), ["dovecot", "postfix"], "both masters run")


def spool_cannot_be_made():
    with Stopped() as mail:
        os.rmdir(mail.path("spool"))
        os.chmod(mail.dir, 0o555)
        said = mail.fails("spool missing, parent not writable")
        os.chmod(mail.dir, 0o755)
        tap.like(said, rf"fatal: create directory {mail.path('spool')}: Permission denied$", "it is told")
        mail.recovers("directory")


def main_cf_is_unreadable():
    with Stopped() as mail:
        os.chmod(mail.path(MAIN), 0)
        said = mail.fails("main.cf unreadable")
        tap.like(said, rf"fatal: open {mail.path(MAIN)}: Permission denied$", "it is told")
        os.chmod(mail.path(MAIN), 0o644)
        os.chmod(mail.path(DOVECOT), 0)
        said = mail.fails("dovecot.conf unreadable")
        tap.like(said, rf"{mail.path(DOVECOT)}.*: Permission denied", "it is told")
        os.chmod(mail.path(DOVECOT), 0o644)
        mail.recovers("mode")


def tell_all(said, path, first, wrong, names):
    """Each of the lines WRONG is told with its file, its number and its name."""
    for number, (line, name) in enumerate(zip(wrong, names), first):
        tap.like(said, rf"{re.escape(path)}: line {number}: .*{name}", f"told: {line.strip()}")


def values_are_wrong():
    with Stopped() as mail:
        originals = {name: open(mail.path(name), encoding="utf-8").read()
                     for name in (MAIN, MASTER, DOVECOT)}
        at = {name: mail.append(name, lines) for name, lines in
              ((MAIN, WRONG_MAIN), (MASTER, WRONG_MASTER), (DOVECOT, WRONG_DOVECOT))}
        files = ((MAIN, WRONG_MAIN, ["smtpd_timeout", "message_size_limit", "disable_vrfy_command"]),
                 (MASTER, WRONG_MASTER, ['3 of 8 columns: "short', '"wakeup" is "soon"', '"carrier"']),
                 (DOVECOT, WRONG_DOVECOT, ["nosuchsetting", "mail_max_userip_connections",
                                           "auth_verbose"]))
        said = mail.fails("all three files wrong")
        for name, wrong, names in files:
            tell_all(said, mail.path(name), at[name], wrong, names)
        said = mail.fails("postfix start", argv=("postfix", "start"))
        for name, wrong, names in files[:2]:
            tell_all(said, mail.path(name), at[name], wrong, names)
        said = mail.fails("dovecot", 89, ("dovecot", "-c", mail.path(DOVECOT)))
        tell_all(said, mail.path(DOVECOT), at[DOVECOT], WRONG_DOVECOT, files[2][2])
        for good in (DOVECOT, MASTER, MAIN):
            with open(mail.path(good), "w", encoding="utf-8") as f:
                f.write(originals[good])
            if good != MAIN:
                mail.fails(f"{good} mended, others not")
        mail.recovers("all")


def table_text_is_broken():
    with Stopped() as mail:
        path = mail.path("etc/postfix/broken")
        with open(path, "w", encoding="utf-8") as f:
            f.write("  indented\nlonely\na@example.test b\n# comment\na@example.test c\n")
        mail.own(path)
        said = mail.command("postmap", f"hash:{path}").stderr
        tap.like(said, rf"{path}, line 1: logical line must not start with whitespace", "indented")
        tap.like(said, rf"{path}, line 2: expected format: key whitespace value", "no value")
        tap.like(said, rf'{path}: duplicate entry: "a@example\.test" \(line 5\)', "twice")
        with open(path, "w", encoding="utf-8") as f:
            f.write("/good/ x\n/(/ y\nif /open\n")
        result = mail.command("postmap", "-q", "(", f"regexp:{path}")
        tap.equal(result.returncode, 1, "a broken rule is left out")
        tap.like(result.stderr, rf"{path}, line 2: Unmatched \(", "bad expression")
        tap.like(result.stderr, rf"{path}, line 3: no closing regexp delimiter", "open delimiter")
        result = mail.command("postmap", f"hash:{path}.missing")
        tap.equal(result.returncode, 1, "a missing text")
        tap.like(result.stderr, rf"open {path}.missing: No such file", "is told")


def key_is_unreadable():
    with Stopped() as mail:
        key = mail.path("etc/ssl/key.pem")
        os.chmod(key, 0)
        result = mail.postcote("start")
        tap.equal(result.returncode, 0, "it starts without a key")
        tap.like(result.stderr, r"warning: service pop3-login .*did not start", "and says what does not")
        mail.wait_for_log(r"postfix/smtpd\[\d+\]: warning: cannot get RSA private key from file "
                          rf'"{key}": disabling TLS support')
        mail.wait_for_log(rf"pop3-login: Fatal: cannot load private key from {key}: Permission denied")
        tap.ok(True, "both daemons name the file")
        mail.send("up")
        tap.equal(len(mail.wait_for_mail("bob")), 1, "mail is delivered")
        with mail.smtp() as smtp:
            smtp.ehlo()
            tap.equal(smtp.docmd("STARTTLS")[0], 454, "STARTTLS is refused")
        with mail.smtp(mail.submission_port) as smtp:
            smtp.ehlo()
            code = smtp.mail("alice@example.test")[0]
            tap.ok(code // 100 in (4, 5), f"where TLS must be nothing goes in clear ({code})")
        os.chmod(key, 0o600)
        mail.reload()
        mail.wait_for_log(r"reload -- version")
        instance.wait_until(lambda: offers_tls(mail), "STARTTLS after the reload")
        pop = instance.wait_until(lambda: try_pop(mail), "POP3S after the reload")
        tap.equal(pop.stat()[0], 1, "the mail is fetched")
        pop.quit()


def offers_tls(mail):
    """A process that leaves at the reload may say 421 to the connection that it took last."""
    try:
        with mail.smtp() as smtp:
            smtp.ehlo()
            return smtp.docmd("STARTTLS")[0] == 220
    except (OSError, smtplib.SMTPException):
        return False


def try_pop(mail):
    try:
        return mail.pop3s("bob")
    except (OSError, poplib.error_proto):
        return None


tap.run(spool_cannot_be_made, main_cf_is_unreadable, values_are_wrong, table_text_is_broken,
        key_is_unreadable)
