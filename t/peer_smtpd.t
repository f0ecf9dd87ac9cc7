#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""The same dialogues with our smtpd and with a real Postfix: replies and log lines are compared.

DIFFERENT lists what is meant to differ, with the reason.
"""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import instance  # noqa: E402
import peer_postfix  # noqa: E402
import side_by_side  # noqa: E402
import tap  # noqa: E402

MAIN = {
    "myhostname": "mail.example.test", "mydomain": "example.test", "myorigin": "example.test",
    "mydestination": "", "local_recipient_maps": "", "mynetworks": "192.0.2.0/24",
    "virtual_mailbox_domains": "example.test",
    "virtual_mailbox_maps": "inline:{alice@example.test=example.test/alice/ "
                            "bob@example.test=example.test/bob/}",
    "smtpd_relay_restrictions": "permit_sasl_authenticated, reject_unauth_destination",
    "smtpd_recipient_restrictions": "", "smtpd_recipient_limit": "3",
    "smtpd_error_sleep_time": "0", "smtpd_soft_error_limit": "100",
    "smtpd_hard_error_limit": "8", "smtpd_junk_command_limit": "5",
    "message_size_limit": "20000", "mailbox_size_limit": "20000", "virtual_mailbox_limit": "20000",
    "hopcount_limit": "10", "smtputf8_enable": "no",
    "smtpd_forbidden_commands": "CONNECT GET POST",
    "smtpd_forbid_bare_newline": "normalize", "smtpd_forbid_bare_newline_exclusions": "",
    "smtpd_forbid_unauth_pipelining": "yes", "smtpd_tls_security_level": "none",
    "smtpd_client_connection_count_limit": "0", "smtpd_client_connection_rate_limit": "0",
}
START = ["EHLO client.example.net"]
MAIL = START + ["MAIL FROM:<sender@example.net>"]
RCPT = MAIL + ["RCPT TO:<bob@example.test>"]
DATA = RCPT + ["DATA"]

# Name, steps.  A step is a command whose reply is read, or bytes that are sent as they are and
# whose replies are counted.
CASES = {
    "HELO": ["HELO client.example.net", "HELO", "HELO a b", "EHLO", "EHLO a b"],
    "HELO with odd bytes": ["HELO a(b)c;<d>", "HELO \\\"@", "HELO [127.0.0.1]", "HELO [IPv6:::1]"],
    "order": ["MAIL FROM:<a@example.net>", "RSET", "RCPT TO:<bob@example.test>", "DATA",
              "DATA x", "EHLO x", "MAIL FROM:<a@example.net>", "MAIL FROM:<a@example.net>"],
    "order 2": MAIL + ["DATA", "RCPT TO:<nobody@example.test>", "DATA", "RSET", "RCPT TO:<a@b.c>"],
    "EHLO ends a transaction": MAIL + START + ["RCPT TO:<bob@example.test>"],
    "HELO ends a transaction": MAIL + ["HELO x", "RCPT TO:<bob@example.test>"],
    "MAIL syntax": START + ["MAIL", "MAIL FROM", "MAIL FROM:", "MAIL TO:<a@b>", "MAIL FROM <a@b>",
                            "MAIL FROM:a b", "MAIL FROM:<a@b"],
    "MAIL syntax 2": START + ["MAIL FROM:<a@b>>", "RSET", "MAIL FROM:<a b@c>", "MAIL FROM:<@>",
                              "MAIL FROM:<a@>", "RSET", "MAIL FROM:<\"a b\"@example.net>", "RSET"],
    "MAIL without brackets": START + ["MAIL FROM:a@example.net", "RSET", "MAIL FROM: <a@example.net>",
                                      "RSET", "mail from:<>", "RSET", "MAIL FROM: <>", "RSET",
                                      "MAIL FROM : <a@example.net>"],
    "MAIL options": START + ["MAIL FROM:<a@b.c> SIZE=100", "RSET", "MAIL FROM:<a@b.c> SIZE=30000",
                             "MAIL FROM:<a@b.c> SIZE=", "MAIL FROM:<a@b.c> SIZE=-1",
                             "MAIL FROM:<a@b.c> SIZE=18446744073709551616",
                             "MAIL FROM:<a@b.c> FOO=bar", "MAIL FROM:<a@b.c> SIZE"],
    "MAIL options 2": START + ["MAIL FROM:<a@b.c> BODY=8BITMIME SIZE=1", "RSET",
                               "MAIL FROM:<a@b.c> body=7bit", "RSET", "MAIL FROM:<a@b.c> BODY=x",
                               "MAIL FROM:<a@b.c> AUTH=<>", "RSET"],
    "RCPT syntax": MAIL + ["RCPT", "RCPT TO", "RCPT TO:", "RCPT TO:<>", "RCPT FROM:<a>",
                           "RCPT TO:<bob@example.test> FOO"],
    "RCPT syntax 2": MAIL + ["RCPT TO:<\"\">", "RCPT TO:<a@b@example.test>", "RCPT TO:<a b>",
                             "RCPT TO:<\"a@example.test>", "RCPT TO:<bob@example.test>>"],
    "RCPT": MAIL + ["RCPT TO:<bob@example.test>", "RCPT TO: bob@example.test", "rcpt to:<BOB@Example.Test>",
                    "RCPT TO:<alice@example.test>"],
    "RCPT source route": MAIL + ["RCPT TO:<@a.b,@c.d:bob@example.test>", "RCPT TO:<@a.b:x@y.z>"],
    "RCPT refused": MAIL + ["RCPT TO:<nobody@example.test>", "RCPT TO:<x@example.org>",
                            "RCPT TO:<x%example.org@example.test>", "RCPT TO:<postmaster>",
                            "RCPT TO:<x@[127.0.0.1]>", "RCPT TO:<bob>"],
    "RCPT too many": MAIL + ["RCPT TO:<bob@example.test>"] * 3 + ["RCPT TO:<alice@example.test>"] * 12
    + ["NOOP"],
    "non-ASCII": START + ["MAIL FROM:<\xc3\xa4@example.net>", "MAIL FROM:<\xe4@example.net>"],
    "NOOP and so on": ["NOOP", "NOOP x", "RSET x", "RSET", "VRFY", "VRFY bob@example.test",
                       "VRFY <bob@example.test>", "VRFY nobody@example.test", "VRFY x@example.org"],
    "QUIT": START + ["QUIT"],
    "QUIT with words": START + ["QUIT now"],
    "unknown": ["FOO", "", " ", "helo", "EXPN bob", "TURN", "\x01\x02"],
    "unknown 2": ["HELO\tx", "NOOP ", " NOOP", "no\x00op", "SEND FROM:<x>", "AUTH PLAIN"],
    "STARTTLS is off": START + ["STARTTLS", "STARTTLS x"],
    "AUTH is off": START + ["AUTH", "AUTH PLAIN AGEAYg==", "AUTH FOO"],
    "other protocols": ["GET / HTTP/1.0"],
    "other protocols 2": ["CONNECT x:25 HTTP/1.1"],
    "other protocols 3": ["POST /x HTTP/1.1"],
    "a message as commands": ["Subject: x"],
    "errors": START + ["FOO"] * 10,
    "errors of many kinds": START + ["RCPT TO:<x>", "DATA", "MAIL FROM:<", "FOO", "RSET x", "BAR",
                                     "DATA", "HELO", "NOOP"],
    "junk": START + ["NOOP"] * 20,
    "junk 2": START + ["RSET", "VRFY bob@example.test"] * 10,
    "errors are forgiven": START + ["FOO"] * 5 + MAIL + RCPT[-1:] + ["DATA", "x: y\r\n\r\n."]
    + ["FOO"] * 5 + ["NOOP"],
    "a message": DATA + ["Subject: x\r\n\r\nbody\r\n.", "QUIT"],
    "an empty message": DATA + [".", "MAIL FROM:<>"],
    "body only": DATA + ["body\r\n."],
    "bare LF": DATA + [b"Subject: x\n\nbody\n.\nmore\r\n.\r\n", "QUIT"],
    "LF.LF": DATA + [b"x\r\n\r\na\n.\nNOOP\r\n.\r\n", "QUIT"],
    "CRLF.LF": DATA + [b"x\r\n\r\na\r\n.\nNOOP\r\n.\r\n", "QUIT"],
    "LF.CRLF": DATA + [b"x\r\n\r\na\n.\r\nNOOP\r\n.\r\n", "QUIT"],
    "CR.CR": DATA + [b"x\r\n\r\na\r.\rNOOP\r\n.\r\n", "QUIT"],
    "CRLF.CR": DATA + [b"x\r\n\r\na\r\n.\rNOOP\r\n.\r\n", "QUIT"],
    "CR.CRLF": DATA + [b"x\r\n\r\na\r.\r\nNOOP\r\n.\r\n", "QUIT"],
    "CRLF NUL.CRLF": DATA + [b"x\r\n\r\na\r\n\0.\r\nNOOP\r\n.\r\n", "QUIT"],
    "CRLF.CRCRLF": DATA + [b"x\r\n\r\na\r\n.\r\r\nNOOP\r\n.\r\n", "QUIT"],
    "too big": DATA + ["x: y\r\n\r\n" + "0123456789\r\n" * 2000 + ".", "NOOP"],
    "too many hops": DATA + ["Received: x\r\n" * 20 + "\r\n.", "NOOP"],
    "after a refused message": DATA + ["Received: x\r\n" * 20 + "\r\n.", "DATA", "RCPT TO:<bob@example.test>"],
    "pipelining": [b"EHLO x\r\nMAIL FROM:<a@b.c>\r\n"],
    "pipelining after DATA": RCPT + [b"DATA\r\nSubject: x\r\n"],
    "pipelining of MAIL": START + [b"MAIL FROM:<a@b.c>\r\nRCPT TO:<bob@example.test>\r\nRSET\r\n",
                                   "QUIT"],
    "pipelining after NOOP": START + [b"NOOP\r\nNOOP\r\n"],
    "pipelining after VRFY": START + [b"VRFY bob@example.test\r\nNOOP\r\n"],
    "pipelining after RSET": START + [b"RSET\r\nNOOP\r\n", "QUIT"],
    "pipelining after QUIT": START + [b"QUIT\r\nNOOP\r\n"],
    "a message by lost connection": DATA + [b"Subject: x\r\n"],
    "lost after MAIL": MAIL,
    "lost after RCPT": RCPT,
    "nothing": [],
    "BDAT": RCPT + [b"BDAT 5\r\nab\r\nx", "NOOP", "MAIL FROM:<a@b.c>", "RCPT TO:<bob@example.test>",
                    "DATA", b"BDAT 5 LAST\r\nc\r\nd.", "BDAT 0 LAST", "QUIT"],
    "BDAT of nothing": RCPT + ["BDAT 0 LAST", "BDAT 0 LAST", "QUIT"],
    "BDAT null": RCPT + ["BDAT 0", "BDAT 0 LAST", "BDAT 0 LAST"],
    "BDAT syntax": RCPT + ["BDAT"],
    "BDAT syntax 2": RCPT + ["BDAT 1 LAST x"],
    "BDAT syntax 3": RCPT + ["BDAT -1"],
    "BDAT syntax 4": START + ["BDAT 18446744073709551616"],
    "BDAT without MAIL": START + [b"BDAT 3\r\nabc", "MAIL FROM:<a@b.c>", "RCPT TO:<bob@example.test>",
                                  "DATA", "VRFY bob@example.test", "RSET", "MAIL FROM:<a@b.c>"],
    "BDAT without RCPT": MAIL + [b"BDAT 3\r\nabc", b"BDAT 3 LAST\r\nabc", "NOOP"],
    "BDAT too big": RCPT + [b"BDAT 15000\r\n" + b"x" * 15000, b"BDAT 9000\r\n" + b"x" * 9000,
                            "BDAT 0 LAST", "DATA", "RSET"],
    "BDAT far too big": RCPT + [b"BDAT 99999999\r\nabc"],
    "BDAT and too many hops": RCPT + [b"BDAT 260\r\n" + b"Received: x\r\n" * 20, "BDAT 0 LAST", "DATA"],
    "BDAT cut": RCPT + [b"BDAT 5\r\nabcde", b"BDAT 10\r\nabc"],
    "BDAT by HELO": ["HELO x", "MAIL FROM:<a@b.c>", b"BDAT 3\r\nabc"],
    "EHLO between chunks": RCPT + [b"BDAT 3\r\nabc"] + START + ["RCPT TO:<x>", "RSET", "BDAT 0 LAST"],
    "commands between chunks": RCPT + [b"BDAT 3\r\nabc", "STARTTLS", "AUTH PLAIN", "VRFY bob@example.test",
                                       "FOO", "QUIT"],
    "RET": START + ["MAIL FROM:<a@b.c> RET=FULL", "RSET", "MAIL FROM:<a@b.c> RET=x",
                    "MAIL FROM:<a@b.c> RET=HDRS RET=HDRS", "MAIL FROM:<a@b.c> RET=",
                    "MAIL FROM:<a@b.c> RET"],
    "ENVID": START + ["MAIL FROM:<a@b.c> ENVID=a+20b", "RSET", "MAIL FROM:<a@b.c> ENVID=a=b", "RSET",
                      "MAIL FROM:<a@b.c> envid=" + "x" * 200, "RSET", "MAIL FROM:<a@b.c> ENVID=",
                      "MAIL FROM:<a@b.c> ENVID=+00", "MAIL FROM:<a@b.c> ENVID=+0D+0A",
                      "MAIL FROM:<a@b.c> ENVID=a+2"],
    "ENVID 2": START + ["MAIL FROM:<a@b.c> ENVID=+E4", "MAIL FROM:<a@b.c> ENVID=+7f",
                        "MAIL FROM:<a@b.c> ENVID=a ENVID=b"],
    "NOTIFY": MAIL + ["RCPT TO:<bob@example.test> NOTIFY=NEVER",
                      "RCPT TO:<bob@example.test> NOTIFY=success,Failure,DELAY",
                      "RCPT TO:<bob@example.test> NOTIFY=DELAY,DELAY,"],
    "NOTIFY 2": MAIL + ["RCPT TO:<bob@example.test> NOTIFY=NEVER,DELAY",
                        "RCPT TO:<bob@example.test> NOTIFY=", "RCPT TO:<bob@example.test> NOTIFY",
                        "RCPT TO:<bob@example.test> NOTIFY=DELAY NOTIFY=DELAY"],
    "ORCPT": MAIL + ["RCPT TO:<bob@example.test> ORCPT=rfc822;a+2Bb@c",
                     "RCPT TO:<bob@example.test> ORCPT=rfc822;", "RCPT TO:<bob@example.test> ORCPT=x;a=b"],
    "ORCPT 2": MAIL + ["RCPT TO:<bob@example.test> ORCPT=", "RCPT TO:<bob@example.test> ORCPT=;a",
                       "RCPT TO:<bob@example.test> ORCPT=rfc822", "RCPT TO:<bob@example.test> ORCPT=rfc822;a+2",
                       "RCPT TO:<bob@example.test> ORCPT=rfc822;a ORCPT=rfc822;b"],
    # hostile-input rows 23, 24, 26 and 32.
    "sender syntax": START + [step for address in (
        "a@[1.2.3.4]", "a@[IPv6:::1]", "a..b@c", ".a@c", "a@b_c", "\"\"@b.c", "a", "@x,@y:a@b.c",
        "\"`id`\"@x", "|cmd@x", "${run{...}}@x", "x" * 900 + "@b.c", "\"a@b\"@c.d", "a@b@c", "a%b@c",
        "a!b", "\"a\\\"b\"@c", "a\\ b@c", "a@xn--4ca.c", "a@127.1")
        for step in (f"MAIL FROM:<{address}>", "RSET")],
    "sender syntax 2": START + [f"MAIL FROM:<{address}>" for address in (
        "a@[foo]", "a@b..c", "a@.b", "a;b@c", "a,b@c", "a@-b", "a@b c")],
    "sender syntax 3": START + [f"MAIL FROM:<{address}>" for address in (
        "a@1.2.3.4", ";/bin/id;@x", "a@" + "x" * 300, "a@b.c" * 10, "a@b.c-")],
    "recipient syntax": MAIL + [f"RCPT TO:<{address}>" for address in (
        "\"\"", "bob@[::1]", "bob@", "@example.test", "bob@example..test", "bob@-x.y")],
    "recipient syntax 2": MAIL + [f"RCPT TO:<{address}>" for address in (
        "\"\"@example.test", "bob@EXAMPLE.test", "@a,@b:bob@example.test", "bob@example.test.",
        "PostMaster", "x" * 900 + "@example.test")],
    "recipient syntax 3": MAIL + ["RCPT TO:postmaster", "RCPT TO:bob@example.test",
                                  "RCPT TO:<\"bob\"@example.test>", "RCPT TO:<example.test!bob>"],
    "HELO syntax": [f"HELO {name}" for name in (
        "a\tb", "a\\b", "[1.2.3.4] x", "a \"b\" c", "(x) y", "<x>", "[fe80::1%eth0]", "[IPv6:fe80::1%1]",
        "a\x01b", "a\x7fb", "x" * 1500)] + ["MAIL FROM:<a@b.c>", "RCPT TO:<x@y.z>"],
    "HELO in the log": ["HELO a b\tc\x01(d)", "MAIL FROM:<a@b.c>", "RCPT TO:<x@y.z>"],
    "SIZE syntax": START + [f"MAIL FROM:<a@b.c> SIZE={size}" for size in (
        "99999999999999999999", "9223372036854775807", "9223372036854775808", "1x", "-0")],
    "ETRN": ["ETRN x", "ETRN", "ETRN x y", "ETRN -x", "ETRN @x", "ETRN [127.0.0.1]", "ETRN #x", "ETRN ["],
    "ETRN in a transaction": MAIL + ["ETRN x"],
    "VRFY": START + ["VRFY bob@example.test FOO", "VRFY bob smith", "VRFY \"b s\"@example.test",
                     "VRFY <>", "VRFY @x:bob@example.test", "VRFY postmaster"],
    "RSET without EHLO": [b"RSET\r\nRSET\r\n"],
    "pipelining after HELO": ["HELO x", b"QUIT\r\nRSET\r\n"],
    "a long command": START + ["NOOP " + "x" * 2000, "NOOP"],
}

# (case, session, reply): it differs as the pattern for ours says, for this reason; or (case, "log").
DIFFERENT = {
    ("MAIL syntax", "log"): "we log each address that is none",
    ("errors of many kinds", "log"): "we log each address that is none",
    ("MAIL syntax 2", 0, 2): ("^501 5.1.7 Bad sender", "bytes behind the path are an error"),
    ("MAIL syntax 2", "log"): "that one is logged",
    ("RCPT syntax 2", 0, 7): ("^501 5.1.3 Bad recipient", "bytes behind the path are an error"),
    ("RCPT syntax 2", "log"): "that one is logged",
    ("non-ASCII", 0, 2): ("^553 5.6.7 Must declare SMTPUTF8", "we have no SMTPUTF8, and keep to 7 bits"),
    ("non-ASCII", 0, 3): ("^553 5.6.7 Must declare SMTPUTF8", "as above"),
    ("non-ASCII", "log"): "so the counts differ",
    ("unknown", 0, 7): (r"^(500 5\.5\.2|221 2\.7\.0) ", "3.7 drops the client, so does 3.11's default"),
    ("unknown", "log"): "so the counts differ",
    ("recipient syntax", 0, 6): ("^501 5.1.3 Bad recipient", "an address has a local part"),
    ("recipient syntax", "log"): "so it is logged as another thing",
    ("unknown 2", 0, 4): ("^500 5.5.2 Error: bad UTF-8 syntax", "a NUL ends no command"),
}

# Cases that say what a Postfix does since that version.
SINCE = {
    # Before, a refused chunk and BDAT LAST end the peer's process.
    "BDAT null": (3, 11), "BDAT too big": (3, 11), "BDAT far too big": (3, 11),
}


def test_of(case, steps):
    def run():
        side_by_side.compare(case, [steps], the_mail, the_peer, DIFFERENT)
    run.__name__ = case
    return run


peer_postfix.find()
only = sys.argv[1:]
with peer_postfix.PeerPostfix(MAIN) as the_peer, instance.Instance(main=MAIN) as the_mail:
    for side in (the_mail, the_peer):
        side_by_side.settle(side)
    tap.run(*[test_of(case, steps) for case, steps in CASES.items()
              if (not only or case in only) and SINCE.get(case, (0, 0)) <= peer_postfix.version()])
