#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""The tree keeps to its layers, and check-layers finds a file that does not."""

import os
import subprocess
import sys
import tempfile

TREE = os.environ.get("PC_SRCDIR", os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CHECK = os.path.join(TREE, "t", "check-layers")

# file, line in it, whether that is right
CASES = [
    ("lib/base/map.c", '#include "base/map.h"', True),
    ("lib/base/map.c", '#include "config.h"', True),
    ("lib/base/map.c", '#include "sys/file.h"', False),
    ("lib/base/map.c", '#include "log/log.h"', False),
    ("lib/sys/file.c", '#include "log/log.h"', False),
    ("lib/log/log.c", '#include "sys/socket.h"', True),
    ("lib/log/log.c", '#include "net/stream.h"', False),
    ("lib/mail/addr.c", '#include "log/log.h"', False),
    ("lib/net/stream.h", '#include "log/log.h"', True),
    ("lib/net/stream.h", '  #  include "ipc/msg.h"', False),
    ("lib/conf/params.c", '#include "net/addr.h"', False),
    ("lib/intake/intake.c", '#include "table/table.h"', True),
    ("lib/intake/intake.c", '#include "base/slice.h" /* through four layers */', True),
    ("lib/intake/intake.c", '#include "deliver/deliver.h"', False),
    ("lib/store/mailbox.c", '#include "queue/queue.h"', False),
    ("lib/server/server.c", '#include "auth/auth.h"', False),
    ("lib/surprise/new.c", "", False),
    ("extra/new.c", "", False),
    ("smtpd/smtpd.c", '#include "intake/intake.h"', True),
    ("smtpd/smtpd.c", '#include "smtpd/session.h"', True),
    ("smtpd/smtpd.c", '#include "qmgr/active.h"', False),
    ("lib/server/server.c", '#include "smtpd/session.h"', False),
    ("smtpd/smtpd.c", '#include "session.h"', False),
    ("smtpd/smtpd.c", '#include "smtpd/../qmgr/active.h"', False),
    ("smtpd/smtpd.c", '#include "../qmgr/active.h"', False),
    ("smtpd/smtpd.c", "#include HEADER", False),
    ("smtpd/smtpd.c", "#include <sys/socket.h>", True),
    ("lib/net/tls.c", "#include <openssl/ssl.h>", True),
    ("lib/net/tls_server.c", "#include <openssl/ssl.h>", True),
    ("lib/net/tls.h", "#include <openssl/ssl.h>", False),
    ("lib/net/deep/tls.c", "#include <openssl/ssl.h>", False),
    ("lib/base/digest.c", "#include <openssl/evp.h>", True),
    ("lib/base/codec.c", "#include <openssl/evp.h>", False),
    ("lib/base/codec.c", '#include "openssl/evp.h"', False),
    ("authd/sasl.c", "#include <sasl/sasl.h>", True),
    ("smtpd/auth.c", "#include <sasl/sasl.h>", False),
    ("lib/store/index_uid.c", "#include <lmdb.h>", True),
    ("lib/store/mailbox.c", "#include <lmdb.h>", False),
    ("lib/sys/sandbox.c", "#include <seccomp.h>", True),
    ("master/master.c", "#include <linux/landlock.h>", False),
    ("lib/conf/dns.c", "#include <ares.h>", False),
    ("lib/auth/hash.c", "#include <crypt.h>", True),
    ("authd/hash.c", "#include <crypt.h>", False),
    ("t/unit/test_any.c", '#include "anything.h"', True),
]


def run(tree):
    return subprocess.run([CHECK, tree], stdout=subprocess.PIPE, text=True, check=False)


def plant(path, line):
    """What check-layers says of a tree with this file and one good one."""
    with tempfile.TemporaryDirectory() as tree:
        for name, text in (("lib/base/good.c", "#include <stdio.h>"), (path, line)):
            target = os.path.join(tree, name)
            os.makedirs(os.path.dirname(target), exist_ok=True)
            with open(target, "w", encoding="utf-8") as file:
                file.write(text + "\n")
        return run(tree)


def main():
    failed = 0
    print(f"1..{len(CASES) + 2}")
    with tempfile.TemporaryDirectory() as empty:
        results = [("the tree", run(TREE), True), ("no sources", run(empty), False)]
    results += [(f"{path}: {line}", plant(path, line), right) for path, line, right in CASES]
    for number, (name, result, right) in enumerate(results, 1):
        good = result.returncode == (0 if right else 1)
        failed += not good
        print(f"{'ok' if good else 'not ok'} {number} - {name.replace('#', '')}")
        if not good:
            print(result.stdout, file=sys.stderr)
    return 1 if failed else 0


sys.exit(main())
