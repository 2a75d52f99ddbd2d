// SPDX-License-Identifier: MIT
/*
 * The first program that runs in a restored guest: thaw SECONDS HEX
 *
 * Sets the time of day to SECONDS since 1970 (with a fraction), and has the
 * kernel's random numbers depend on HEX from here on, so that guests restored
 * from one snapshot do not get the same ones. A write to /dev/urandom alone
 * would be mixed in and not be used for minutes. Leaves no file behind.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/random.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#ifndef RNDRESEEDCRNG		/* 4.17 */
#define RNDRESEEDCRNG	_IO('R', 0x07)
#endif

int main(int argc, char **argv)
{
	struct {
		struct rand_pool_info info;
		char bytes[64];
	} seed;
	struct timespec now;
	double seconds;
	int random;

	unlink(argv[0]);
	if (argc != 3 || strlen(argv[2]) != sizeof(seed.bytes))
		errx(2, "usage: thaw SECONDS HEX (64 digits)");
	seconds = atof(argv[1]);
	now.tv_sec = (time_t)seconds;
	now.tv_nsec = (long)((seconds - (double)now.tv_sec) * 1e9);
	if (clock_settime(CLOCK_REALTIME, &now))
		err(1, "clock_settime");

	random = open("/dev/urandom", O_WRONLY);
	if (random < 0)
		err(1, "/dev/urandom");
	/* Hexadecimal digits carry 4 bits each. */
	memcpy(seed.bytes, argv[2], sizeof(seed.bytes));
	seed.info.entropy_count = 4 * sizeof(seed.bytes);
	seed.info.buf_size = sizeof(seed.bytes);
	if (ioctl(random, RNDADDENTROPY, &seed))
		err(1, "RNDADDENTROPY");
	/* Not there before 4.14: the next use of the pool reseeds then. */
	if (ioctl(random, RNDRESEEDCRNG) && errno != EINVAL && errno != ENODATA)
		err(1, "RNDRESEEDCRNG");
	return 0;
}
