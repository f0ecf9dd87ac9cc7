#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""No power cut loses an acknowledged message.

The suite runs under the recorder while mail comes in that is delivered at once, spooled first, in
part deferred and tried again, returned to its sender, reported to him, sent to an alias, copied,
rewritten, relayed by SMTP (to a second host, which is the same suite behind another port), and
submitted by local users. Then it is started on the disks that a power cut could have left after each call: every message whose
acknowledgement had left by then must be, for each of its recipients, whole in the mailbox, or whole
in the spool, or in a notice; no message that lies in a mailbox may be cut; and no process may die.

PC_ALL_TESTS=yes tries all disks, otherwise a sample; PC_CRASH_SAMPLE sets its size.
"""

import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "lib")]
import check_suite  # noqa: E402
import tap  # noqa: E402
from instance import DOMAIN, Instance, free_ports, stage, wait_until  # noqa: E402
from whereabouts import mailbox_files, message, queue_files, whereabouts  # noqa: E402

SAMPLE = None if os.environ.get("PC_ALL_TESTS") else int(os.environ.get("PC_CRASH_SAMPLE", "150"))
KEEP = bool(os.environ.get("PC_TEST_KEEP"))
MAIN = {
    "virtual_mailbox_maps": "texthash:$config_directory/vmailbox",
    "transport_maps": "inline:{{gone@example.test = error:5.1.1 nobody is there any more} "
                      "{far@example.test = smtp:[127.0.0.1]:$far_port} "
                      "{later@example.test = smtp:[127.0.0.1]:$far_port} "
                      "{never@example.test = smtp:[127.0.0.1]:$far_port}}",
    "smtp_tls_security_level": "none",
    "virtual_alias_maps": "inline:{ {all@example.test = alice@example.test, bob@example.test}"
                          " team@example.test=bob@example.test }",
    "recipient_canonical_maps": "inline:{ old@example.test=bob@example.test }",
    "recipient_bcc_maps": "inline:{ team@example.test=alice@example.test }",
    "minimal_backoff_time": "1000s",
}
# The host that is relayed to has a name and aliases of its own.
FAR = """127.0.0.1:{port} inet n - n - - smtpd
  -o myhostname=far.example.test -o cleanup_service_name=far -o syslog_name=postfix/far
  -o smtpd_recipient_restrictions=check_recipient_access,texthash:$config_directory/far,permit
  -o smtpd_reject_unlisted_recipient=no
far unix n - n - 0 cleanup
  -o myhostname=far.example.test -o virtual_alias_maps=inline:{{{{far@example.test=alice@example.test}},{{later@example.test=bob@example.test}}}}
smtp unix - - n - - smtp
"""
# Mail for the one, wherever it lies, is mail for the other.
FAR_ALIASES = {"far": "alice", "later": "bob"}
# Whoever starts on a disk of a power cut has these; the ports are of no use there.
NEEDED = ("pickup", "cleanup", "qmgr", "rewrite", "bounce", "defer", "trace", "error", "retry",
          "virtual", "smtp")
# Sockets, pid files and reasons for people: no promise rests on them.
IGNORED = ["*/spool/pid/*", "*/spool/public/*", "*/spool/private/*", "*/spool/defer/*"]
DEATHS = re.compile(r"^.*(killed by signal|exit status|panic|fatal|hangs|throttling).*$", re.M)


# ---- the recording ----

# Runs the suite and, beside it, sendmail for each line that comes on standard input; its exit
# status 0 is the promise.
DRIVER = """
"$1" start-fg & suite=$!
trap 'kill $suite' TERM
while read -r id to; do
	"$2" -v -i -f alice@example.test "$to" <"$3/$id" >/dev/null && echo "250 2.0.0 Ok: queued as $id"
done
while kill -0 $suite 2>/dev/null; do wait $suite; done
"""


class Recorded:
    """The suite under the recorder; acknowledged: {queue id: (token, recipients)}."""

    def __init__(self, instance, **options):
        self.instance = instance
        self.acknowledged = {}
        self.refused = 0
        self.lock = threading.Lock()
        self.submissions = instance.path("submissions")
        os.mkdir(self.submissions)
        sbin = os.path.join(stage(), "sbin")
        self.sendmail = os.path.join(sbin, "sendmail")
        command = ["sh", "-c", DRIVER, "driver", os.path.join(sbin, "postfix"), self.sendmail,
                   self.submissions]
        env = dict(os.environ, MAIL_CONFIG=instance.path("etc/postfix"))
        self.recording = check_suite.Recording(
            instance.as_user(command), [instance.path("spool"), instance.path("mail")],
            instance.path("trace"), env=env, cwd="/", stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True, slow_sync_ms=5, **options)
        wait_until(self.answers, "the suite starts under the recorder")

    def answers(self):
        try:
            self.instance.smtp().quit()
            return True
        except OSError:
            return False

    def send(self, token, *to, smtp=None, size=500, options=(), reach=None):
        """One message; its recipients are local parts, REACH those that aliases make of them."""
        own = smtp or self.instance.smtp()
        own.ehlo_or_helo_if_needed()
        steps = [own.mail(f"alice@{DOMAIN}")] + [own.rcpt(f"{user}@{DOMAIN}", options) for user in to]
        refused = [step for step in steps if step[0] != 250]
        if refused:
            raise RuntimeError(f"{token}: {refused}")
        code, text = own.data(message(token, to=to[0], size=size))
        if code != 250:
            raise RuntimeError(f"{token}: {code} {text}")
        with self.lock:
            self.acknowledged[text.decode().split()[-1]] = (token, reach or to)
        if smtp is None:
            own.quit()

    def send_at_last(self, token, *to, smtp):
        """As send(), again after each 4xx."""
        for attempt in range(20):
            try:
                self.send(f"{token}-{attempt}", *to, smtp=smtp)
                return
            except RuntimeError as error:
                if " 451 " not in str(error):
                    raise
                with self.lock:
                    self.refused += 1
        raise RuntimeError(f"{token}: never accepted")

    def submit(self, token, to):
        """One message of a local user."""
        ident = token.replace("-", "")
        with open(os.path.join(self.submissions, ident), "w", encoding="ascii") as f:
            f.write(message(token, to=to).replace("\r", ""))
        self.acknowledged[ident] = (token, (to,))
        self.recording.process.stdin.write(f"{ident} {to}@{DOMAIN}\n")
        self.recording.process.stdin.flush()
        line = self.recording.process.stdout.readline()
        if f"queued as {ident}" not in line:
            raise RuntimeError(f"sendmail said: {line}")

    def trigger(self, letters):
        """What postqueue -f writes to qmgr."""
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(self.instance.path("spool/public/qmgr"))
            sock.sendall(letters)

    def finish(self):
        self.recording.process.stdin.close()
        return self.recording.finish(ignore=IGNORED)


def session(recorded, first):
    """One client: mails for one, mails for several, with bodies of two sizes."""
    smtp = recorded.instance.smtp()
    recorded.send(f"token-{first}-0", "bob", smtp=smtp)
    recorded.send(f"token-{first}-1", "alice", "bob", smtp=smtp)
    recorded.send(f"token-{first}-2", "alice", smtp=smtp, size=70000)
    recorded.send(f"token-{first}-3", "bob", "carol", smtp=smtp)
    smtp.quit()


def postsuper(instance, *args):
    done = instance.command("postsuper", *args)
    if done.returncode != 0:
        raise RuntimeError(done.stderr)


def move_about(instance):
    """Every move that postsuper asks qmgr for, with the three messages that are deferred."""
    spool = instance.path("spool")

    def deferred():
        return sorted(os.path.basename(path) for path in queue_files(spool, ("deferred",)))
    one, two, three = deferred()
    postsuper(instance, "-h", "ALL")
    postsuper(instance, "-H", one, "-r", two)
    wait_until(lambda: len(deferred()) == 2 and two not in deferred(), "requeued from hold")
    postsuper(instance, "-H", three)
    postsuper(instance, "-r", one)
    wait_until(lambda: len(deferred()) == 3 and one not in deferred(), "requeued from deferred")
    postsuper(instance, "-e", three)
    postsuper(instance, "-h", three)
    postsuper(instance, "-f", three)
    wait_until(lambda: three not in deferred(), "expired by force")


def relay(recorded):
    """To the far host: one for each way that it can end, all three in one, and a large one."""
    recorded.send("token-far-0", "far", reach=("alice",))
    recorded.send("token-never-0", "never")
    recorded.send("token-far-1", "far", "later", "never", reach=("alice", "bob", "never"))
    recorded.send("token-far-2", "far", size=300000, reach=("alice",))
    recorded.send("token-later-0", "later", reach=("bob",))
    far_host(recorded.instance, f"never@{DOMAIN} 550 5.1.1 never\n")

    def is_there():
        # A process that has the old table ends after its session.
        recorded.trigger(b"FA")
        time.sleep(0.2)
        return len(re.findall(rf"to=<later@{DOMAIN}>, relay=127\S+ .*status=sent",
                              recorded.instance.postfix_log())) == 2
    wait_until(is_there, "the far host's mail")


def in_turns(recorded):
    """What has to happen in an order: a retry that succeeds, a notice, a submission."""
    carol = recorded.instance.path("mail", DOMAIN, "carol", "tmp")
    spool = recorded.instance.path("spool")
    move_about(recorded.instance)
    recorded.send("token-kinds-0", "alice", "carol", "gone")
    recorded.send("token-alias-0", "all", reach=("alice", "bob"))
    recorded.send("token-mapped-0", "old", reach=("bob",))
    recorded.send("token-copied-0", "team", options=["NOTIFY=SUCCESS"], reach=("alice", "bob"))
    if os.path.exists(recorded.sendmail):  # its report is made before it is delivered
        recorded.submit("token-local-2", "carol")
    recorded.send("token-report-0", "bob", "all", options=["NOTIFY=SUCCESS,FAILURE"],
                  reach=("alice", "bob"))
    relay(recorded)
    os.chmod(carol, 0o700)
    before = len(queue_files(spool))
    recorded.trigger(b"FA")
    wait_until(lambda: len(queue_files(spool)) < before, "the deferred mail is delivered")
    recorded.send("token-gone-0", "gone", "bob")
    if os.path.exists(recorded.sendmail):
        recorded.submit("token-local-0", "bob")
        recorded.submit("token-local-1", "alice")
    wait_until(lambda: not queue_files(spool), "all mail is delivered")


def record(instance):
    recorded = Recorded(instance)
    try:
        recorded.send("token-first-0", "bob")
        threads = [threading.Thread(target=session, args=(recorded, first)) for first in "abc"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        wait_until(lambda: len(queue_files(instance.path("spool"), ("deferred",))) == 3
                   and not queue_files(instance.path("spool"), ("incoming",)),
                   "three deferred messages")
        in_turns(recorded)
    except BaseException:
        tap.note(instance.log())
        recorded.recording.process.kill()
        raise
    return recorded.finish(), recorded.acknowledged


def make_instance():
    port = free_ports(1)[0]
    return Instance(main={**MAIN, "far_port": port}, master=FAR.format(port=port),
                    prefix="postcote-crash-")


def far_host(instance, text):
    """What the far host says to RCPT from now on."""
    path = instance.path("etc/postfix/far")
    with open(path + ".new", "w", encoding="ascii") as f:
        f.write(text)
    os.rename(path + ".new", path)


def prepare(instance):
    """carol's mailbox cannot be written to, nor the far host be told of later, before somebody mends
    it."""
    far_host(instance, f"later@{DOMAIN} 450 4.2.1 later\nnever@{DOMAIN} 550 5.1.1 never\n")
    with open(instance.path("etc/postfix/vmailbox"), "a", encoding="utf-8") as f:
        for user in ("carol", "gone", "far", "later", "never"):
            f.write(f"{user}@{DOMAIN}\t{DOMAIN}/{user}/\n")
    for part in ("new", "cur", "tmp"):
        os.makedirs(instance.path("mail", DOMAIN, "carol", part))
    instance.own(instance.dir)
    os.chmod(instance.path("mail", DOMAIN, "carol", "tmp"), 0o500)


# ---- the disks ----

def configuration(instance, dirs, base):
    """Writes a main.cf and a master.cf for the suite on the disk at BASE."""
    conf = os.path.join(base, "etc")
    os.mkdir(conf)
    shutil.copy(instance.path("etc/postfix/vmailbox"), conf)
    with open(instance.path("etc/postfix/main.cf"), encoding="utf-8") as f:
        text = f.read()
    for old, new in ((instance.path("spool"), dirs[instance.path("spool")]),
                     (instance.path("mail"), dirs[instance.path("mail")]),
                     (instance.path("log/mail.log"), os.path.join(base, "mail.log")),
                     (instance.path("data"), os.path.join(base, "data"))):
        text = re.sub(rf"= {re.escape(old)}$", f"= {new}", text, flags=re.M)
    with open(os.path.join(conf, "main.cf"), "w", encoding="utf-8") as f:
        f.write(text + f"maillog_file_prefixes = {base}\n")
    with open(instance.path("etc/postfix/master.cf"), encoding="utf-8") as f:
        lines = [line for line in f if line.split()[0] in NEEDED]
    with open(os.path.join(conf, "master.cf"), "w", encoding="utf-8") as f:
        f.writelines(lines)
    return conf


class Suite:
    """The suite on a disk, without the network; it has settled when the constructor returns."""

    def __init__(self, instance, dirs):
        self.spool = dirs[instance.path("spool")]
        base = os.path.dirname(self.spool)
        self.log_path = os.path.join(base, "mail.log")
        conf = configuration(instance, dirs, base)
        if os.geteuid() == 0:
            for path in (base, conf):
                shutil.chown(path, instance.user)
        postfix = os.path.join(stage(), "sbin/postfix")
        self.process = subprocess.Popen(
            instance.as_user([postfix, "-c", conf, "start-fg"]), cwd="/",
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            wait_until(self.settled, "the suite settles on the disk")
        except BaseException:
            tap.note(self.log())
            self.stop()
            raise

    def log(self):
        try:
            with open(self.log_path, encoding="utf-8", errors="replace") as f:
                return f.read()
        except FileNotFoundError:
            return ""

    def settled(self):
        if self.process.poll() is not None:
            raise RuntimeError(f"the suite ended with status {self.process.returncode}")
        return "daemon started" in self.log() and not queue_files(
            self.spool, ("maildrop", "incoming", "active"))

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(20)
        finally:
            self.process.kill()


def find(instance, dirs, suite_log):
    """What check_suite wants: names of all that is where it should be."""
    found = whereabouts(dirs[instance.path("spool")], dirs[instance.path("mail")])
    deaths = DEATHS.findall(suite_log)
    if found.damaged or deaths:
        raise RuntimeError("; ".join(found.damaged + [str(d) for d in deaths]))
    return {f"{token} for {FAR_ALIASES.get(user, user)}" for token, user in found.places}


class Checker:
    """start_suite and find_messages for check_suite."""

    def __init__(self, instance):
        self.instance = instance
        self.suites = {}

    def start(self, dirs, slot):
        self.suites[slot] = Suite(self.instance, dirs)
        return self.suites[slot]

    def find(self, dirs, slot):
        return find(self.instance, dirs, self.suites[slot].log())


def enumerate_disks(instance, trace, acknowledged, sample):
    wanted = {ident: [f"{token} for {user}" for user in to]
              for ident, (token, to) in acknowledged.items()}
    tap.equal(len(trace.marks), len(acknowledged), "every promise was recorded")
    began = time.monotonic()
    count = trace.count()
    checker = Checker(instance)
    result = check_suite.run_enumeration(trace.states(sample=sample), checker.start, checker.find,
                                         wanted, instance.path("disks"), keep=KEEP)
    tap.note(f"{result.checked} of {count} different disks were tried in "
             f"{time.monotonic() - began:.1f} s")
    tap.ok(result.checked > 0 and not result.failures,
           f"no disk of {result.checked} lost a message", result.report())


def test_power_cut():
    instance = make_instance()
    try:
        prepare(instance)
        trace, acknowledged = record(instance)
        enumerate_disks(instance, trace, acknowledged, SAMPLE)
    finally:
        instance.close()


BY_HAND = """
for id in $2; do echo "250 2.0.0 Ok: queued as $id"; done
set -- "$1" $2
"$1" -h "$2"; "$1" -r "$2"; "$1" -H ALL; "$1" -h "$3"; "$1" -f "$3"
for depth in 0 2 1; do
	echo "hash_queue_depth = 1" >>"$MAIL_CONFIG/main.cf"
	case $depth in
	0) echo "hash_queue_names =" ;;
	*) echo "hash_queue_names = deferred, defer"; echo "hash_queue_depth = $depth" ;;
	esac >>"$MAIL_CONFIG/main.cf"
	"$1" -s
done
"$1" -r "$4"
"""


def test_by_hand():
    """The same moves, and those of -s, by postsuper itself while qmgr is down."""
    instance = make_instance()
    try:
        prepare(instance)
        instance.start()
        with instance.smtp() as smtp:
            for number in range(3):
                smtp.sendmail(f"alice@{DOMAIN}", f"carol@{DOMAIN}",
                              message(f"token-hand-{number}", to="carol"))
        wait_until(lambda: len(queue_files(instance.path("spool"), ("deferred",))) == 3,
                   "three deferred messages")
        instance.stop()
        wait_until(lambda: not instance.pids(), "stopped")
        acknowledged = {}
        for path in queue_files(instance.path("spool"), ("deferred",)):
            with open(path, "rb") as f:
                token = re.search(rb"token-hand-\d", f.read()).group().decode()
            acknowledged[os.path.basename(path)] = (token, ("carol",))
        trace = check_suite.record(
            instance.as_user(["sh", "-c", BY_HAND, "hand", os.path.join(stage(), "sbin/postsuper"),
                              " ".join(sorted(acknowledged))]),
            [instance.path("spool"), instance.path("mail")], instance.path("trace"),
            env=dict(os.environ, MAIL_CONFIG=instance.path("etc/postfix")), cwd="/",
            ignore=IGNORED, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE)
        enumerate_disks(instance, trace, acknowledged, SAMPLE and SAMPLE // 3)
    finally:
        instance.close()


def record_failing(instance):
    """A disk whose every fifth sync fails: its clients are refused, and try again."""
    recorded = Recorded(instance, fail_each=5)
    errors = []

    def failing_session(first):
        smtp = instance.smtp()
        number = 0
        try:
            # Whose sync fails is chance: the agent's only defers a message that is spooled.
            while number < 4 or (not recorded.refused and number < 50):
                number += 1
                recorded.send_at_last(f"token-{first}-{number}", ["bob", "alice"][number % 2],
                                      smtp=smtp)
        except Exception as error:
            errors.append(error)
        smtp.close()

    threads = [threading.Thread(target=failing_session, args=(first,)) for first in "xyz"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    trace = recorded.finish()
    tap.ok(not errors and recorded.refused > 0,
           f"failing syncs: all are accepted after {recorded.refused} refusals with 451",
           f"{errors}\n{instance.log()}")
    tap.unlike(instance.log(), DEATHS.pattern, "failing syncs: no process dies")
    return trace, recorded.acknowledged


def test_failing_syncs():
    """A sync that failed is final: no promise rests on it."""
    instance = make_instance()
    try:
        prepare(instance)
        trace, acknowledged = record_failing(instance)
        found = whereabouts(instance.path("spool"), instance.path("mail"))
        lost = found.lost([(token, user) for token, to in acknowledged.values() for user in to])
        tap.equal((lost, found.damaged), ([], []), "failing syncs: nothing is lost")
        enumerate_disks(instance, trace, acknowledged, SAMPLE and SAMPLE // 3)
    finally:
        instance.close()


tap.run(test_power_cut, test_by_hand, test_failing_syncs)
