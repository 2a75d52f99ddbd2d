// SPDX-License-Identifier: MIT
/*
 * Stands in for syz-execprog: the same command line and the same words, for programs of a few calls.
 *
 * With -DOLD it has the flags of before September 2021. It hands each program to the executor, which is a
 * program of its own, as often as -repeat says.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct flag {
	const char *name, *kind, *words;
} flags[] = {
	{ "arch", "string", "target arch (default \"amd64\")" },
#ifdef OLD
	{ "collide", "", "collide syscalls to provoke data races (default true)" },
	{ "fault_call", "int", "inject fault into this call (0-based) (default -1)" },
	{ "fault_nth", "int", "inject fault on n-th operation (0-based)" },
#else
	{ "collide", "", "(DEPRECATED) collide syscalls to provoke data races" },
	{ "sandbox_arg", "int", "argument for sandbox runner to adjust it via config" },
#endif
	{ "cover", "", "collect feedback signals (coverage)" },
	{ "enable", "string", "enable only listed additional features (default \"none\")" },
	{ "executor", "string", "path to executor binary (default \"./syz-executor\")" },
	{ "procs", "int", "number of parallel processes to execute programs (default 1)" },
	{ "repeat", "int", "repeat execution that many times (0 for infinite loop) (default 1)" },
	{ "sandbox", "string", "sandbox for fuzzing (none/setuid/namespace/android) (default \"none\")" },
	{ "slowdown", "int", "execution slowdown caused by emulation/instrumentation (default 1)" },
	{ "threaded", "", "use threaded mode in executor (default true)" },
};
#define COUNT (sizeof(flags) / sizeof(flags[0]))

static void usage(int status)
{
	fprintf(stderr, "usage: execprog [flags] file-with-programs+\n");
	for (size_t i = 0; i < COUNT; i++)
		fprintf(stderr, "  -%s%s%s\n    \t%s\n", flags[i].name, flags[i].kind[0] ? " " : "", flags[i].kind, flags[i].words);
	printf("available features for -enable and -disable:\n  close_fds - close fds after each program\n"
	       "  cgroups - setup cgroups for testing\n  tun - setup and use /dev/tun for packet injection\n");
	exit(status);
}

static int run(const char *executor, const char *file)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		dup2(1, 2);
		execl(executor, executor, "exec", file, (char *)NULL);
		fprintf(stderr, "fork/exec %s: no such file or directory\n", executor);
		_exit(127);
	}
	waitpid(pid, &status, 0);
	return status;
}

int main(int argc, char **argv)
{
	const char *executor = "./syz-executor";
	int repeat = 1, at = 1;

	for (; at < argc && argv[at][0] == '-'; at++) {
		char *name = argv[at] + 1, *value = strchr(name, '=');
		size_t length = value ? (size_t)(value++ - name) : strlen(name), i;

		if (!strcmp(name, "help"))
			usage(0);
		for (i = 0; i < COUNT; i++)
			if (strlen(flags[i].name) == length && !strncmp(flags[i].name, name, length))
				break;
		if (i == COUNT) {
			fprintf(stderr, "flag provided but not defined: -%.*s\n", (int)length, name);
			usage(2);
		}
		if (!value && flags[i].kind[0])
			value = argv[++at];
		if (!strcmp(flags[i].name, "executor"))
			executor = value;
		if (!strcmp(flags[i].name, "repeat"))
			repeat = atoi(value);
	}
	if (at == argc)
		usage(1);
	fprintf(stderr, "parsed %d programs\nexecuted programs: 0\n", argc - at);
	for (int n = 0; !repeat || n < repeat; n++)
		for (int i = at; i < argc; i++) {
			int status = run(executor, argv[i]);

			if (status)
				fprintf(stderr, "result: hanged=false err=executor 0: exit status %d\n", WEXITSTATUS(status));
		}
	return 0;
}
