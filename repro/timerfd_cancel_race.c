// SPDX-License-Identifier: MIT
/*
 * Corrupted list in timerfd: two threads arm and disarm one timer with
 * TFD_TIMER_CANCEL_ON_SET. A race, so one run proves little.
 *
 * timerfd_setup_cancel() looks at might_cancel and links or unlinks the timer.
 * Unserialized, one thread unlinks what the other has not yet linked, or both
 * link it. Serialized since 1e38da300e1e ("timerfd: Protect the might cancel
 * mechanism proper", v4.11, CVE-2017-10661).
 *
 * kbisect-config: CONFIG_TIMERFD=y
 * kbisect-config: CONFIG_DEBUG_KERNEL=y
 * kbisect-config: CONFIG_DEBUG_LIST=y
 * kbisect-config: CONFIG_BUG_ON_DATA_CORRUPTION=y
 * kbisect-timeout: 20
 * kbisect-cpus: 2
 */
#include <err.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define CANNOT_TEST	125	/* as for git bisect run: neither good nor bad */

/* Rounds of one thread: chosen for a crash in some, not all, runs. */
#define ROUNDS	12000

#ifndef TFD_TIMER_CANCEL_ON_SET
#define TFD_TIMER_CANCEL_ON_SET	(1 << 1)
#endif

static int timer;

static void *flip(void *unused)
{
	const struct itimerspec never = { .it_value.tv_sec = 1L << 40 };
	int i;

	for (i = 0; i < ROUNDS; i++) {
		timerfd_settime(timer, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET,
				&never, NULL);
		timerfd_settime(timer, TFD_TIMER_ABSTIME, &never, NULL);
	}
	return unused;
}

int main(void)
{
	pthread_t other;

	timer = timerfd_create(CLOCK_REALTIME, 0);
	if (timer < 0)
		err(CANNOT_TEST, "timerfd_create");
	if (pthread_create(&other, NULL, flip, NULL))
		errx(CANNOT_TEST, "pthread_create");
	flip(NULL);
	pthread_join(other, NULL);
	close(timer);
	return 0;
}
