#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Which recipients of relayed domains smtpd takes, beside a real Postfix's."""

import os
import sys

sys.path.insert(0, os.path.join(os.environ.get("PC_SRCDIR", "."), "t", "lib"))
import instance                                       # noqa: E402
import peer_postfix                                   # noqa: E402
import side_by_side                                   # noqa: E402
import tap                                            # noqa: E402
from smtp_dialogue import Dialogue                    # noqa: E402

MAIN = {**side_by_side.MAIN, "relay_domains": "relay.test, open.test, .sub.test", "mynetworks": "192.0.2.0/24",
        "smtpd_relay_restrictions": "reject_unauth_destination", "smtpd_recipient_limit": "1000",
        "recipient_delimiter": "+", "smtpd_hard_error_limit": "1000", "smtpd_soft_error_limit": "1000"}
RECIPIENTS = (
    "known@relay.test", "Known@RELAY.test", "known+ext@relay.test", "other@relay.test", "any@open.test",
    "any@x.open.test", "any@x.sub.test", "any@sub.test", "postmaster@relay.test", "double-bounce@relay.test",
    "known%far.test@relay.test", "far.test!known@relay.test", "\"known\"@relay.test", "\"a b\"@relay.test",
    "a@b@relay.test", "virtual@relay.test", "canonical@relay.test", "x@far.test",
)
MAPS = "relay_recipient_maps", "inline:{ {known@relay.test=x} {@open.test=x} {x@x.sub.test=x} }"
CONFIGS = {
    "maps": dict([MAPS]),
    "another code": dict([MAPS], unknown_relay_recipient_reject_code="450", show_user_unknown_table_name="no"),
    "aliases": dict([MAPS], virtual_alias_maps="inline:{virtual@relay.test=known@relay.test}",
                    canonical_maps="inline:{canonical@relay.test=known@relay.test}"),
    "no maps": {},
    "a failing map": {"relay_recipient_maps": "fail:x"},
    "no parents": dict([MAPS], parent_domain_matches_subdomains=""),
    "unlisted ones": dict([MAPS], smtpd_reject_unlisted_recipient="no"),
}


def replies(side):
    with Dialogue(side.smtp_port) as d:
        d.ask("EHLO x")
        d.ask("MAIL FROM:<a@far.test>")
        return [side_by_side.neutral(d.ask(f"RCPT TO:<{r}>")) for r in RECIPIENTS]


def compare(name):
    values = {**MAIN, **CONFIGS[name]}
    with peer_postfix.PeerPostfix(values) as peer, instance.Instance(main=values) as ours:
        for recipient, got, want in zip(RECIPIENTS, replies(ours), replies(peer)):
            tap.equal(got, want, f"{name}: {recipient}")


def main():
    peer_postfix.find()
    tap.run(*(lambda n=name: compare(n) for name in CONFIGS))


main()
