#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""The client's TLS: levels, policy maps and what can be wrong with servers and with tables."""

import os
import re
import sys
import tempfile
from types import SimpleNamespace

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import small_ca
import smtp_tls_cases
import tap
from instance import Instance, free_ports, wait_until

SMTP = "smtp unix - - n - - smtp\n"


def submit(mail, rcpts):
    with mail.smtp() as smtp:
        for rcpt in rcpts:
            smtp.sendmail("a@sender.test", [rcpt], "Subject: x\n\nhello\n")


def outcome(mail, i):
    wait_until(lambda: smtp_tls_cases.outcome(mail.log(), i), f"the outcome of c{i}.test")
    return smtp_tls_cases.outcome(mail.log(), i)


def check_case(mail, i, case):
    got = outcome(mail, i)
    tap.ok(re.fullmatch(case.want, got), case.name, f"{got}\nwanted {case.want}")
    for line in case.lines:
        line = smtp_tls_cases.fill(line, i, case)
        tap.ok(line in mail.log(), f"{case.name}: {line}")


def test_cases(mail, cases):
    submit(mail, [f"u@c{i}.test" for i in range(len(cases))])
    for i, case in enumerate(cases):
        check_case(mail, i, case)


def sessions(cases, name):
    i, case = next((i, case) for i, case in enumerate(cases) if case.name == name)
    return [s for s in case.server.sessions if s["to"] == smtp_tls_cases.addr(i)]


def test_dialogues(cases):
    """Nothing but QUIT after a certificate that will not do; nothing at all in the clear."""
    for name in ("verify, other name", "secure, self-signed", "fingerprint, other"):
        said = sessions(cases, name)[0]["said"]
        tap.ok(not [line for line in said if re.match("MAIL|RCPT|DATA|AUTH", line)], name, said)
    for name in ("encrypt, no offer", "encrypt, refused", "may, injected text"):
        said = [line for session in sessions(cases, name) for line in session["said"]]
        tap.ok(not [line for line in said if line.startswith("MAIL")], name, said)
    for name in ("unknown level", "secure, no anchor", "sts, other host", "dane-only"):
        tap.equal(sessions(cases, name), [], f"{name}: no connection")
    tap.equal(sessions(cases, "servername")[0]["sni"], "name.example.test", "SNI")
    tap.equal(sessions(cases, "encrypt")[0]["sni"], None, "no SNI unless asked for")


class Variant:
    """A service of its own with options of its own, to deliver to cI.test."""

    def __init__(self, name, server, want, **options):
        self.name, self.server, self.want, self.options = name, server, want, options

    def address(self, i):
        """Ours listens at one address only."""
        return "127.0.0.1" if isinstance(self.server, SimpleNamespace) else smtp_tls_cases.addr(i)

    def service(self, i):
        options = "".join(f"  -o {{ {key} = {value} }}\n" for key, value in self.options.items())
        return f"smtp{i} unix - - n - - smtp\n{options}"


def variants(s):
    """Nothing is said of TLS but what is said here."""
    client = s.ca.path("client.chain")
    good = {"smtp_tls_CAfile": s.ca.path("ca.pem"), "smtp_tls_secure_cert_match": "mx.example.test"}
    return [
        Variant("wrapper mode", s.wrapped, "tls=secure, dsn=2.0.0", smtp_tls_wrappermode="yes",
                smtp_tls_security_level="secure", **good),
        Variant("wrapper mode at level may", s.wrapped, "tls=may?, dsn=4.3.0, status=deferred "
                "(server unavailable or unable to receive mail)", smtp_tls_wrappermode="yes",
                smtp_tls_security_level="may"),
        Variant("wrapper mode without a level", s.wrapped, "tls=none?, dsn=4.3.0",
                smtp_tls_wrappermode="yes", smtp_tls_security_level=""),
        Variant("client certificate", s.strict, "tls=encrypt, dsn=2.0.0",
                smtp_tls_security_level="encrypt", smtp_tls_chain_files=client),
        Variant("no certificate, may", s.good, "tls=may:none, dsn=2.0.0",
                smtp_tls_security_level="may", smtp_tls_cert_file="/nonexistent"),
        Variant("no certificate, encrypt", s.good, "tls=encrypt?, dsn=4.7.5, status=deferred (TLS "
                "is required, but our TLS engine is unavailable)",
                smtp_tls_security_level="encrypt", smtp_tls_cert_file="/nonexistent"),
        Variant("a table that fails", s.good, "tls=unknown?, dsn=4.7.5, status=deferred (client "
                "TLS configuration problem)", smtp_tls_policy_maps="fail:x"),
        Variant("use", s.good, "tls=may, dsn=2", smtp_use_tls="yes", smtp_tls_security_level=""),
        Variant("enforce", s.good, "tls=!verify, dsn=4.7.5", smtp_enforce_tls="yes",
                smtp_tls_security_level=""),
        Variant("enforce without names", s.good, "tls=encrypt, dsn=2", smtp_enforce_tls="yes",
                smtp_tls_enforce_peername="no", smtp_tls_security_level=""),
        Variant("enforce and level", s.good, "tls=may, dsn=2", smtp_enforce_tls="yes",
                smtp_tls_security_level="may"),
        Variant("per site", s.good, "tls=encrypt, dsn=2",
                smtp_tls_per_site="static:MUST_NOPEERMATCH", smtp_tls_security_level="none"),
        Variant("per site, NONE", s.good, "tls=none, dsn=2",
                smtp_tls_per_site="static:NONE", smtp_tls_security_level="encrypt"),
        Variant("per site, MAY", s.good, "tls=encrypt, dsn=2",
                smtp_tls_per_site="static:MAY", smtp_tls_security_level="encrypt"),
        Variant("per site, MUST", s.good, "tls=!verify, dsn=4.7.5",
                smtp_tls_per_site="static:MUST", smtp_tls_security_level="none"),
        Variant("per site, nonsense", s.good, "tls=unknown?, dsn=4.7.5",
                smtp_tls_per_site="static:foo"),
        Variant("early reply", s.early, "tls=encrypt?, dsn=4.7.5, status=deferred (host ",
                smtp_tls_security_level="encrypt", smtp_tls_block_early_mail_reply="yes"),
        Variant("no tls=", s.good, "dsn=2.0.0", smtp_log_tls_feature_status="no",
                smtp_tls_security_level="may"),
        Variant("no DNSSEC", s.good, "tls=may, dsn=2.0.0", smtp_tls_security_level="dane"),
        Variant("no DNSSEC, dane-only", s.good, "tls=unknown?, dsn=4.7.5, status=deferred (client "
                "TLS configuration problem)", smtp_tls_security_level="dane-only"),
        Variant("plain next", s.garbage, "tls=none, dsn=2.0.0", smtp_tls_security_level="may",
                minimal_backoff_time="1s"),
        Variant("never plain", s.garbage, "tls=encrypt?, dsn=4.7.5",
                smtp_tls_security_level="encrypt", minimal_backoff_time="1s"),
    ]


def own_variants(s, ports):
    """Both ends are ours."""
    own, wrapped = (SimpleNamespace(port=port) for port in ports)
    names = {"smtp_tls_CAfile": s.ca.path("ca.pem"), "smtp_tls_secure_cert_match": "mx.example.test",
             "smtp_tls_verify_cert_match": "mx.example.test",
             "smtp_tls_fingerprint_cert_match": s.ca.key_fingerprint("good")}
    sent = "dsn=2.0.0, status=sent (250 2.0.0 Ok: "
    found = [Variant(f"own smtpd, {level}", own, f"tls={level}, {sent}",
                     smtp_tls_security_level=level, **names)
             for level in ("none", "may", "encrypt", "fingerprint", "verify", "secure")]
    return found + [Variant("own smtpd, wrapper mode", wrapped, f"tls=secure, {sent}",
                            smtp_tls_security_level="secure", smtp_tls_wrappermode="yes", **names)]


def own_services(s, ports):
    """They take everything and keep nothing."""
    options = ("  -o { smtpd_recipient_restrictions = check_recipient_access static:DISCARD }\n"
               f"  -o smtpd_tls_chain_files={s.ca.path('good.chain')}\n"
               "  -o smtpd_tls_security_level=may\n")
    return (f"127.0.0.1:{ports[0]} inet n - n - - smtpd\n{options}"
            f"127.0.0.1:{ports[1]} inet n - n - - smtpd\n{options}"
            "  -o smtpd_tls_wrappermode=yes\n")


FIRST = 100


def variants_cf(all_of_them):
    transports = ", ".join(
        f"{{ c{FIRST + i}.test = smtp{i}:[{v.address(FIRST + i)}]:{v.server.port} }}"
        for i, v in enumerate(all_of_them))
    return {"transport_maps": f"inline:{{ {transports} }}", "smtp_tls_loglevel": "1",
            "mynetworks": "127.0.0.0/8", "inet_protocols": "ipv4", "minimal_backoff_time": "1s",
            "queue_run_delay": "1s", "smtpd_relay_restrictions": "permit_mynetworks, reject"}


def check_variant(mail, i, v):
    want = re.escape(v.want)
    domain = rf"to=<u@c{FIRST + i}\.test>.* delays=[^,]*, "
    wait_until(lambda: re.search(domain + want, mail.log()), f"{v.name}: {v.want}")
    tap.ok(re.search(domain + want, mail.log()), v.name)


def test_variants(s):
    ports = free_ports(2)
    all_of_them = own_variants(s, ports) + variants(s)
    master = own_services(s, ports) + "".join(v.service(i) for i, v in enumerate(all_of_them))
    with Instance(variants_cf(all_of_them), master) as mail:
        submit(mail, [f"u@c{FIRST + i}.test" for i in range(len(all_of_them))])
        for i, v in enumerate(all_of_them):
            check_variant(mail, i, v)
        log = mail.log()
    tap.ok('smtp_tls_wrappermode requires "smtp_tls_security_level = encrypt" (or stronger)' in log,
           "wrapper mode: why not")
    tap.ok("client-signature RSA-PSS (2048 bits) client-digest SHA256" in log, "client: logged")
    tap.equal([x["cert"] for x in s.strict.sessions], [s.ca.der("client")], "client: it is ours")
    never = smtp_tls_cases.addr(FIRST + len(all_of_them) - 1)
    tap.ok(not [line for x in s.garbage.sessions if x["to"] == never for line in x["said"]
                if line.startswith("MAIL")], "never plain, however long it waits")


def test_sessions(s):
    """The second mail resumes the first one's session, over a connection of its own."""
    servers = (s.good, s.old)
    counts = [len(server.sessions) for server in servers]
    transports = ", ".join(f"{{ c{i}.test = smtp:[127.0.1.1]:{server.port} }}"
                           for i, server in enumerate(servers))
    with Instance({"transport_maps": f"inline:{{ {transports} }}", "inet_protocols": "ipv4",
                   "smtpd_relay_restrictions": "permit_mynetworks, reject",
                   "mynetworks": "127.0.0.0/8", "smtp_connection_cache_on_demand": "no",
                   "smtp_tls_security_level": "encrypt", "smtp_tls_loglevel": "2",
                   "smtp_tls_session_cache_database": "btree:/nowhere/smtp_scache"}, SMTP) as mail:
        for user in ("u", "v"):
            submit(mail, [f"{user}@c0.test", f"{user}@c1.test"])
            for i in (0, 1):
                mail.wait_for_log(rf"to=<{user}@c{i}\.test>.*status=sent")
        for server in servers:
            tap.ok(f"127.0.1.1[127.0.1.1]:{server.port}: Reusing old session" in mail.log(),
                   "resumed, says the client")
    for server, count in zip(servers, counts):
        tap.equal([x["resumed"] for x in server.sessions[count:]], [False, True],
                  "resumed, says the server")


def main():
    small_ca.find()
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o755)
        s = smtp_tls_cases.Servers(directory)
        cases = smtp_tls_cases.make(s)
        with Instance(smtp_tls_cases.main_cf(cases, s.ca), SMTP) as mail:
            test_cases(mail, cases)
            test_dialogues(cases)
        s.strict_with(s.ca)
        test_variants(s)
        test_sessions(s)


tap.run(main)
