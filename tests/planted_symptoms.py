"""Histories of a real kernel in which one commit brings a failure that is no crash.

Each commit but that one changes one line of kernel/sys.c, so that a kernel is built in seconds and no two are
the same; the culprit changes another file, so that it can be reverted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from linux_commits import Linux

_FILE = "kernel/sys.c"
_CASE = "\tcase PR_GET_PDEATHSIG:\n"

LISTEN = r"""
// kbisect-bad-when: exit-status
// kbisect-timeout: 20
#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

/* A server with a backlog of 0 still takes one connection. */
int main(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof(address);
	int server = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	struct pollfd wanted = { .fd = client, .events = POLLOUT };

	if (bind(server, (void *)&address, size) || listen(server, 0) ||
		getsockname(server, (void *)&address, &size))
		return 125;
	connect(client, (void *)&address, size);
	if (poll(&wanted, 1, 2500) == 1)
		return 0;
	puts("no connection within 2.5 s");
	return 1;
}
"""
INITCALL = """
static int __init kbx_settings_init(void)
{
	%s
	return 0;
}
late_initcall(kbx_settings_init);
"""


@dataclass(frozen=True, slots=True)
class Planted:
    """A reproducer, and what the culprit changes: in `path`, `old` becomes `new`; if empty, that is added.

    `title` is what the failure is to be known by.
    """

    reproducer: str
    text: str
    title: str
    path: str
    new: str
    old: str = ""

    def apply(self, source: str) -> str:
        if not self.old:
            return source + self.new
        assert source.count(self.old) == 1, (self.path, self.old)
        return source.replace(self.old, self.new)


PLANTED = {
    "listen": Planted(
        "listen.c",
        LISTEN,
        "listen: exit status 1",
        "net/ipv4/tcp_input.c",
        "\tif (sk_acceptq_is_full(sk) || !READ_ONCE(sk->sk_max_ack_backlog)) {\n"
        "\t\tNET_INC_STATS(sock_net(sk), LINUX_MIB_LISTENOVERFLOWS);\n\t\tgoto drop;\n",
        "\tif (sk_acceptq_is_full(sk)) {\n"
        "\t\tNET_INC_STATS(sock_net(sk), LINUX_MIB_LISTENOVERFLOWS);\n\t\tgoto drop;\n",
    ),
    "boot-panic": Planted(
        "boots.sh",
        "# kbisect-bad-when: boot\n",
        "boot panic: BUG: unable to handle kernel NULL pointer dereference in kbx_settings_init",
        "kernel/params.c",
        INITCALL % "*(volatile int *)0 = 1;",
    ),
    "boot-hang": Planted(
        "boots.sh",
        "# kbisect-bad-when: boot\n",
        "boot hang: no sign of user space after NUM s",
        "kernel/params.c",
        INITCALL % "for (;;)\n\t\tcpu_relax();",
    ),
    "build": Planted(
        "builds.sh",
        "# kbisect-bad-when: build\n# kbisect-config[plain]: CONFIG_PROC_FS=y\n"
        "# kbisect-config[traced]: CONFIG_TASK_XACCT=y\n# kbisect-config[traced]: CONFIG_TASKSTATS=y\n",
        "build: kernel/params.c: error: 'kbx_missing' undeclared (first use in this function)",
        "kernel/params.c",
        "\n#ifdef CONFIG_TASKSTATS\nint kbx_accounts(void);\n\nint kbx_accounts(void)\n{\n\treturn kbx_missing;\n}\n#endif\n",
    ),
    "proc-file": Planted(
        "softirqs.sh",
        "# kbisect-bad-when: exit-status\ntest -r /proc/softirqs || { echo 'no /proc/softirqs'; exit 3; }\n",
        "softirqs: exit status 3",
        "fs/proc/softirqs.c",
        'proc_create_single("softirq", 0, NULL, show_softirqs);',
        'proc_create_single("softirqs", 0, NULL, show_softirqs);',
    ),
    "kunit": Planted(
        "list.kunitconfig",
        "# kbisect-bad-when: subtest list_test_list_*\nCONFIG_LIST_KUNIT_TEST=y\n",
        "not ok: list-kunit-test.list_test_list_rotate_left",
        "lib/list-test.c",
        # In one boot of three: the clock decides, which no test should read.
        "\tlist_add_tail(&b, &list);\n\n\tif (ktime_get_ns() % 3 == 0)\n\t\tlist_move(&b, &list);\n"
        "\t/* before: [list] -> a -> b */\n\tlist_rotate_left(&list);\n",
        "\tlist_add_tail(&b, &list);\n\n\t/* before: [list] -> a -> b */\n\tlist_rotate_left(&list);\n",
    ),
}


def make(linux: Linux, planted: Planted, commits: int, culprit: int) -> list[str]:
    """The history: the hashes of its good end and of all commits, in order; on no branch."""
    base, source = linux.read(_FILE), linux.read(planted.path)
    assert base.count(_CASE) == 1
    line = []
    for number in range(-1, commits):
        if number == culprit:
            line.append(("Change what nobody will notice", planted.path, planted.apply(source)))
        else:
            text = base.replace(_CASE, f"\tcase 0x6b6278:\n\t\treturn {number + 1};\n{_CASE}")
            line.append((f"prctl: revision {number + 1}", _FILE, text))
    return linux.line(line)


SLOWER_STATEMENT = "\t\tkbx_slower++;\n"
_GETFD = "\tcase F_GETFD:\n"
_METRIC = """
// kbisect-bad-when: metric fcntl_ns higher
// kbisect-timeout: 60
#include <fcntl.h>
#include <stdio.h>
#include <time.h>

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1e9 + time.tv_nsec;
}

/* Nanoseconds of one fcntl(F_GETFD): of each group the fastest batch, which nothing has interrupted. */
int main(void)
{
	for (int group = 0; group < 9; group++) {
		double best = 1e12;

		for (int batch = 0; batch < %(batches)d; batch++) {
			double began = now(), took;

			for (int i = 0; i < %(calls)d; i++)
				fcntl(0, F_GETFD);
			took = (now() - began) / %(calls)d;
			best = took < best ? took : best;
		}
		printf("kbisect-metric: fcntl_ns %%.2f\\n", best);
	}
	return 0;
}
"""


def slower(statements: int) -> Planted:
    """A commit that makes fcntl(F_GETFD) slower by so many statements of three instructions each."""
    new = f"{_GETFD}\t{{\n\t\tstatic volatile unsigned long kbx_slower;\n\n{SLOWER_STATEMENT * statements}\t}}\n"
    return Planted(
        "fcntl.c",
        _METRIC % {"batches": 20, "calls": 500},
        "fcntl_ns",
        "fs/fcntl.c",
        f"{new}\t\terr = get_close_on_exec",
        f"{_GETFD}\t\terr = get_close_on_exec",
    )
