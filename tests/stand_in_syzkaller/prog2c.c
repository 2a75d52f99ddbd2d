// SPDX-License-Identifier: MIT
/*
 * Stands in for syz-prog2c: prints a C source with a line for each call, but for those whose name begins with
 * "unknown", which it drops without a word. Options go into a comment.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const flags[] = {
	"arch", "enable", "leak", "procs", "prog", "repeat", "sandbox", "segv", "slowdown", "threaded", "tmpdir",
#ifdef OLD
	"collide", "fault_call", "fault_nth",
#endif
#ifndef NO_TRACE
	"trace",
#endif
};

int main(int argc, char **argv)
{
	const char *program = NULL;
	int trace = 0;
	char line[4096];
	FILE *file;

	for (int at = 1; at < argc; at++) {
		char *name = argv[at] + 1, *value = strchr(name, '=');
		size_t length = value ? (size_t)(value++ - name) : strlen(name), i, count = sizeof(flags) / sizeof(flags[0]);

		if (!strcmp(name, "help")) {
			for (i = 0; i < count; i++)
				printf("  -%s string\n    \twords\n", flags[i]);
			printf("available features for -enable and -disable:\n  tun - x\n  close_fds - x\n  net_dev - x\n");
			return 0;
		}
		for (i = 0; i < count; i++)
			if (strlen(flags[i]) == length && !strncmp(flags[i], name, length))
				break;
		if (i == count) {
			fprintf(stderr, "flag provided but not defined: -%s\n", name);
			return 2;
		}
		trace |= !strcmp(name, "trace");
		if (!strcmp(flags[i], "prog"))
			program = value;
		else
			printf("// %s\n", argv[at]);
	}
	file = program ? fopen(program, "r") : NULL;
	if (!file)
		return 1;
	for (int call = 0; fgets(line, sizeof(line), file);) {
		if (line[0] == '#' || line[0] == '\n' || !strncmp(line, "unknown", 7))
			continue;
		if (!strncmp(line, "panic", 5)) {
			fprintf(stderr, "panic: bad slowdown 0\n\ngoroutine 1 [running]:\n");
			return 2;
		}
		printf("// %s", line);
		if (trace)
			printf("fprintf(stderr, \"### call=%d errno=%%u\\n\", 0);\n", call++);
	}
	printf("int main(void) { return 0; }\n");
	return 0;
}
