# SPDX-License-Identifier: BSD-2-Clause
"""Clients that send mail all the time, and know afterwards what they were promised.

    with Load(instance, clients=4) as load:
        load.progress()             # every client has had a message accepted
        ... something happens ...
        load.progress()
    load.all_delivered()            # raises if a promised message is lost or cut
"""

import smtplib
import socket
import threading
import time

from instance import DOMAIN, wait_until
from whereabouts import message, queue_files, whereabouts

PAUSE_S = 0.01
RECIPIENTS = (("bob",), ("alice", "bob"), ("alice",), ("gone", "bob"))
# main.cf parameters with which RECIPIENTS works: mail to gone comes back.
MAIN = {
    "virtual_mailbox_maps": "texthash:$config_directory/vmailbox",
    "virtual_alias_maps": "",
    "transport_maps": "inline:{{gone@example.test = error:5.1.1 nobody is there any more}}",
    "minimal_backoff_time": "1s",
    "maximal_backoff_time": "2s",
    "queue_run_delay": "1s",
    "transport_retry_time": "1s",
    # Who is killed before his first work looks as if he could not start.
    "service_throttle_time": "1s",
}


def prepare(instance):
    """Accounts that RECIPIENTS needs; before the start."""
    with open(instance.path("etc/postfix/vmailbox"), "a", encoding="utf-8") as f:
        f.write(f"gone@{DOMAIN}\t{DOMAIN}/gone/\n")


def trigger(instance, letters):
    """What postqueue -f and the like write to qmgr."""
    try:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(instance.path("spool/public/qmgr"))
            sock.sendall(letters)
    except OSError:
        pass


def send(instance, token, user="bob", smtp=None):
    """One message; raises unless it is accepted."""
    own = smtp or instance.smtp()
    own.ehlo_or_helo_if_needed()
    steps = [own.mail(f"alice@{DOMAIN}"), own.rcpt(f"{user}@{DOMAIN}")]
    if all(code == 250 for code, _ in steps):
        steps.append(own.data(message(token, to=user)))
    if smtp is None:
        own.close()
    if steps[-1][0] != 250:
        raise RuntimeError(f"{token}: {steps}")


class Client(threading.Thread):
    """One client: one connection after the other, one message after the other."""

    def __init__(self, load, number):
        super().__init__(daemon=True)
        self.load = load
        self.number = number
        self.sent = 0
        self.accepted = []  # (token, recipients)
        self.refused = []   # replies 4xx
        self.cut = []       # connections that ended in the middle of a message
        self.goodbyes = 0   # 421, between messages
        self.error = None   # what must not happen

    def run(self):
        while not self.load.ending:
            try:
                self.session()
            except ConnectionRefusedError:
                time.sleep(0.05)
            except (OSError, smtplib.SMTPException) as error:
                self.cut.append(f"{type(error).__name__}: {error}")
                time.sleep(0.05)
            except Exception as error:  # pylint: disable=broad-except
                self.error = error
                return

    def session(self):
        smtp = self.load.instance.smtp()
        try:
            code, text = smtp.ehlo()
            while not self.load.ending and code == 250:
                if not self.one(smtp):
                    return
                time.sleep(PAUSE_S)
            if code != 250:
                raise smtplib.SMTPException(f"EHLO: {code} {text}")
            smtp.quit()
        finally:
            smtp.close()

    def one(self, smtp):
        """Sends one message; false if the server says goodbye instead of taking MAIL."""
        token = f"token-{self.load.name}{self.number}-{self.sent}"
        to = RECIPIENTS[self.sent % len(RECIPIENTS)]
        self.sent += 1
        try:
            code, text = smtp.mail(f"alice@{DOMAIN}")
        except smtplib.SMTPServerDisconnected:
            # Sent while its goodbye was on the way: no message was begun.
            self.goodbyes += 1
            return False
        if code == 421:
            self.goodbyes += 1
            return False
        replies = [(code, text)] + [smtp.rcpt(f"{user}@{DOMAIN}") for user in to]
        if all(reply[0] == 250 for reply in replies):
            code, text = smtp.data(message(token, to=to[0]))
            if code == 250:
                self.accepted.append((token, to))
                return True
            replies.append((code, text))
        self.refused.append([reply for reply in replies if reply[0] != 250])
        if any(reply[0] >= 500 or reply[0] == 421 for reply in self.refused[-1]):
            raise smtplib.SMTPException(str(self.refused[-1]))
        smtp.rset()
        return True


class Load:
    def __init__(self, instance, clients=4, name=""):
        self.instance = instance
        self.name = name
        self.ending = False
        self.clients = [Client(self, number) for number in range(clients)]

    def __enter__(self):
        for client in self.clients:
            client.start()
        return self

    def __exit__(self, *exc):
        self.end()

    def end(self):
        self.ending = True
        for client in self.clients:
            client.join(60)
        stuck = [client.number for client in self.clients if client.is_alive()]
        if stuck:
            raise TimeoutError(f"clients {stuck} hang")

    def accepted(self):
        return [(token, user) for client in self.clients for token, to in list(client.accepted)
                for user in to]

    def total(self, what):
        """All clients' lists of that name."""
        return [one for client in self.clients for one in getattr(client, what)]

    def errors(self):
        return [str(client.error) for client in self.clients if client.error]

    def progress(self, messages=3):
        """Waits until every client has had some more messages accepted."""
        goals = [len(client.accepted) + messages for client in self.clients]
        wait_until(lambda: all(len(client.accepted) >= goal or client.error
                               for client, goal in zip(self.clients, goals)),
                   f"{messages} more messages of every client")
        if self.errors():
            raise RuntimeError("; ".join(self.errors()))

    def all_delivered(self):
        """After the end: waits until the spool is empty; raises if a message is lost."""
        spool = self.instance.path("spool")

        def is_empty():
            trigger(self.instance, b"FA")
            time.sleep(0.1)
            return not queue_files(spool)

        wait_until(is_empty, "everything in the spool is delivered", 60)
        found = whereabouts(spool, self.instance.path("mail"))
        lost = found.lost(self.accepted())
        if lost or found.damaged:
            raise RuntimeError(f"lost: {lost}; damaged: {found.damaged}")
