#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Chains of passdb blocks beside a real Dovecot 2.3: the same answers, the same log lines.

All chains stand in one configuration; each has names of its own and its blocks a username_filter.
"""

import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import peer_dovecot  # pylint: disable=wrong-import-position
import tap  # pylint: disable=wrong-import-position
from peer_auth import both  # pylint: disable=wrong-import-position

RULES = ["return-ok", "return", "return-fail", "continue", "continue-ok", "continue-fail"]
OUTCOMES = {"ok": "success", "mismatch": "failure", "unknown": "failure", "fail": "internalfail"}


def block(chain, outcome, rule):
    if outcome == "fail":
        source = "driver = static\n args = password=%{none}\n"
    else:
        source = "driver = passwd-file\n args = scheme=PLAIN {dir}/users-" + outcome + "\n"
    return ("passdb {\n " + source + f" username_filter = {chain}\n"
            f" result_{OUTCOMES[outcome]} = {rule}\n" + "}\n")


def two_block_chains():
    """(name, blocks) for each pair of outcomes and rules."""
    for a in OUTCOMES:
        for a_rule in RULES:
            yield f"{a}-{a_rule}", [(a, a_rule)]
            for b in OUTCOMES:
                for b_rule in RULES:
                    yield f"{a}-{a_rule}.{b}-{b_rule}", [(a, a_rule), (b, b_rule)]


def three_block_chains():
    """A third block, which says yes or no, behind those that go on."""
    goes_on = [r for r in RULES if r.startswith("continue")]
    for a in OUTCOMES:
        for a_rule in goes_on:
            for b in OUTCOMES:
                for b_rule in goes_on:
                    for c in ("ok", "unknown"):
                        yield (f"{a}-{a_rule}.{b}-{b_rule}.{c}",
                               [(a, a_rule), (b, b_rule),
                                (c, "return-ok" if c == "ok" else "continue")])


def test_rules():
    chains = list(two_block_chains()) + list(three_block_chains())
    config = "".join(block(f"c{i}", *b) for i, (_, blocks) in enumerate(chains) for b in blocks)
    names = [f"c{i}" for i in range(len(chains))]
    files = {
        "users-ok": "".join(f"{n}:pw\n" for n in names),
        "users-mismatch": "".join(f"{n}:other\n" for n in names),
        "users-unknown": "nobody:x\n",
    }
    compare_all(config, files, [(what, n, "pw") for n, (what, _) in zip(names, chains)])


# Extra fields of a static passdb.  Ours differs on purpose where no password at all would be one.
FIELDS = [
    "password=x user=bob", "password=x username=bob", "password=x domain=dd", "password=x username=b@c",
    "password=x login_user=victim", "password=x nopassword=y", "nopassword=y", "nopassword=", "user=zz",
    "password=x user=", "password=x nologin", "password=x nologin=y reason=Closed",
    "password=x proxy=y host=192.0.2.1", "password=x proxy_maybe host=192.0.2.1 pass=other",
    "password=x proxy=y master=mm", "password=x fail=y", "password=x allow_nets=10.0.0.0/8,local",
    "password=x allow_nets=10.0.0.1", "password=x allow_nets=10.3.2.1/8",
    "password=x allow_nets=10.9.9.9/33", "password=x allow_real_nets=10.0.0.0/8",
    "password=x k_a=1 forward_b=2 event_c=3 userdb_d=4", "password=x userdb_d=4", "password=x nodelay",
    "password=x noauthenticate", "password=x k=1 k:protected=2 z=1 z:remove=", "password={PLAIN}x",
    "password={NONSENSE}x", "password={SHA256}zz", "password=x delay_until=1",
    "password=x delay_until=abc", "password=x delay_until=1+x", "password=x delay_until=9999999999",
    "password=x original_user=oo auth_user=au", "password=x anonymous", "password=x reason=%{zz}",
    "password=%{zz}", "password=%w", "password=x k=%u:%n:%d:%r:%l:%s:%m:%w:%{session}",
    "password=x userdb_uid=nobody userdb_user=other",
]
VARIABLES = [
    "%u", "%n", "%d", "%s", "%h", "%l", "%r", "%p", "%w", "%m", "%c", "%a", "%b", "%k", "%{cert}",
    "%{login_user}", "%{login_domain}", "%{session}", "%{real_rip}", "%{real_lport}",
    "%{domain_first}", "%{domain_last}", "%{master_user}", "%{session_pid}", "%{orig_user}",
    "%{orig_username}", "%{auth_user}", "%{auth_domain}", "%{local_name}", "%{client_id}",
    "%{hostname}", "%{env:NO_SUCH}", "%{userdb:x}", "%{passdb:x}", "%{passdb:x:def}", "%%u", "%%%u",
    "%LRu", "%Eu", "%Xa", "%Nu", "%256Nu", "%2.256Nu", "%Hu", "%5.100Hu", "%Mu", "%Dd", "%1u", "%2.1u",
    "%-2u", "%-2.2u", "%0.-2u", "%04a", "%020u", "%99.2u", "%L2u", "%z", "%{zz}", "%{}", "%{user",
    "%{sha512:user}", "%{sha256;truncate=12:user}", "%{sha256;rounds=0:user}",
    "%{sha256;rounds=2,format=base64,salt=%n:user}", "%{nohash:user}", "%{if;%s;eq;smtp;a;b}",
    "%{if;%s;eq;pop3;a;b}", "%{if;2;<=;2;y;n}", "%{if;a;==;b;y;n}", "%{if;abc;*;a*;y;n}",
    "%{if;abc;~;^a.c$;y;n}", "%{if;abc;~;[;y;n}", "%{if;abc;zz;a;y;n}", "%{if;%s;eq;x}", "%{if}",
    "%{if;%{if;a;eq;a;x;y};eq;x;Y;N}",
]
CLIENT = "rip=10.9.9.9\tlip=10.1.1.1\tlport=143\trport=5555\tsession=se\tlocal_name=ln\tsecured"


def static_block(chain, args):
    return (f"passdb {{\n driver = static\n args = {args}\n username_filter = {chain} {chain}@*\n"
            " result_failure = return\n}\n")


def without_own(seen):
    """Of a master's login the peer's line does not say who it was."""
    answer, *log = seen if isinstance(seen, tuple) else (seen,)
    return answer, [[line for line in lines if "Master user logging in" not in line]
                    for lines in log]


def test_fields():
    config = "auth_username_format = %u\n"
    config += "".join(static_block(f"f{i}", args) for i, args in enumerate(FIELDS))
    logins = [(f"{args}: {what}", f"f{i}{domain}", password, params)
              for i, args in enumerate(FIELDS)
              for what, domain, password, params in (("right", "@dom", "x", CLIENT),
                                                     ("wrong", "", "y", ""))]
    lookups = [(f"{args}: PASS", f"PASS\t{i + 1}\tf{i}@dom\tservice=x\trip=10.1.1.1")
               for i, args in enumerate(FIELDS)
               if "proxy_maybe" not in args and "SHA256" not in args]
    compare_all(config, {}, logins, lookups, without_own)


def test_variables():
    config = "auth_username_format = %u\n"
    config += "".join(static_block(f"v{i}", f"password=x k={text}.")
                      for i, text in enumerate(VARIABLES))
    compare_all(config, {}, [(text, f"v{i}@Sub.Dom", "x", CLIENT)
                             for i, text in enumerate(VARIABLES)])


ENTRIES = """a@d:{PLAIN}pw:5000:5001::/home/a::userdb_quota=big userdb_x=%u allow_nets=10.0.0.0/8 k=v
b@d:{PLAIN}pw:bad:5001::/home/b::userdb_y=1
c@d:{PLAIN}pw:0:0::/home/%u::userdb_y=1
d@d:{PLAIN}pw:5000::::: userdb_uid=6000 userdb_user=renamed userdb_home=/x/%n
e@d:{PLAIN}pw:::::/bin/sh::maildir:/m/e
f@d:{PLAIN}pw:5000:5000::::userdb_tempfail=yes
g@d:{PLAIN}pw:5000:5000:gecos text:/home/g:/bin/sh
h@d:{PLAIN}pw
i@d:pw[13]
k@d:{PLAIN}pw:nobody:nogroup::/k::userdb_q:protected=1 userdb_system_user=nobody userdb_a=b
l@d:{PLAIN}a[b:1:1
m@d::1:1::/m::nopassword
n@d:{PLAIN}pw:1:1::/n::password={PLAIN}zz
o@d:pw:1:1::/o::nopassword=y
p@d:{PLAIN}pw:1:1::/n::userdb_user= x=
q@d:{PLAIN}pw:1:1::/n::userdb_home=%{none}
r@d:{PLAIN}pw:1:1::/r::k=%{none}
"""
USERDBS = {
    "passwd-file": "userdb {\n driver = passwd-file\n args = {dir}/u\n"
                   " default_fields = quota=small z=9 home=/dflt\n override_fields = ov=%u w=1\n}\n",
    "prefetch": "userdb {\n driver = prefetch\n}\nuserdb {\n driver = static\n"
                " args = uid=nobody gid=12 home=/s/%u quota=st\n}\n",
    "two": "userdb {\n driver = passwd-file\n args = {dir}/u\n result_success = continue-ok\n}\n"
           "userdb {\n driver = static\n args = uid=1 gid=1 home=/%u x=2 allow_all_users=yes\n"
           " skip = notfound\n}\n",
    "none": "",
}


def test_users():
    users = [line.split(":")[0] for line in ENTRIES.splitlines()] + ["none@d"]
    for name, userdb in USERDBS.items():
        config = "passdb {\n driver = passwd-file\n args = {dir}/u\n}\n" + userdb
        compare_all(config, {"u": ENTRIES}, [(f"{name}: login {u}", u, "pw", "rip=10.1.1.1")
                                             for u in users],
                    [(f"{name}: USER {u}", f"USER\t{i + 1}\t{u}\tservice=imap\trip=10.1.1.1")
                     for i, u in enumerate(users)], answer_only)


def answer_only(seen):
    return seen[0] if isinstance(seen, tuple) else seen


MASTERS = "root1:{PLAIN}mp:::::: k=m userdb_a=1\nroot2:{PLAIN}mp::::::user=boss\n*:{PLAIN}zz\n"
VICTIMS = "alice:{PLAIN}ap::::::k=u userdb_b=2\nbob:{PLAIN}bp::::::nologin\nroot1:{PLAIN}up\n"


def test_masters():
    logins = [("alice*root1", "mp"), ("alice*root1", "ap"), ("alice*root1", "x"), ("alice*root2", "mp"),
              ("alice*none", "mp"), ("root1*root1", "mp"), ("root1*root1", "up"), ("*root1", "mp"),
              ("alice*", "ap"), ("alice", "ap"), ("root1", "mp"), ("a*b*root1", "mp"),
              ("Alice*ROOT1", "mp"), ("bob*root1", "mp"), ("root1", "mp", "", "alice"),
              ("root1", "x", "", "alice"), ("alice", "ap", "", "alice"), ("alice", "ap", "", "bob"),
              ("root1", "up", "", "root1"), ("root1", "mp", "", "a/b"), ("alice*root1", "mp", "", "bob")]
    for more in ("", "result_success = continue\n", "pass = yes\n result_failure = return-fail\n"):
        config = ("auth_master_user_separator = *\n" +
                  "passdb {\n driver = passwd-file\n args = {dir}/m\n master = yes\n " + more + "}\n" +
                  "passdb {\n driver = passwd-file\n args = {dir}/u\n}\n")
        compare_all(config, {"m": MASTERS, "u": VICTIMS},
                    [(f"{' '.join(more.split())} {login}", *login) for login in logins], (),
                    answer_only)


def compare_all(config, files, logins, lookups=(), normal=lambda seen: seen):
    """LOGINS are (what, user, password, ...), each user in one of them; LOOKUPS (what, line)."""
    seen = {}
    for it in both(config, files):
        with it:
            answers = it.plain_all([login[1:] for login in logins])
            told = log_by_user(it, [login[1] for login in logins])
            for login, answer in zip(logins, answers):
                seen[it.name, login[0]] = (answer, told.get(login[1], []))
            master = it.master()
            for what, line in lookups:
                seen[it.name, what] = master.ask(line).replace(it.dir, "{dir}")
    for what, *_ in [*logins, *lookups]:
        tap.equal(normal(seen["ours", what]), normal(seen["peer", what]), what)


def log_by_user(instance, users):
    found = {}
    wanted = set(users)
    for line in instance.auth_lines():
        name = re.search(r"\(([^,()]*)[,)]", line)
        if name and name[1] in wanted:
            found.setdefault(name[1], []).append(line)
    return found


def run_all():
    if os.geteuid() != 0:
        tap.skip_all("needs root")
    if not peer_dovecot.programs():
        tap.skip_all("no Dovecot 2.3 is installed (dovecot-core)")
    tap.run(test_rules, test_fields, test_variables, test_users, test_masters)


run_all()
