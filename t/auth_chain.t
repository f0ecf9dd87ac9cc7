#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""authd's databases at work: nobody gets another user's data, and what the cache keeps."""

import base64
import itertools
import os
import re
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import tap  # pylint: disable=wrong-import-position
from instance import wait_until  # pylint: disable=wrong-import-position
from peer_auth import Instance  # pylint: disable=wrong-import-position

NAMES = ["alice", "bob", "al", "alice2", "root", "carol"]
DOMAINS = ["a.test", "b.test", "ab.test"]
USERS = [f"{n}@{d}" for n in NAMES for d in DOMAINS]


def line(user, domain_file=False):
    """Everything in an entry says whose it is."""
    name = user.split("@")[0] if domain_file else user
    return f"{name}:{{PLAIN}}pw-{user}:4711:4711::/home/{user}::userdb_mark={user} mark={user}\n"


ONE_FILE = """
passdb {
  driver = passwd-file
  args = {dir}/users
}
userdb {
  driver = passwd-file
  args = {dir}/users
}
"""
FILE_EACH = """
passdb {
  driver = passwd-file
  args = username_format=%n {dir}/users-%d
}
userdb {
  driver = passwd-file
  args = username_format=%n {dir}/users-%d
}
"""
PREFETCH = """
passdb {
  driver = passwd-file
  args = {dir}/users
}
userdb {
  driver = prefetch
}
userdb {
  driver = static
  args = uid=4711 gid=4711 home=/home/%u mark=%u
}
"""
STATIC = """
passdb {
  driver = static
  args = password=pw-%u mark=%u userdb_mark=%u
}
userdb {
  driver = static
  args = uid=4711 gid=4711 home=/home/%u mark=%u allow_all_users=yes
}
"""
CACHE = "auth_cache_size = 1M\n"
# A small one loses entries all the time.
SMALL_CACHE = "auth_cache_size = 2k\n"


def files():
    made = {"users": "".join(line(u) for u in USERS)}
    for domain in DOMAINS:
        made[f"users-{domain}"] = "".join(line(u, True) for u in USERS if u.endswith("@" + domain))
    return made


def whose(text):
    """All names that an answer speaks of."""
    return set(re.findall(r"[\w.]+@[\w.]+", text))


def try_pairs(auth, users, wrong):
    """Each user with each user's password; each that gets in is asked for."""
    pairs = list(itertools.product(users, USERS))
    answers = auth.plain_all([(a, "pw-" + b) for a, b in pairs])
    for (a, b), answer in zip(pairs, answers):
        if answer.startswith("OK") != (a == b):
            wrong.append((a, b, answer))
        if whose(answer) - {a}:
            wrong.append((a, b, "names of others", answer))


def follow_logins(auth, wrong, number):
    """Logins on a socket of login halves, and what the mailbox half is told of each."""
    c = auth.client("login/login", pid=number)
    m = auth.master()
    for i, user in enumerate(USERS, 1):
        response = base64.b64encode(f"\0{user}\0pw-{user}".encode()).decode()
        answer = c.ask(f"AUTH\t{i}\tPLAIN\tservice=imap\tresp={response}")
        told = m.ask(f"REQUEST\t{i}\t{number}\t{i}\t{c.cookie}")
        asked = m.ask(f"USER\t{1000 + i}\t{user}\tservice=imap")
        for text in (answer, told, asked):
            if whose(text) != {user}:
                wrong.append((user, text))
    c.close()
    m.close()


def test_pairs():
    chains = {"one file": ONE_FILE, "a file per domain": FILE_EACH, "prefetch": PREFETCH,
              "static": STATIC}
    for (name, chain), cache in itertools.product(chains.items(), ["", CACHE, SMALL_CACHE]):
        wrong = []
        with Instance(cache + chain, files()) as auth:
            threads = [threading.Thread(target=try_pairs, args=(auth, USERS[i::3], wrong))
                       for i in range(3)]
            threads += [threading.Thread(target=follow_logins, args=(auth, wrong, 100 + i))
                        for i in range(3)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            if cache == CACHE:
                try_pairs(auth, USERS, wrong)
        tap.equal(wrong, [], f"{name}, {cache.strip() or 'no cache'}: {len(USERS) ** 2} pairs")


def login(auth, user, password):
    return auth.plain_all([(user, password)])[0].split("\t")[0]


CACHED = "auth_cache_size = 1M\n" + """
passdb {
  driver = passwd-file
  args = {dir}/users
}
userdb {
  driver = static
  args = uid=4711 gid=4711 home=/h allow_all_users=yes
}
"""


def test_cache():
    with Instance(CACHED, {"users": "u:{PLAIN}one\nv:{PLAIN}one\n"}) as auth:
        tap.equal(login(auth, "u", "one"), "OK", "a login")
        tap.equal(login(auth, "nobody", "one"), "FAIL", "an unknown user")
        auth.write("users", "u:{PLAIN}two\nnobody:{PLAIN}one\n")
        tap.equal(login(auth, "u", "one"), "OK", "the cache still knows the old password")
        tap.equal(login(auth, "u", "two"), "OK", "after a success a wrong one is looked up")
        tap.equal(login(auth, "u", "one"), "FAIL", "and then the old one is gone")
        tap.equal(login(auth, "nobody", "one"), "FAIL", "an unknown user stays unknown")
        tap.equal(login(auth, "v", "one"), "FAIL", "who was not asked for is not kept")
        m = auth.master()
        tap.equal(m.ask("CACHE-FLUSH\t1\tnobody"), "OK\t1\t1", "a flush of one")
        tap.equal(login(auth, "nobody", "one"), "OK", "and now he is known")
        tap.equal(m.ask("CACHE-FLUSH\t2"), "OK\t2\t3", "a flush of all")
        tap.equal(m.ask("CACHE-FLUSH\t3"), "OK\t3\t0", "nothing is left")


def test_failing_backend():
    config = CACHED.replace("1M\n", "1M\nauth_cache_ttl = 1 s\n")
    with Instance(config, {"users": "u:{PLAIN}one\n"}) as auth:
        tap.equal(login(auth, "u", "one"), "OK", "a login")
        os.rename(auth.path("users"), auth.path("away"))
        said = set()

        def falls_back():
            said.add(login(auth, "u", "one"))
            return "Falling back to expired data from cache" in auth.log()

        wait_until(falls_back, "the entry expires")
        tap.equal(said, {"OK"}, "an expired entry is better than none")
        tap.like(auth.plain_all([("x", "one")])[0], "code=temp_fail", "others have none")


# CVE-2025-30189: what tells clients apart must be in the key.
BY_ADDRESS = "auth_cache_size = 1M\n" + """
passdb {
  driver = passwd-file
  args = username_format=%u-%r {dir}/users
}
"""


def test_keys():
    users = "u-10.0.0.1:{PLAIN}one::::::mark=one\nu-10.0.0.2:{PLAIN}two::::::mark=two\n"
    with Instance(BY_ADDRESS, {"users": users}) as auth:
        for _ in range(2):
            for ip, good, bad in (("10.0.0.1", "one", "two"), ("10.0.0.2", "two", "one")):
                answers = auth.plain_all([("u", good, f"rip={ip}"), ("u", bad, f"rip={ip}")])
                tap.equal(answers, [f"OK\tN\tuser=u\tmark={good}", "FAIL\tN\tuser=u"], ip)
        tap.equal(auth.plain_all([("u-10.0.0.1", "one")])[0][:4], "FAIL", "names do not run together")


BAD_NAMES = ["", "..", ".", "a/b", "../users", "a@..", "u\0v", "\0", "%u", "%{env:HOME}", "a b",
             "'", '"', "u\n", "u\t", "\x01", "u:x", "#", "u*root", "a" * 513, "\xe4", "~", "u\\"]


def test_bad_input():
    long_password = "x" * 5000
    with Instance(FILE_EACH, files()) as auth:
        answers = auth.plain_all([(name, "x") for name in BAD_NAMES])
        tap.equal([a.split("\t")[0] for a in answers], ["FAIL"] * len(BAD_NAMES), "names")
        passwords = ["", long_password, "x\ty", "x\ny", "\x01", "pw-alice@a.test\0", " pw-alice@a.test"]
        answers = auth.plain_all([("alice@a.test", p) for p in passwords])
        tap.equal([a.split("\t")[0] for a in answers], ["FAIL"] * len(passwords), "passwords")
        c = auth.client()
        c.say("AUTH\t1\tPLAIN\tservice=smtp\tresp=" + base64.b64encode(
            b"\0alice@a.test\0" + b"x" * 65536).decode())
        tap.equal(c.read(), "", "64 KiB: the connection ends")
        tap.equal(login(auth, "alice@a.test", "pw-alice@a.test"), "OK", "the others live on")
        m = auth.master()
        for name in ["../users", "a@..", "..", "u@../../etc/passwd"]:
            tap.equal(m.ask(f"USER\t1\t{name}\tservice=x"), "NOTFOUND\t1", f"USER {name}")
        tap.unlike(auth.log(), "users-\\.\\.", "no file of such a name was looked for")


def test_master_lines():
    """What drops a master connection, and what does not."""
    with Instance(ONE_FILE, files()) as auth:
        for text in ("NONSENSE\t1", "USER\t1", "USER\t1\talice@a.test", "USER\tx\talice@a.test\tservice=x",
                     "PASS\t1\talice@a.test", "LIST\tx", "LIST", "CACHE-FLUSH", "REQUEST\t1"):
            tap.equal(auth.master().ask(text), "", f"dropped: {text!r}")
        m = auth.master()
        tap.equal(m.ask("USER\t1\talice@a.test\tservice=x\tbogus=1").split("\t")[:3],
                  ["USER", "1", "alice@a.test"], "unknown parameters are passed over")
        m.say("LIST\t2\tuser=?l*@b.test\tservice=x")
        tap.equal([m.read() for _ in range(4)],
                  ["LIST\t2\talice@b.test", "LIST\t2\tal@b.test", "LIST\t2\talice2@b.test",
                   "DONE\t2\t"], "a mask")


tap.run(test_pairs, test_cache, test_failing_backend, test_keys, test_bad_input,
        test_master_lines)
