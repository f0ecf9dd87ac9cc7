# SPDX-License-Identifier: BSD-2-Clause
"""Transactions of an SMTP client with servers that say all that a server can say, for tests of our
client alone and beside a real Postfix's."""

import re
import smtplib

from instance import WAIT_S, wait_until
from smtp_server import CLOSE, EHLO, Server

PLAIN = "250-server.test\n250 8BITMIME"
CHUNKING = EHLO.replace("250 ENH", "250-CHUNKING\n250 ENH")
BODY = b"Subject: x\r\n\r\n.dot\r\nhello\r\n"


class Case:
    """RCPTS (local parts) get a message through a server with SCRIPT; WANT are patterns of what the
    log says of each, in parentheses after its dsn and status."""

    def __init__(self, name, script, want, sent=None, rcpts=("a",), lmtp=False, options=()):
        self.name, self.want, self.sent = name, want, sent
        self.rcpts, self.options = rcpts, options
        self.server = Server(script, lmtp=lmtp)
        self.transport = "lmtp:inet:" if lmtp else "smtp:"


OK = r"2\.0\.0 sent 250 2\.0\.0 Ok: queued as TEST"
SAID = r"host 127\.0\.0\.1\[127\.0\.0\.1\] said: "
def make():
    return [
        Case("plain", {"EHLO": PLAIN}, [OK],
             [r"EHLO mail\.example\.test", r"MAIL FROM:<s@example\.test>",
              r"RCPT TO:<a@plain\.test>", "DATA", "QUIT"]),
        Case("pipelined", {}, [OK, OK],
             ["EHLO .*", r"MAIL FROM:<s@example\.test> SIZE=\d+",
              r"RCPT TO:<a@pipelined\.test> ORCPT=rfc822;a@pipelined\.test", "RCPT TO:<b@.*", "DATA", "QUIT"],
             rcpts=("a", "b")),
        Case("chunked", {"EHLO": CHUNKING}, [r"2\.0\.0 sent 250 2\.0\.0 chunk"],
             ["EHLO .*", "MAIL .*", "RCPT .*", r"BDAT \d+ LAST", "QUIT"]),
        Case("one-of-two", {"RCPT TO:<no": "550 5.1.1 no such user"},
             [OK, rf"5\.1\.1 bounced {SAID}550 5\.1\.1 no such user \(in reply to RCPT TO command\)"],
             rcpts=("a", "no")),
        Case("none-of-two", {"RCPT": "450 4.2.1 later", ".": "554 5.5.1 no valid recipients"},
             [rf"4\.2\.1 deferred {SAID}450 4\.2\.1 later \(in reply to RCPT TO command\)"] * 2,
             ["EHLO .*", "MAIL .*", "RCPT .*", "RCPT .*", "DATA", "QUIT"], rcpts=("a", "b")),
        Case("no-sender", {"MAIL": "550 5.7.1 not you", "RCPT": "503 5.5.1 no", "DATA": "503 5.5.1 no"},
             [rf"5\.7\.1 bounced {SAID}550 5\.7\.1 not you \(in reply to MAIL FROM command\)"] * 2,
             rcpts=("a", "b")),
        Case("no-codes", {"RCPT": "451 in trouble"},
             [rf"4\.0\.0 deferred {SAID}451 in trouble \(in reply to RCPT TO command\)"]),
        Case("code-and-class", {"RCPT": "450 5.7.1 a wrong class"},
             [rf"4\.0\.0 deferred {SAID}450 5\.7\.1 a wrong class \(in reply to RCPT TO command\)"]),
        Case("no-data", {"DATA": "554 5.6.0 not this"},
             [rf"5\.6\.0 bounced {SAID}554 5\.6\.0 not this \(in reply to DATA command\)"]),
        Case("data-now", {"DATA": "250 2.0.0 what?"},
             [rf"5\.5\.0 bounced Protocol error: {SAID}250 2\.0\.0 what\? \(in reply to DATA command\)"]),
        Case("end-no", {".": "550-5.7.1 spam\n550 5.7.1 really"},
             [rf"5\.7\.1 bounced {SAID}550-5\.7\.1 spam 550 5\.7\.1 really "
              r"\(in reply to end of DATA command\)"]),
        Case("end-later", {".": "452 4.3.1 full"},
             [rf"4\.3\.1 deferred {SAID}452 4\.3\.1 full \(in reply to end of DATA command\)"]),
        Case("chunk-no", {"EHLO": CHUNKING, "BDAT": "554 5.6.0 no"},
             [rf"5\.6\.0 bounced {SAID}554 5\.6\.0 no \(in reply to end of DATA command\)"]),
        Case("lost-at-mail", {"EHLO": PLAIN, "MAIL": CLOSE},
             [r"4\.4\.2 deferred lost connection with 127\.0\.0\.1\[127\.0\.0\.1\] while sending MAIL FROM"]),
        Case("lost-at-rcpt", {"EHLO": PLAIN, "RCPT TO:<b": CLOSE},
             [r"4\.4\.2 deferred lost connection with \S+ while sending RCPT TO"] * 2, rcpts=("a", "b")),
        Case("lost-at-data", {"EHLO": PLAIN, "DATA": CLOSE},
             [r"4\.4\.2 deferred lost connection with \S+ while sending DATA command"]),
        Case("lost-at-end", {".": CLOSE},
             [r"4\.4\.2 deferred lost connection with \S+ while sending end of data -- message may be "
              "sent more than once"]),
        Case("too-large", {"EHLO": "250-server.test\n250 SIZE 100"},
             [r"5\.3\.4 bounced message size \d+ exceeds size limit 100 of server \S+"],
             ["EHLO .*", "QUIT"]),
        Case("going", {"MAIL": "421 4.3.2 going down", "RCPT": CLOSE},
             [rf"4\.3\.2 deferred {SAID}421 4\.3\.2 going down \(in reply to MAIL FROM command\)"]),
        Case("reports", {}, [OK],
             ["EHLO .*", r"MAIL .* RET=HDRS", r"RCPT TO:<a@reports\.test> ORCPT=rfc822;a\+2Bb@x "
              r"NOTIFY=SUCCESS,DELAY", "DATA", "QUIT"],
             options=("RET=HDRS", "NOTIFY=DELAY,SUCCESS ORCPT=rfc822;a+2Bb@x")),
        Case("no-reports", {"EHLO": PLAIN}, [OK], ["EHLO .*", "MAIL FROM:<s@example.test>",
                                                   r"RCPT TO:<a@no-reports\.test>", "DATA", "QUIT"],
             options=("ENVID=x", "NOTIFY=SUCCESS")),
        Case("lmtp", {".": ["250 2.1.5 first", "550 5.2.2 full", "450 4.2.0 later"]},
             [r"2\.1\.5 sent 250 2\.1\.5 first",
              rf"5\.2\.2 bounced {SAID}550 5\.2\.2 full \(in reply to end of DATA command\)",
              rf"4\.2\.0 deferred {SAID}450 4\.2\.0 later \(in reply to end of DATA command\)"],
             ["LHLO .*", "MAIL .*", "RCPT .*", "RCPT .*", "RCPT .*", "DATA", "QUIT"],
             rcpts=("a", "b", "c"), lmtp=True),
        Case("lmtp-lost", {".": ["250 2.1.5 first", CLOSE]},
             [r"2\.1\.5 sent 250 2\.1\.5 first",
              r"4\.4\.2 deferred lost connection with \S+ while sending end of data .*"],
             rcpts=("a", "b"), lmtp=True),
        Case("lmtp-some", {"RCPT TO:<b": "550 5.1.1 who?", ".": ["250 2.1.5 A", "250 2.1.5 C"]},
             [r"2\.1\.5 sent 250 2\.1\.5 A",
              rf"5\.1\.1 bounced {SAID}550 5\.1\.1 who\? \(in reply to RCPT TO command\)",
              r"2\.1\.5 sent 250 2\.1\.5 C"], rcpts=("a", "b", "c"), lmtp=True),
    ]


def main_cf(cases):
    """What leads each case's recipients to its server."""
    return {
        "transport_maps": "inline:{" + ", ".join(
            f"{{{case.name}.test={case.transport}[127.0.0.1]:{case.server.port}}}"
            for case in cases) + "}",
        "relay_domains": "inline:{" + ", ".join(f"{{{case.name}.test=x}}" for case in cases) + "}",
        "smtp_tls_security_level": "none", "smtp_pix_workarounds": ""}


def submit(mail, case):
    """The queue id."""
    smtp = smtplib.SMTP("127.0.0.1", mail.smtp_port, timeout=WAIT_S)
    smtp.ehlo()
    smtp.docmd("MAIL FROM:<s@example.test>" + "".join(" " + x for x in case.options[:1]))
    for rcpt in case.rcpts:
        code, text = smtp.docmd(f"RCPT TO:<{rcpt}@{case.name}.test>" +
                                "".join(" " + x for x in case.options[1:]))
        if code != 250:
            raise RuntimeError(f"{case.name}: {code} {text}")
    code, text = smtp.data(BODY)
    smtp.close()
    return text.decode().split()[-1] if code == 250 else None


def outcome(mail, queue_id, case, rcpt):
    """"DSN STATUS TEXT" and relay= of the recipient's line, waited for."""
    found = wait_until(lambda: re.search(
        rf"postfix/(?:smtp|lmtp)\[\d+\]: {queue_id}: to=<{rcpt}@{case.name}\.test>, relay=([^,]+), .*"
        r"dsn=(\S+), status=(\w+) \((.*)\)$", mail.postfix_log(), re.M), f"{case.name}: {rcpt}")
    return f"{found[2]} {found[3]} {found[4]}", found[1]


