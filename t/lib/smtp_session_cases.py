# SPDX-License-Identifier: BSD-2-Clause
"""Sessions of an SMTP client with servers of many kinds, up to MAIL: greetings, EHLO, what is hidden
of it, STARTTLS by policy, XFORWARD, falling over to another host.  For tests of our client alone and
beside a real Postfix's.  Each case has a transport of its own, whose name is in its log lines."""

import re
import smtplib
import socket

from instance import WAIT_S, wait_until
from smtp_cases import PLAIN
from smtp_server import CLOSE, EHLO, Server

HOST = r"127\.0\.0\.1\[127\.0\.0\.1\]"
OK = r"dsn=2\.0\.0, status=sent \(250 2\.0\.0 Ok: queued as TEST\)"
HELLO = "EHLO mail.example.test"
SENT = ["MAIL FROM:<s@example.test>", "RCPT TO:<a@%s.test>", "DATA", "QUIT"]
FORWARD = "250-server.test\n250 XFORWARD NAME ADDR PROTO HELO SOURCE"
TLS = "250-server.test\n250 STARTTLS"


NOBODY = None  # a script for a port where nobody listens


def talk(text):
    return rf"\(host {HOST} refused to talk to me: {text}\)"


class Case:
    """SCRIPTS (smtp_server's; several: hosts in turn) and what the first server hears; LOG are
    patterns of all lines of this transport, of which the last one is the recipient's."""

    with_tls = False  # the field tls= of the log, which is new in Postfix 3.11

    def __init__(self, name, scripts, log, said, lmtp=False, path=None, **options):
        scripts = scripts if isinstance(scripts, list) else [scripts]
        self.name, self.log, self.lmtp = name, log, lmtp
        self.said = [line % name if "%s" in line else line for line in said or ()]
        self.servers = [Server(script, lmtp=lmtp, path=path) for script in scripts]
        for script, server in zip(scripts, self.servers):
            if script is NOBODY:
                server.socket.shutdown(socket.SHUT_RDWR)
                server.socket.close()
        self.options = {"syslog_name": f"postfix/{name}", **options}
        hosts = f"unix:{path}" if path else ", ".join(
            ("inet:" if lmtp else "") + f"[127.0.0.1]:{server.port}" for server in self.servers)
        self.rule = f"{{{name}.test = {name}:{hosts}}}"

    def service(self):
        return (f"{self.name} unix - - n - - {'lmtp' if self.lmtp else 'smtp'}" +
                "".join(f" -o {{ {key} = {value} }}" for key, value in self.options.items()) + "\n")

    def lines(self, mail):
        """What the log says of it: texts without ports, ids, delays, and what only 3.11 says."""
        ports = {str(getattr(server, "port", "")): f"PORT{i + 1}" for i, server in enumerate(self.servers)}
        found = []
        for line in re.findall(rf"postfix/{self.name}/\w+\[\d+\]: (.*)$", mail.postfix_log(), re.M):
            line = re.sub(r"delay=\S+ delays=\S+ ", "", line)
            line = line if self.with_tls else re.sub(r", tls=\S+ ", ", ", line)
            line = re.sub(r"^(warning: )?[0-9A-Za-z]{9,}: ", r"\1ID: ", line)
            line = re.sub(r"(?<=\]:)\d+\b", lambda m: ports.get(m[0], m[0]), line)
            if "flush service" not in line and "public/flush" not in line:
                found.append(line)
        return found

    def wait(self, mail):
        """The same when the recipient's line is there."""
        wait_until(lambda: any("status=" in line for line in self.lines(mail)), self.name)
        return self.lines(mail)

    def heard(self):
        """What the first server heard, to its end."""
        if not self.said and self.servers[0].socket.fileno() == -1:
            return []
        self.servers[0].wait(lambda s: s.sessions and s.sessions[0].closed.is_set(), WAIT_S)
        return [re.sub(r" (SIZE|PORT|IDENT|ORCPT)=\S+", "", line)
                for line in self.servers[0].sessions[0].lines]


def rcpt(name, text, relay="PORT1"):
    return rf"ID: to=<a@{name}\.test>, relay={HOST}:{relay}, {text}"


def make(directory):
    """DIRECTORY: for a socket."""
    return [
        # greetings
        Case("greet-421", {"": "421 4.3.2 go away"},
             [rcpt("greet-421", rf"dsn=4\.3\.2, status=deferred {talk('421 4.3.2 go away')}")], ["QUIT"]),
        Case("greet-450", {"": "450-busy\n450 very"},
             [rcpt("greet-450", rf"dsn=4\.0\.0, status=deferred {talk('450-busy 450 very')}")], ["QUIT"]),
        Case("greet-554", {"": "554 5.7.1 no"},
             [rcpt("greet-554", rf"dsn=4\.7\.1, status=deferred {talk('554 5.7.1 no')}")], ["QUIT"]),
        Case("greet-final", {"": "554 5.7.1 no"},
             [rcpt("greet-final", rf"dsn=5\.7\.1, status=bounced {talk('554 5.7.1 no')}")], ["QUIT"],
             smtp_skip_5xx_greeting="no"),
        Case("greet-close", {"": CLOSE},
             [rcpt("greet-close", r"dsn=4\.4\.2, status=deferred "
                   rf"\(lost connection with {HOST} while receiving the initial server greeting\)")], []),
        # EHLO
        Case("ehlo-close", {"EHLO": CLOSE},
             [rcpt("ehlo-close", r"dsn=4\.4\.2, status=deferred "
                   rf"\(lost connection with {HOST} while performing the EHLO handshake\)")], [HELLO]),
        Case("ehlo-500", {"EHLO": "500 5.5.1 what?"}, [rcpt("ehlo-500", OK)],
             [HELLO, "HELO mail.example.test", *SENT]),
        Case("ehlo-450", {"EHLO": "450 4.5.1 later"}, [rcpt("ehlo-450", OK)],
             [HELLO, "HELO mail.example.test", *SENT]),
        Case("greet-354", {"": "354 go"},
             [rcpt("greet-354", rf"dsn=5\.5\.0, status=bounced {talk('354 go')}")], ["QUIT"]),
        Case("ehlo-421", {"EHLO": "421 4.3.2 bye"},
             [rcpt("ehlo-421", rf"dsn=4\.3\.2, status=deferred {talk('421 4.3.2 bye')}")], [HELLO, "QUIT"]),
        Case("helo-500", {"EHLO": "500 what?", "HELO": "500 5.3.3 no"},
             [rcpt("helo-500", rf"dsn=5\.3\.3, status=bounced {talk('500 5.3.3 no')}")],
             [HELLO, "HELO mail.example.test", "QUIT"]),
        Case("helo-only", {}, [rcpt("helo-only", OK)], ["HELO client.test", *SENT],
             smtp_never_send_ehlo="yes", smtp_helo_name="client.test"),
        Case("helo-plain", {"": "220 server.test"}, [rcpt("helo-plain", OK)],
             ["HELO mail.example.test", *SENT], smtp_always_send_ehlo="no"),
        Case("ehlo-bare-lf", {"EHLO": b"250-server.test\n250-PIPELINING\n250 DSN\n"},
             [rcpt("ehlo-bare-lf", OK)], [HELLO, *SENT]),
        Case("size", {"EHLO": "250-server.test\n250 SIZE foo"},
             [rf'warning: bad EHLO SIZE limit "foo" from {HOST}:PORT1', rcpt("size", OK)], [HELLO, *SENT]),
        Case("utf8", {"EHLO": "250-server.test\n250 SMTPUTF8"},
             [rf"host {HOST} offers SMTPUTF8 support, but not 8BITMIME", rcpt("utf8", OK)], [HELLO, *SENT]),
        Case("discard", {}, ["discarding EHLO keywords: PIPELINING, DSN", rcpt("discard", OK)],
             [HELLO, *SENT], smtp_discard_ehlo_keywords="dsn pipelining"),
        Case("discard-map", {}, [rcpt("discard-map", OK)], [HELLO, *SENT],
             smtp_discard_ehlo_keyword_address_maps="inline:{ {127.0.0.1 = silent-discard, dsn} }"),
        # replies
        Case("noise", {"EHLO": PLAIN, "MAIL": "what is this?\n250 2.1.0 Ok"}, [rcpt("noise", OK)],
             [HELLO, *SENT]),
        Case("noise-pipelined", {"MAIL": "what is this?\n250 2.1.0 Ok"},
             [rf"warning: ID: non-ESMTP response from {HOST}:PORT1: what is this\?",
              "warning: to prevent loss of mail, turn off command pipelining for 127.0.0.1 with the "
              "smtp_discard_ehlo_keyword_address_maps parameter", rcpt("noise-pipelined", OK)],
             [HELLO, *SENT]),
        Case("filter", {"RCPT": "550 5.1.1 odd"},
             [rf'{HOST}:PORT1: replacing server reply "550 5\.1\.1 odd" with "250 2\.1\.5 fine"',
              rcpt("filter", r"dsn=.*")], [HELLO, *SENT],
             smtp_reply_filter="regexp:{ {/^550 5.1.1 odd/ 250 2.1.5 fine} }"),
        # firewalls
        Case("pix", {"": "220 *************0*2*****"},
             [rf"ID: enabling PIX workarounds: disable_esmtp for {HOST}:PORT1", rcpt("pix", OK)],
             ["HELO mail.example.test", *SENT]),
        Case("pix-old", {"": "220 *****"},
             [rf"ID: enabling PIX workarounds: delay_dotcrlf for {HOST}:PORT1", rcpt("pix-old", OK)],
             [HELLO, *SENT], smtp_pix_workaround_threshold_time="0", smtp_pix_workaround_delay_time="1",
             smtp_pix_workaround_maps="inline:{127.0.0.1=delay_dotcrlf}"),
        # XFORWARD
        Case("forward", {"EHLO": FORWARD}, [rcpt("forward", OK)],
             [HELLO, "XFORWARD NAME=localhost ADDR=127.0.0.1",
              "XFORWARD PROTO=ESMTP HELO=client.test SOURCE=LOCAL", *SENT],
             smtp_send_xforward_command="yes"),
        Case("forward-no", {"EHLO": FORWARD, "XFORWARD": "501 no"},
             [rf"warning: host {HOST}:PORT1 said: 501 no \(in reply to XFORWARD name/address command\)",
              rf"warning: host {HOST}:PORT1 said: 501 no \(in reply to XFORWARD helo/protocol command\)",
              rcpt("forward-no", OK)],
             [HELLO, "XFORWARD NAME=localhost ADDR=127.0.0.1",
              "XFORWARD PROTO=ESMTP HELO=client.test SOURCE=LOCAL", *SENT],
             smtp_send_xforward_command="yes"),
        # STARTTLS
        Case("tls-noted", {"EHLO": TLS}, [r"Host offered STARTTLS: \[127\.0\.0\.1\]", rcpt("tls-noted", OK)],
             [HELLO, *SENT], smtp_tls_note_starttls_offer="yes"),
        # hosts in turn
        Case("next", [{"": "421 4.3.2 not I"}, {}],
             [rf"ID: host {HOST} refused to talk to me: 421 4\.3\.2 not I", rcpt("next", OK, "PORT2")],
             ["QUIT"]),
        # The limit is for the hosts of one destination.
        Case("third", [{"": "421 4.3.2 a"}, {"": "421 4.3.2 b"}, {}],
             [rf"ID: host {HOST} refused to talk to me: 421 4\.3\.2 a",
              rf"ID: host {HOST} refused to talk to me: 421 4\.3\.2 b", rcpt("third", OK, "PORT3")],
             ["QUIT"], smtp_mx_session_limit="2"),
        Case("refused", [NOBODY], [
            rf"connect to {HOST}:PORT1: Connection refused",
            r"ID: to=<a@refused\.test>, relay=none, dsn=4\.4\.1, status=deferred "
            rf"\(connect to {HOST}:PORT1: Connection refused\)"], None),
        Case("refused-next", [NOBODY, {}],
             [rf"connect to {HOST}:PORT1: Connection refused", rcpt("refused-next", OK, "PORT2")], None),
        Case("final-next", [{"": "554 5.7.1 never"}, {}],
             [rcpt("final-next", rf"dsn=5\.7\.1, status=bounced {talk('554 5.7.1 never')}")], ["QUIT"],
             smtp_skip_5xx_greeting="no"),
        Case("next-final", [{"": "421 4.3.2 later"}, {"EHLO": "500 a", "HELO": "550 5.7.1 never"}, {}],
             [rf"ID: host {HOST} refused to talk to me: 421 4\.3\.2 later",
              rcpt("next-final", rf"dsn=5\.7\.1, status=bounced {talk('550 5.7.1 never')}", "PORT2")],
             ["QUIT"], smtp_mx_session_limit="5"),
        Case("lost-next", [{"MAIL": CLOSE}, {}],
             [rf"ID: lost connection with {HOST} while sending MAIL FROM", rcpt("lost-next", OK, "PORT2")],
             [HELLO, SENT[0]]),
        # LMTP
        Case("lhlo", {}, [rcpt("lhlo", OK)], ["LHLO mail.example.test", *SENT], lmtp=True),
        Case("lhlo-500", {"LHLO": "500 what?"},
             [rcpt("lhlo-500", rf"dsn=5\.0\.0, status=bounced {talk('500 what.')}")],
             ["LHLO mail.example.test", "QUIT"], lmtp=True),
        Case("lhlo-unix", {}, [r"ID: to=<a@lhlo-unix\.test>, relay=mail\.example\.test\[\S+/lmtp\], " + OK],
             ["LHLO mail.example.test", *SENT], lmtp=True, path=f"{directory}/lmtp"),
    ]


# They need the TLS of the client to be there, although nothing of it is used.
def make_tls():
    required = {"smtp_tls_security_level": "encrypt"}
    return [
        Case("tls-none", {}, [rcpt("tls-none", r"dsn=4\.7\.4, status=deferred "
                                   rf"\(TLS is required, but was not offered by host {HOST}\)")],
             [HELLO, "QUIT"], **required),
        Case("tls-later", {"EHLO": TLS, "STARTTLS": "454 4.7.0 later"},
             [rcpt("tls-later", r"dsn=4\.7\.0, status=deferred \(TLS is required, but host "
                   rf"{HOST} refused to start TLS: 454 4\.7\.0 later\)")],
             [HELLO, "STARTTLS", "QUIT"], **required),
        Case("tls-never", [{"EHLO": TLS, "STARTTLS": "554 5.7.0 never"}, {"EHLO": TLS}],
             [rcpt("tls-never", r"dsn=5\.7\.0, status=bounced \(TLS is required, but host "
                   rf"{HOST} refused to start TLS: 554 5\.7\.0 never\)")],
             [HELLO, "STARTTLS", "QUIT"], **required),
        Case("tls-may", {"EHLO": TLS, "STARTTLS": "454 4.7.0 later"}, [rcpt("tls-may", OK)],
             [HELLO, "STARTTLS", *SENT], smtp_tls_security_level="may"),
    ]


def main_cf(cases):
    """What leads each case's recipient to its transport."""
    return {"transport_maps": "inline:{ " + ", ".join(case.rule for case in cases) + " }",
            "relay_domains": " ".join(f"{case.name}.test" for case in cases),
            "smtp_tls_security_level": "none", "smtp_connection_cache_on_demand": "no"}


def services(cases):
    return "".join(case.service() for case in cases)


def submit(mail, cases):
    """A message for each."""
    with smtplib.SMTP("127.0.0.1", mail.smtp_port, local_hostname="client.test", timeout=WAIT_S) as smtp:
        for case in cases:
            smtp.sendmail("s@example.test", [f"a@{case.name}.test"], b"Subject: x\r\n\r\nhello\r\n")
