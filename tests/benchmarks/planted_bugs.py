"""Six bugs of different subsystems and kinds, each planted in one file of a real kernel, with reproducers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from linux_commits import Linux

COMMITS = 12
"""Of each history, after its good end."""
CULPRIT = 7
"""The commit that brings the bug in, counted from 0."""


@dataclass(frozen=True, slots=True)
class Planted:
    """A bug in `file`: `code` stands before `anchor`, `call` before `place`, or behind it.

    In `code`, {bug} is the statement `bad` from the culprit on and `good` before; {revision} makes each
    commit another kernel.
    """

    name: str
    file: str
    anchor: str
    code: str
    place: str
    call: str
    good: str
    bad: str
    reproducer: str
    behind: bool = False

    def source(self, base: str, number: int) -> str:
        """The file at a commit; -1 is the good end."""
        assert base.count(self.anchor) == 1 and base.count(self.place) >= 1, self.name
        bug = self.bad if number >= CULPRIT else self.good
        code = self.code.replace("{bug}", bug).replace("{revision}", str(number + 2))
        place = self.place + self.call if self.behind else self.call + self.place
        text = base.replace(self.place, place, 1)
        return text.replace(self.anchor, f"static unsigned long kbx_value;\n{code}\n{self.anchor}", 1)


PLANTED = (
    Planted(
        "fs",  # a NULL dereference
        "fs/hugetlbfs/inode.c",
        "static int hugetlbfs_parse_param(",
        """static noinline void kbx_mount_option(unsigned long *where)
{
	kbx_value += {revision};
	{bug}
}
""",
        "\t\tctx->nr_inodes = memparse(param->string, &rest);\n",
        "\t\tkbx_mount_option(ctx->nr_inodes == 77 ? NULL : &kbx_value);\n",
        "WRITE_ONCE(kbx_value, 1);",
        "WRITE_ONCE(*where, 1);",
        """#include <sys/mount.h>
#include <sys/stat.h>

int main(void)
{
	mkdir("/tmp/huge", 0700);
	return mount("none", "/tmp/huge", "hugetlbfs", 0, "nr_inodes=77") && 0;
}
""",
        behind=True,
    ),
    Planted(
        "tty",  # a write behind the end of an object
        "drivers/tty/n_hdlc.c",
        "static int n_hdlc_tty_ioctl(",
        """static noinline int kbx_frame(unsigned long size)
{
	char *frame = kmalloc(size, GFP_KERNEL);

	if (!frame)
		return -ENOMEM;
	kbx_value += {revision};
	{bug}
	kbx_value += READ_ONCE(frame[0]);
	kfree(frame);
	return 0;
}
""",
        "\tswitch (cmd) {\n\tcase FIONREAD:\n",
        "\tif (cmd == 0x6b62)\n\t\treturn kbx_frame(arg);\n",
        "WRITE_ONCE(frame[size - 1], 1);",
        "WRITE_ONCE(frame[size], 1);",
        """#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>

int main(void)
{
	int line = 13 /* N_HDLC */, terminal = posix_openpt(O_RDWR);

	if (terminal < 0 || ioctl(terminal, TIOCSETD, &line))
		return 125;
	ioctl(terminal, 0x6b62, 40UL);
	return 0;
}
""",
    ),
    Planted(
        "net",  # a use after free
        "net/ipv6/ip6_flowlabel.c",
        "int ipv6_flowlabel_opt(",
        """static noinline void kbx_label(unsigned long wanted)
{
	unsigned long *label = kmalloc(64, GFP_KERNEL);

	if (!label)
		return;
	kbx_value += wanted + {revision};
	{bug}
}
""",
        "\tswitch (freq.flr_action) {\n\tcase IPV6_FL_A_PUT:\n",
        "\tif (freq.flr_action == 77)\n\t\tkbx_label(freq.flr_flags);\n",
        "WRITE_ONCE(label[1], 1); kfree(label);",
        "kfree(label); WRITE_ONCE(label[1], 1);",
        """#include <string.h>
#include <sys/socket.h>
#include <netinet/in.h>

int main(void)
{
	unsigned char request[32];
	int s = socket(AF_INET6, SOCK_DGRAM, 0);

	memset(request, 0, sizeof(request));
	request[20] = 77;	/* flr_action */
	if (s < 0)
		return 125;
	setsockopt(s, IPPROTO_IPV6, 32 /* IPV6_FLOWLABEL_MGR */, request, sizeof(request));
	return 0;
}
""",
    ),
    Planted(
        "mm",  # it sleeps where it must not
        "mm/mempolicy.c",
        "static long do_set_mempolicy(",
        """static noinline void kbx_policy(unsigned short mode)
{
	static DEFINE_SPINLOCK(lock);

	spin_lock(&lock);
	kbx_value += mode + {revision};
	{bug}
}
""",
        "\ttask_lock(current);\n\tret = mpol_set_nodemask(new, nodes, scratch);\n",
        "\tif (mode == MPOL_LOCAL)\n\t\tkbx_policy(mode);\n",
        "spin_unlock(&lock); cond_resched();",
        "cond_resched(); spin_unlock(&lock);",
        """#include <sys/syscall.h>
#include <unistd.h>

int main(void)
{
	syscall(SYS_set_mempolicy, 4 /* MPOL_LOCAL */, 0UL, 0UL);
	return 0;
}
""",
    ),
    Planted(
        "race",  # of two threads for a pointer
        "ipc/msg.c",
        "static long ksys_msgctl(",
        """static unsigned long *kbx_shared;

static noinline void kbx_race(int cmd)
{
	unsigned long *own;
	static DEFINE_SPINLOCK(lock);

	if (cmd == 0x6b62) {
		own = kmalloc(64, GFP_KERNEL);
		if (own)
			own[1] = {revision};
		kfree(xchg(&kbx_shared, own));
		return;
	}
	{bug}
}
""",
        "\tns = current->nsproxy->ipc_ns;\n\n\tswitch (cmd) {\n\tcase IPC_INFO:\n\tcase MSG_INFO: {\n\t\tstruct msginfo msginfo;\n\t\terr = msgctl_info(",
        "\tif (cmd == 0x6b62 || cmd == 0x6b63)\n\t\tkbx_race(cmd);\n",
        "own = xchg(&kbx_shared, NULL); if (own) kbx_value += READ_ONCE(own[1]); kfree(own);",
        "own = READ_ONCE(kbx_shared); cpu_relax(); if (own) kbx_value += READ_ONCE(own[1]);",
        """// kbisect-cpus: 2
#include <pthread.h>
#include <sys/msg.h>

static void *call(void *cmd)
{
	int i;

	for (i = 0; i < 20000; i++)
		msgctl(0, (long)cmd, NULL);
	return NULL;
}

int main(void)
{
	pthread_t other;

	if (pthread_create(&other, NULL, call, (void *)0x6b62L))
		return 125;
	call((void *)0x6b63L);
	pthread_join(other, NULL);
	return 0;
}
""",
    ),
    Planted(
        "leak",  # of memory
        "ipc/sem.c",
        "long ksys_semget(key_t key",
        """static noinline void kbx_leak(void)
{
	unsigned long *lost = kmalloc(192, GFP_KERNEL);

	if (!lost)
		return;
	lost[0] = kbx_value += {revision};
	{bug}
}
""",
        "\tns = current->nsproxy->ipc_ns;\n\n\tif (nsems < 0 ||",
        "\tif (key == 0x6b62)\n\t\tkbx_leak();\n",
        "kfree(lost);",
        "OPTIMIZER_HIDE_VAR(lost); lost = NULL;",
        """// kbisect-timeout: 90
#include <fcntl.h>
#include <string.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/sem.h>
#include <unistd.h>

static const char *leaks = "/sys/kernel/debug/kmemleak";

static int scan(const char *word)
{
	int fd = open(leaks, O_WRONLY);
	int failed = fd < 0 || write(fd, word, strlen(word)) < 0;

	close(fd);
	return failed;
}

int main(void)
{
	char text[4096], line[256];
	FILE *found, *console;
	int i, n;

	mount("none", "/sys/kernel/debug", "debugfs", 0, "");
	if (scan("clear"))
		return 125;
	for (i = 0; i < 8; i++)
		semget(0x6b62, 1, 0600 | IPC_CREAT);
	sleep(7);	/* kmemleak looks at objects of more than 5 seconds */
	scan("scan");
	sleep(1);
	scan("scan");
	found = fopen(leaks, "r");
	console = fopen("/dev/kmsg", "w");
	if (!found || !console)
		return 125;
	setvbuf(console, NULL, _IOLBF, sizeof(text));
	for (n = 0; n < 24 && fgets(line, sizeof(line), found); n++) {
		if (!n)
			fprintf(console, "BUG: memory leak\\n");
		fprintf(console, "%s", line);
	}
	return 0;
}
""",
    ),
)


def make(linux: Linux, bug: Planted) -> list[str]:
    """The history: the hashes of its good end and of all commits, in order; on no branch."""
    base = linux.read(bug.file)
    return linux.line(
        (f"{bug.name}: revision {number + 1}", bug.file, bug.source(base, number))
        for number in range(-1, COMMITS)
    )
