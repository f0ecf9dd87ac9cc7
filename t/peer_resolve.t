#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Where mail goes: our resolver beside a real Postfix's trivial-rewrite, which is asked over its own
socket.  Each configuration is a service of its own there."""

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.environ.get("PC_SRCDIR", "."), "t", "lib"))
import instance                                       # noqa: E402
import peer_postfix                                   # noqa: E402
import tap                                            # noqa: E402

MAIN = {
    "myhostname": "mail.here.test", "mydomain": "here.test", "myorigin": "$mydomain",
    "mydestination": "$myhostname, localhost.$mydomain, localhost, here.test",
    "inet_interfaces": "127.0.0.1", "proxy_interfaces": "192.0.2.7", "inet_protocols": "ipv4",
    "mynetworks": "127.0.0.0/8", "relay_domains": "relay.test", "recipient_delimiter": "+",
    "virtual_alias_domains": "alias.test", "virtual_alias_maps": "",
    "virtual_mailbox_domains": "box.test", "virtual_mailbox_maps": "", "local_recipient_maps": "",
    "append_dot_mydomain": "yes",
}
# By class, then odd ones.
ADDRESSES = (
    "user@here.test", "user@mail.here.test", "USER@Here.Test", "user", "user@localhost",
    "user@[127.0.0.1]", "user@[192.0.2.7]", "user@[192.0.2.8]", "user@[IPv6:::1]",
    "user@[ipv6:2001:db8::1]", "user@alias.test", "user@box.test", "User@BOX.test", "user@sub.box.test",
    "user@relay.test", "user@sub.relay.test", "user@xrelay.test", "user@far.test", "user+ext@far.test",
    "other@far.test", "user@sub.far.test", "user@a.b.far.test", "user@far", "postmaster",
    "double-bounce@mail.here.test", "MAILER-DAEMON",
    "user%far.test@here.test", "user%far.test", "user%box.test@here.test", "a%b%far.test@here.test",
    "user%far.test@far.test", "user%relay.test@relay.test", "far.test!user@here.test", "far.test!user",
    "a!b!user@here.test", "a!user%far.test@here.test", "user@far.test@here.test",
    "user@box.test@here.test", "user@far.test@box.test", "user@here.test@far.test",
    "user@far.test@alias.test", "a@b@relay.test", "user@here.test@here.test", "user%here.test@here.test",
    "user%", "%far.test", "!user", "user!", "user@", "@far.test", "user%@here.test", "a!@here.test", "@",
    "user@@here.test", "user@@far.test", "user@far.test.", "user@here.test.", "user@far.test..",
    "user@.far.test", "user@far..test", "user@-far.test", "user@far-.test", "user@far_x.test",
    "user@1.2.3.4", "user@127.0.0.1", "user@192.0.2.7", "user@[1.2.3]", "user@[]", "user@[1.2.3.4", "user@1",
    "user@[far.test]", "user@[1.2.3.4].far.test", "-user@far.test", "-user", "--@far.test", "a b@far.test",
    "a b%far.test@here.test", "user@a b", "(x)user@far.test", "user@(x)far.test", "\"user@far.test",
    "us\"er@far.test", "us\\er@far.test", "user@far\\.test", "<user@far.test>", "user;x@far.test",
    "user,x@far.test", "a:user@far.test", "@here.test:user@far.test", "@far.test,@here.test:user@box.test",
    "@here.test:user", "user@far.test:25", "user@far/test", "user@" + "x" * 63 + ".test",
    "user@" + "x" * 64 + ".test", "user@" + ".".join(["x" * 60] * 5), "u" * 300 + "@far.test",
    "user@localhost.here.test", "user@xn--mller-kva.test", "moved@far.test", "moved@here.test", "moved",
    "moved+x@far.test", "any@moved.test", "moved@box.test", "moved@alias.test", "user@up.test",
    "user%up.test@here.test", "user@two.test", "user@three.test",
)
SENDERS = ("s@sender.test", "", "S+x@Sender.test", "x@other.test", "local", "d@sender.test")
MAPS = ("{user@far.test=one:} {far.test=two:[hop]:26} {.far.test=three:hop, hop2} {here.test=four} "
        "{localhost=local:$myhostname} {sub.relay.test=:[other]} {relay.test=:} {box.test=:hop} "
        "{alias.test=six:there} {user@box.test=error:5.7.1 closed} {other@far.test=error:closed} "
        "{user@[192.0.2.8]=lit:} {far.here.test=dots:} {moved.test=seven:hop:25} {user=bare:} {up.test=smtp:UP.Test}")
RELOCATED = ("relocated_maps = inline:{ {moved@far.test=new@place.test} {moved=bare@place.test} "
             "{@moved.test=the moon} {moved@box.test=5.2.1 gone} {moved@alias.test=4.2.1 away} }")
# Name: what is other than in MAIN, "name = value" each.
CONFIGS = {
    "defaults": (),
    "relayhost": ("relayhost = [hub]:25",),
    "relayhost, a domain": ("relayhost = Hub.test",),
    "no routes": ("swap_bangpath = no", "allow_percent_hack = no"),
    "quoted": ("resolve_dequoted_address = no",),
    "min user": ("allow_min_user = yes",),
    "numeric": ("resolve_numeric_domain = yes",),
    "null domain": ("resolve_null_domain = yes",),
    "nothing appended": ("append_at_myorigin = no", "append_dot_mydomain = no"),
    "nothing here": ("mydestination =",),
    "transports": ("local_transport = lmtp:unix:/x", "virtual_transport = lmtp:inet:box:24",
                   "relay_transport = smtp:[gate]:25", "default_transport = uucp:neighbour"),
    "transports without hop": ("local_transport = loc", "virtual_transport = vir:", "relay_transport = rel:",
                               "default_transport = def:", "relayhost = hub"),
    "transports that refuse": ("local_transport = error:no local mail", "virtual_transport = error:5.1.1 no",
                               "default_transport = error:outside", "relay_transport = error:4.3.0 x"),
    "transport_maps": ("transport_maps = inline:{ %s }" % MAPS,),
    "transport_maps, relayhost": ("transport_maps = inline:{ %s }" % MAPS, "relayhost = hub"),
    "transport for all": ("transport_maps = inline:{ *=star: {.test=dot:x} }",),
    "hop for all": ("transport_maps = inline:{ *=:everywhere }", "relayhost = hub"),
    "nothing for all": ("transport_maps = inline:{ {*=:} }", "relayhost = hub"),
    "transport for all parents": ("transport_maps = inline:{ {far.test=two:} {test=top:} }",
                                  "parent_domain_matches_subdomains = transport_maps, relay_domains"),
    "no parents": ("parent_domain_matches_subdomains =",),
    "dotted": ("parent_domain_matches_subdomains =", "relay_domains = .relay.test, relay.test"),
    "transport_maps by pattern": ("transport_maps = regexp:{ {/^user@far/ one:} {/\.test/ two:} }",),
    "no delimiter": ("recipient_delimiter =", "transport_maps = inline:{ {user@far.test=one:} }"),
    "relocated": (RELOCATED,),
    "relocated, no prefix": (RELOCATED, "relocated_prefix_enable = no"),
    "relocated and transport": (RELOCATED, "transport_maps = inline:{ {*=star:} }"),
    "a sender's relayhost": ("relayhost = hub", "sender_dependent_relayhost_maps = inline:{ {s@sender.test=[own]} "
                             "{<>=nullhub} {@other.test=other:26} {d@sender.test=DUNNO} {local@here.test=here} }"),
    "a sender's relayhost, no other": (
        "sender_dependent_relayhost_maps = inline:{ {s@sender.test=[own]} {@other.test=dunno} {<>=[nullhub]} }",
        "transport_maps = inline:{ {relay.test=:} {far.test=slow:} }"),
    "a sender's transport": ("relayhost = hub", "default_transport = smtp:gate",
                             "sender_dependent_default_transport_maps = inline:{ {s@sender.test=own:} {<>=null:n} "
                             "{@other.test=:nexthop} {d@sender.test=DUNNO} {local=error:5.7.1 no} }"),
    "a sender's both": ("sender_dependent_default_transport_maps = inline:{ {s@sender.test=own} {<>=null:n} "
                        "{@other.test=:nexthop} {d@sender.test=DUNNO:x} }",
                        "sender_dependent_relayhost_maps = inline:{ {s@sender.test=[own]} {@other.test=o} {<>=n} "
                        "{d@sender.test=dhub} }"),
    "keys of nobody": ("empty_address_relayhost_maps_lookup_key = nobody",
                       "empty_address_default_transport_maps_lookup_key = none",
                       "sender_dependent_relayhost_maps = inline:{ {nobody=[a]} {<>=b} }",
                       "sender_dependent_default_transport_maps = inline:{ {none=c:} {<>=d:} }"),
    "nobody's address": ("empty_address_recipient = nobody",),
    "a domain in three classes": ("mydestination = three.test, two.test, far.test",
                                  "virtual_alias_domains = three.test, two.test, here.test, box.test",
                                  "virtual_mailbox_domains = three.test, here.test, box.test, relay.test",
                                  "relay_domains = three.test, box.test"),
    "the same, without a word": ("mydestination = two.test, here.test", "virtual_alias_domains = two.test, here.test",
                                 "helpful_warnings = no"),
    "tables of domains": ("mydestination = inline:{here.test=x far.test=x}", "relay_domains = inline:{relay.test=x}",
                          "virtual_mailbox_domains = inline:{{box.test=x} {sub.box.test=y}}",
                          "virtual_alias_domains = regexp:{{/alias/ x}}"),
    "a table fails": ("transport_maps = fail:x",),
    "a list fails": ("relay_domains = fail:x",),
    "hidden tables": ("show_user_unknown_table_name = no",),
}
CLASSES = {256: "local", 512: "alias", 1024: "mailbox", 2048: "relay", 4096: "default"}
ROUTED, ERROR, FAIL = 2, 4, 8


def external(address):
    """As Postfix quotes it."""
    local, at, domain = address.rpartition("@") if "@" in address else (address, "", "")
    if not re.fullmatch(r"[^\x00-\x20()<>@,;:\\\".\[\]\x7f]+(?:\.[^\x00-\x20()<>@,;:\\\".\[\]\x7f]+)*", local):
        local = '"' + re.sub(r'(["\\\r])', r"\\\1", local) + '"'
    return local + at + domain


def internal(address):
    local, at, domain = address.rpartition("@") if "@" in address else (address, "", "")
    return re.sub(r"\\(.)|\"", r"\1", local) + at + domain


class Rewrite:
    """A connection to a service of trivial-rewrite's."""

    def __init__(self, path, min_user=False):
        self.min_user = min_user
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(60)
        self.sock.connect(path)
        self.buffer = b""
        self._attributes()  # it names its protocol first

    def _attributes(self):
        while True:
            at = 0
            while at < len(self.buffer) and self.buffer[at:at + 1] != b"\0":
                for _ in range(2):
                    at = self.buffer.find(b"\0", at) + 1 or len(self.buffer)
            if at < len(self.buffer):
                words = self.buffer[:at].decode().split("\0")
                self.buffer = self.buffer[at + 1:]
                return list(zip(words[0::2], words[1::2]))
            data = self.sock.recv(65536)
            if not data:
                raise EOFError("trivial-rewrite closed the connection")
            self.buffer += data

    def _ask(self, *request):
        self.sock.sendall("\0".join((*request, "")).encode() + b"\0")
        return self._attributes()

    def rewrite(self, address):
        """The canonical form, which comes first in Postfix, too."""
        found = self._ask("request", "rewrite", "rule", "local", "address", external(address))
        return internal(dict(found)["address"])

    def resolve(self, sender, address):
        found = self._ask("request", "resolve", "sender", sender, "address", self.rewrite(address))
        values = dict(found)
        flags = int(found[-1][1])
        if flags & FAIL:
            return "! 4.3.0"
        if flags & ERROR:
            return "! 5.1.3"
        kind = CLASSES.get(flags & 0x1f00, str(flags)) + (" routed" if flags & ROUTED else "")
        if values["recipient"].startswith("-") and not self.min_user:
            return "! 5.1.3"  # qmgr says so
        return "\t".join((values["transport"], values["nexthop"], values["recipient"], kind))


def ask_ours(tool, directory, settings, questions):
    with open(os.path.join(directory, "main.cf"), "w", encoding="utf-8") as f:
        f.writelines(f"{name} = {value}\n" for name, value in MAIN.items())
        f.writelines(line + "\n" for line in settings)
    done = subprocess.run([tool, directory], input="".join(f"{s}\t{a}\n" for s, a in questions),
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=120, check=True)
    return [re.sub(r"^(! \d\.\d\.\d).*", r"\1", line) for line in done.stdout.splitlines()], done.stderr


def doubles(log):
    return sorted(set(re.findall(r"warning: (do not list domain .*)", log)))


def questions_of(name):
    if "sender" in name or "nobody" in name:
        return [(s, a) for s in SENDERS for a in ADDRESSES[:30]]
    return [("s@sender.test", a) for a in ADDRESSES]


# What differs on purpose.
DIFFERENT = {
    "user@[1.2.3.4": "a bracket alone is no literal", "user@far\\.test": "no backslash in a domain",
    "@here.test:user@far.test": "source routes are dropped", "@here.test:user": "source routes are dropped",
    "@far.test,@here.test:user@box.test": "source routes are dropped",
}


def compare(name, settings, tool, directory, peer, number):
    questions = questions_of(name)
    got, said = ask_ours(tool, directory, settings, questions)
    skip = len(peer.log())
    bad = []
    if name == "relocated, no prefix" and peer_postfix.version() < (3, 11):
        tap.skip("relocated_prefix_enable came with 3.11", name)
        return
    for (sender, address), ours in zip(questions, got):
        # After a table has failed it serves nobody for a while.
        rewrite = Rewrite(peer.path(f"spool/private/rewrite{number}"), name == "min user")
        want = rewrite.resolve(sender, address)
        rewrite.sock.close()
        if ours != want and address not in DIFFERENT:
            bad.append(f"<{sender}> to <{address}>:\n  ours {ours!r}\n  peer {want!r}")
    if name.endswith(" fails"):  # who finds which error first
        bad = [x for x in bad if "to <-" not in x]
    tap.ok(not bad and len(got) == len(questions), f"{name}: {len(questions)} addresses", "\n".join(bad))
    tap.equal(doubles(said), doubles(peer.log()[skip:]), f"{name}: domains in two classes")


def main():
    peer_postfix.find()
    tool = os.path.join(os.environ.get("PC_TOOLS", os.environ["PC_BUILDDIR"]), "t/resolve_tool")
    peer = peer_postfix.PeerPostfix({**MAIN, "smtpd_relay_restrictions": "reject"})
    chosen = {n: s for n, s in CONFIGS.items() if len(sys.argv) < 2 or n in sys.argv[1:]}
    with open(peer.path("etc/master.cf"), "a", encoding="ascii") as f:
        for number, settings in enumerate(chosen.values()):
            f.write(f"rewrite{number} unix - - n - 1 trivial-rewrite\n")
            f.writelines(f"    -o {{ {line} }}\n" for line in settings)
    directory = tempfile.mkdtemp(prefix="postcote-resolve-")
    try:
        open(os.path.join(directory, "master.cf"), "w", encoding="ascii").close()
        with peer:
            for number, (name, settings) in enumerate(chosen.items()):
                try:
                    compare(name, settings, tool, directory, peer, number)
                except (OSError, EOFError, ValueError, subprocess.SubprocessError) as error:
                    tap.ok(False, name, f"{error!r}\n{peer.log()[-2000:]}")
    finally:
        shutil.rmtree(directory)
    tap.done()


main()
