// SPDX-License-Identifier: MIT
/*
 * Stands in for syz-executor: makes the calls of a syz program that is one of those known here.
 *
 * The calls of tests/stand_in_syzkaller/tun_frags.syz are made as syzkaller would; sysrq$crash() crashes the
 * kernel, fail$setup() is an executor that cannot set itself up, and env$need() fails where a file is missing.
 */
#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef REVISION
#define REVISION "0123456789abcdef0123456789abcdef01234567"
#endif

/* The nth number of a line that is written in hexadecimal, from 0. */
static unsigned long number(const char *line, int nth)
{
	const char *at = line;

	while ((at = strstr(at, "0x"))) {
		if (!nth--)
			return strtoul(at, NULL, 16);
		at += 2;
	}
	return 0;
}

/* The bytes between the quotes of a line. */
static void bytes(const char *line, void *to, size_t size)
{
	const char *at = strchr(line, '"');
	unsigned int byte;

	memset(to, 0, size);
	for (size_t n = 0; at && n < size && sscanf(at + 1 + 2 * n, "%2x", &byte) == 1; n++)
		((unsigned char *)to)[n] = byte;
}

static int begins(const char *line, const char *name)
{
	const char *call = strncmp(line, "r", 1) ? line : strstr(line, " = ");

	if (!call)
		return 0;
	call += call == line ? 0 : 3;
	return !strncmp(call, name, strlen(name)) && call[strlen(name)] == '(';
}

int main(int argc, char **argv)
{
	struct ifreq ifr;
	char line[4096];
	int tun = -1, sock = -1;
	FILE *file;

	if (argc == 2 && !strcmp(argv[1], "version")) {
		puts("linux amd64 ffffffffffffffffffffffffffffffffffffffff " REVISION);
		return 0;
	}
	file = argc == 3 ? fopen(argv[2], "r") : NULL;
	if (!file) {
		fprintf(stderr, "SYZFAIL: no program\n");
		return 67;
	}
	while (fgets(line, sizeof(line), file)) {
		if (begins(line, "openat$tun")) {
			tun = open("/dev/net/tun", O_RDWR);
		} else if (begins(line, "socket$inet")) {
			sock = socket(AF_INET, SOCK_DGRAM, 0);
		} else if (begins(line, "ioctl")) {
			bytes(line, &ifr, sizeof(ifr));
			ioctl(strstr(line, "(r0") ? tun : sock, number(line, 0), &ifr);
		} else if (begins(line, "write")) {
			unsigned long length = number(line, 1);
			void *data = mmap(NULL, length, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

			printf("write: %zd\n", write(tun, data, length));
		} else if (begins(line, "sysrq$crash")) {
			int trigger = open("/proc/sysrq-trigger", O_WRONLY);

			if (write(trigger, "c", 1) != 1)
				return 1;
		} else if (begins(line, "fail$setup")) {
			fprintf(stderr, "SYZFAIL: cannot set up (errno 1: Operation not permitted)\n");
			return 67;
		} else if (begins(line, "exit$bad"))
			return 1;
	}
	return 0;
}
