#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""The message as a server gets it: lines, conversion to 7 bits, checks and generic maps."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import content_cases                                  # noqa: E402
import instance                                       # noqa: E402
import tap                                            # noqa: E402
from content_cases import BODY, CTE, HEAD, MIX        # noqa: E402

QP = b"b=C3=A4r =3D x\ttab=20\nsecond =20\nthird=09\n\nplain\n.\n.dot\n"
WANT = {
    ("convert", "no word of 8bit"): HEAD + b"\n" + BODY,
    ("convert", "8bit"): HEAD + b"MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n" + CTE +
    b"quoted-printable\n\n" + QP,
    ("convert", "multipart that says nothing"): HEAD + MIX + b"\n--yy\n" + CTE +
    b"quoted-printable\n\n" + QP + b"--yy--\n",
    ("convert", "too deep"): None,
    ("unconverted", "8bit"): HEAD + CTE + b"8bit\n\n" + BODY,
    ("plain", "8bit"): HEAD + CTE + b"8bit\n\n" + BODY,
    ("plain", "dots"): HEAD + b"\n.\n..\n.x\nx.\n",
    ("plain", "stray CR"): HEAD + b"X: a b\n\na b\n .\n. .\n x\n",
    ("checked", "lines"): HEAD + b"\nbody\nbefore\nprep x\ninstead\n0rep\nREJ\nlong" + b"g" * 994 + b"\n " +
    b"g" * 997 + b"\n " + b"g" * 997 + b"\n " + b"g" * 12 + b"\n\nX-Ignore: v\n.\nend\n",
    ("generic", "after checks"): HEAD.replace(b"a@virt.test", b"x@gen.test") +
    b"X-Seen: bob@rem.test\n\nx\n",
}


def wire(text):
    return text and text.replace(b"\n.", b"\n..").replace(b"\n", b"\r\n")


def without_id(data):
    return data and b"\r\n".join(
        line for line in data.split(b"\r\n") if not line.startswith(b"Message-Id: "))


def test_messages(side):
    for (transport, case), want in WANT.items():
        got = without_id(side.message(transport, case))
        tap.equal(got, wire(want), f"{transport}: {case}")
    for transport, server in side.servers.items():
        bare = b"".join(server.messages).replace(b"\r\n", b"")
        tap.ok(b"\r" not in bare and b"\n" not in bare, f"{transport}: no bare CR or LF")


def test_envelopes(side):
    said = side.servers["generic"].lines()
    tap.ok(any(line.startswith("MAIL FROM:<envel@gen.test>") for line in said), "sender", said)
    tap.ok("RCPT TO:<rob@gen.test>" in said, "recipient", said)


def test_log(mail, ids):
    tap.like(mail.log(), r"to=<bob@convert\.test>, relay=127\.0\.0\.1\[127.*dsn=5\.6\.0, "
             r"status=bounced \(MIME nesting exceeds safety limit\)", "nested too deep")
    for name, _ in content_cases.FAILING:
        queue_id = ids[name, "failing"]
        tap.like(mail.log(), rf"{queue_id}: to=<.*dsn=4\.3\.0, status=deferred \(local data error while "
                 r"talking to 127\.0\.0\.1\[127\.0\.0\.1\]\)", f"{name}: deferred")
    tap.like(mail.log(), r"unsupported command in smtp_header_checks map: REJECT bla", "no REJECT")


def main():
    mail = instance.Instance()
    os.makedirs(mail.path("tables"))

    def write_file(name, text):
        with open(mail.path("tables", name), "w", encoding="utf-8") as f:
            f.write(text)
        return mail.path("tables", name)

    side = content_cases.Side(write_file)
    with open(mail.path("etc/postfix/main.cf"), "a", encoding="utf-8") as f:
        f.writelines(f"{k} = {v}\n" for k, v in side.main.items())
    with open(mail.path("etc/postfix/master.cf"), "a", encoding="utf-8") as f:
        f.write(side.master)
    mail.own(mail.dir)
    with mail:
        ids = side.send_all(mail)
        test_messages(side)
        test_envelopes(side)
        test_log(mail, ids)


tap.run(main)
