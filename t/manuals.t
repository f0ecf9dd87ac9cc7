#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""mandoc finds nothing to warn of in the manual pages, each program has one, and main.cf(5) and
dovecot.conf(5) know every parameter."""

import glob
import os
import re
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "lib"))
import tap  # noqa: E402

TREE = os.environ.get("PC_SRCDIR", os.path.dirname(HERE))
BUILD = os.environ.get("PC_BUILDDIR", os.path.join(TREE, "build"))
PAGES = sorted(set(glob.glob(TREE + "/doc/*.[1-8]")) | set(glob.glob(BUILD + "/doc/*.[1-8]")))


def test_pages():
    for page in PAGES:
        name = os.path.basename(page)
        if not shutil.which("mandoc"):
            tap.skip("mandoc is not installed", name)
            continue
        # Style findings are about pages that are not installed.
        got = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", page], capture_output=True,
                             text=True, timeout=60, check=False)
        tap.equal(got.stdout + got.stderr, "", name)


def test_parameters():
    with open(TREE + "/lib/conf/postfix_params.def", encoding="utf-8") as f:
        rows = re.findall(r'^PARAM\(\w+, \w+, "(\w+)".*", (YES|NO|OLD),', f.read(), re.M)
    with open(BUILD + "/doc/main.cf.5", encoding="utf-8") as f:
        page = f.read()
    honoured, others = page.split(".Sh KNOWN, NOT YET HONOURED")
    described = set(re.findall(r"^\.It Va (\w+)$", honoured, re.M))
    listed = set(re.findall(r"\w+", others.split(".Sh ")[0]))
    tap.ok(len(rows) > 1060, "the list is read", len(rows))
    tap.equal(sorted(n for n, works in rows if works == "YES" and n not in described), [],
              "what works is described")
    tap.equal(sorted(n for n, works in rows if works != "YES" and n not in listed), [],
              "what does not is listed")


def test_settings():
    rows = []
    for name in ("dovecot_settings.def", "dovecot_blocks.def"):
        with open(TREE + "/lib/conf/" + name, encoding="utf-8") as f:
            rows += re.findall(r'^(?:BLOCK_)?SETTING\(\w+, \w+, "(\w+)",\s.*?\b(YES|NO),', f.read(),
                               re.M | re.S)
    with open(BUILD + "/doc/dovecot.conf.5", encoding="utf-8") as f:
        page = f.read()
    honoured, others = page.split(".Sh KNOWN, NOT YET HONOURED")
    described = set(re.findall(r"^\.It Va (\w+)$", honoured, re.M))
    listed = set(re.findall(r"\w+", others.split(".Sh ")[0]))
    tap.ok(len(rows) > 500, "the lists are read", len(rows))
    tap.equal(sorted(n for n, works in rows if works == "YES" and n not in described), [],
              "what works is described")
    tap.equal(sorted(n for n, works in rows if works == "NO" and n not in listed), [],
              "what does not is listed")


def test_settings_are_read():
    """What the list says works, some program looks at; and what a program looks at, it says."""
    with open(TREE + "/lib/conf/dovecot_settings.def", encoding="utf-8") as f:
        rows = re.findall(r'^SETTING\(\w+, (\w+), "\w+",\s*"(?:[^"\\]|\\.)*",\s*(YES|NO),',
                          f.read(), re.M)
    code = ""
    for path in glob.glob(TREE + "/*/*.c") + glob.glob(TREE + "/lib/*/*.c"):
        with open(path, encoding="utf-8") as f:
            code += f.read()
    used = set(re.findall(r"settings->(\w+)|\bset->(\w+)|global->(\w+)", code))
    used = {name for names in used for name in names if name}
    tap.ok(len(rows) > 300, "the list is read", len(rows))
    # OpenSSL needs no file of Diffie-Hellman parameters; the setting is accepted for that reason.
    tap.equal([f for f, works in rows if works == "YES" and f not in used and f != "ssl_dh"], [],
              "what is said to work is looked at")
    tap.equal([f for f, works in rows if works == "NO" and f in used], [],
              "what is looked at is said to work")


def names_in(path, pattern):
    with open(os.path.join(TREE, path), encoding="utf-8") as f:
        return re.findall(pattern, f.read(), re.M)


def test_rows():
    """What stands in the tables of the code stands in the pages."""
    restrictions = names_in("lib/conf/postfix_restrictions.c", r'^\t\{ "(\w+)", \w+, (\w+) \}')
    with open(TREE + "/doc/restrictions.5", encoding="utf-8") as f:
        works, missing = f.read().split(".Ss Not supported yet")
    tap.ok(len(restrictions) > 70, "the list of restrictions is read", len(restrictions))
    tap.equal([name for name, does in restrictions
               if not re.search(rf"\b{name}\b", works if does == "true" else missing)], [],
              "restrictions are described, or said to be missing")
    for path, pattern, page in (
            ("lib/table/table.c", r"^\t&table_type_(\w+),$", "tables.5"),
            ("smtpd/restrict_access.c", r'^\t\{ "([A-Z_]+)", \w+, \w+, do_', "access.5"),
            ("lib/intake/intake_action.c", r'^\t\{ "([A-Z]+)", on_', "header_checks.5")):
        names = names_in(path, pattern)
        text = "\n".join(names_in("doc/" + page, r"^\.(?:It Cm|Dq) (.*)$"))
        tap.ok(len(names) > 10, f"the list in {path} is read", len(names))
        tap.equal([name for name in names if not re.search(rf"\b{name}\b", text)], [],
                  f"{page} has them")


def makefiles():
    text = ""
    for path in glob.glob(TREE + "/*/Makemodule.am"):
        with open(path, encoding="utf-8") as f:
            text += f.read()
    return text


def test_programs():
    """man finds a page by the name of each program."""
    text = makefiles()
    programs = {name for line in re.findall(r"^(?:sbin|pkglibexec)_PROGRAMS \+= (.*)$", text, re.M)
                for name in line.split()}
    links = re.search(r"^MAN_LINKS = (.*?[^\\])$", text, re.M | re.S)[1]
    links = dict(link.split(":")[::-1] for link in links.split() if link != "\\")
    pages = {os.path.basename(page) for page in PAGES}
    tap.ok(len(programs) > 25, "the programs are read", len(programs))
    missing = []
    for program in map(os.path.basename, sorted(programs)):
        names = [f"{program}.{section}" for section in "18"]
        if not any(name in pages or links.get(name) in pages for name in names):
            missing.append(program)
    tap.equal(missing, [], "each program has a page")


def test_references():
    """Pages that others point to are there, or are the system's."""
    ours = {os.path.basename(page) for page in PAGES}
    for page in PAGES:
        with open(page, encoding="utf-8") as f:
            ours.update(f"{name.split()[0]}.{page[-1]}" for name in
                        re.findall(r"^\.Nm (\S+ ?,?)$", f.read().split(".Sh DESC")[0], re.M))
    for page in PAGES:
        with open(page, encoding="utf-8") as f:
            found = re.findall(r"^\.Xr (\S+) (\d)", f.read(), re.M)
        tap.equal([f"{n}({s})" for n, s in found if f"{n}.{s}" not in ours and n != "pcre2pattern"],
                  [], f"{os.path.basename(page)} points to pages that are there")


tap.run(test_rows, test_programs, test_references, test_pages, test_parameters, test_settings,
        test_settings_are_read)
