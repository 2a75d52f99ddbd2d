// SPDX-License-Identifier: MIT
/*
 * The first thing that runs in a restored guest: resume [TTY]
 *
 * Reads 8 bytes, the time of day in nanoseconds since 1970, and 32 bytes of
 * randomness. Sets the clock, and has the kernel's random numbers depend on
 * those from here on, so that guests restored from one snapshot do not get the
 * same ones. (A write to /dev/urandom alone would be mixed in and not be used
 * for minutes.)
 *
 * With a TTY, it waits there in the background while the guest is frozen: says
 * 'R' when it is ready to read, and '.' when it has done its work. Otherwise it
 * reads standard input. Leaves no file behind.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/random.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#ifndef RNDRESEEDCRNG		/* 4.17 */
#define RNDRESEEDCRNG	_IO('R', 0x07)
#endif

#define BILLION	1000000000ull

struct message {
	uint64_t now;
	char seed[32];
};

static int open_raw(const char *path)
{
	struct termios settings;
	int tty = open(path, O_RDWR | O_NOCTTY);

	if (tty < 0 || tcgetattr(tty, &settings))
		err(1, "%s", path);
	cfmakeraw(&settings);
	settings.c_cflag |= CLOCAL | CREAD;
	if (tcsetattr(tty, TCSAFLUSH, &settings))
		err(1, "%s", path);
	return tty;
}

int main(int argc, char **argv)
{
	struct {
		struct rand_pool_info info;
		char bytes[32];
	} seed;
	struct message message;
	struct timespec now;
	size_t got = 0;
	int from = 0, random;

	unlink(argv[0]);
	random = open("/dev/urandom", O_WRONLY);
	if (random < 0)
		err(1, "/dev/urandom");
	if (argc > 1) {
		from = open_raw(argv[1]);
		if (daemon(1, 0))
			err(1, "daemon");
		if (write(from, "R", 1) != 1)
			err(1, "%s", argv[1]);
	}
	while (got < sizeof(message)) {
		ssize_t n = read(from, (char *)&message + got, sizeof(message) - got);

		if (n <= 0)
			errx(1, "%zu bytes, then no more", got);
		got += (size_t)n;
	}

	now.tv_sec = (time_t)(message.now / BILLION);
	now.tv_nsec = (long)(message.now % BILLION);
	if (clock_settime(CLOCK_REALTIME, &now))
		err(1, "clock_settime");

	memcpy(seed.bytes, message.seed, sizeof(seed.bytes));
	seed.info.entropy_count = 8 * sizeof(seed.bytes);
	seed.info.buf_size = sizeof(seed.bytes);
	if (ioctl(random, RNDADDENTROPY, &seed))
		err(1, "RNDADDENTROPY");
	/* Not there before 4.14: the next use of the pool reseeds then. */
	if (ioctl(random, RNDRESEEDCRNG) && errno != EINVAL && errno != ENODATA)
		err(1, "RNDRESEEDCRNG");
	if (argc > 1 && write(from, ".", 1) != 1)
		err(1, "%s", argv[1]);
	return 0;
}
