#!/bin/sh
# SPDX-License-Identifier: MIT
#
# divide error in perf_event_max_sample_rate_handler: a sample rate of zero.
#
# The handler (perf_proc_update_handler in older kernels) divides a second by
# kernel.perf_event_max_sample_rate. The lower limit of 1 was once not enforced;
# it is since 723478c8a471 ("perf: Enforce 1 as lower limit for
# perf_event_max_sample_rate", v3.14).
#
# kbisect-config: CONFIG_PERF_EVENTS=y
# kbisect-config: CONFIG_PROC_SYSCTL=y
# kbisect-timeout: 20
# kbisect-crash: divide error in perf_event_max_sample_rate_handler
# kbisect-crash: divide error in perf_proc_update_handler

rate=/proc/sys/kernel/perf_event_max_sample_rate

if ! [ -w "$rate" ]; then
	echo "$rate: not there" >&2
	exit 125 # cannot test this kernel
fi
if echo 0 > "$rate"; then
	echo "the kernel took 0"
else
	echo "the kernel refused 0, as it should"
fi
