// SPDX-License-Identifier: MIT
/*
 * WARNING in pskb_expand_head: one write() to a TAP device asks for half a
 * gigabyte of linear skb.
 *
 * With IFF_NAPI_FRAGS the length of the first segment of a write becomes the
 * linear size of the skb. Until tun_napi_alloc_frags() compared it with
 * ETH_MAX_MTU, anything went to the page allocator: an order that it can only
 * warn about, unless the caller passes __GFP_NOWARN.
 *
 * kbisect-config: CONFIG_NET=y
 * kbisect-config: CONFIG_INET=y
 * kbisect-config: CONFIG_NETDEVICES=y
 * kbisect-config: CONFIG_NET_CORE=y
 * kbisect-config: CONFIG_TUN=y
 * kbisect-timeout: 20
 * kbisect-crash: WARNING in pskb_expand_head
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/if_tun.h>

#define CANNOT_TEST	125	/* as for git bisect run: neither good nor bad */
#define LENGTH	0x2001016fUL	/* needs order 0x12, above MAX_ORDER */

static void bring_up(struct ifreq *ifr)
{
	int sock = socket(AF_INET, SOCK_DGRAM, 0);

	if (sock < 0)
		err(CANNOT_TEST, "socket");
	ifr->ifr_flags = IFF_UP;
	if (ioctl(sock, SIOCSIFFLAGS, ifr))
		err(CANNOT_TEST, "SIOCSIFFLAGS");
	close(sock);
}

int main(void)
{
	struct ifreq ifr = {
		.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_NAPI | IFF_NAPI_FRAGS,
	};
	void *buffer;
	ssize_t n;
	int tun;

	/* Never read before the skb is allocated: no guest needs to own this. */
	buffer = mmap(NULL, LENGTH, PROT_READ,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (buffer == MAP_FAILED)
		err(CANNOT_TEST, "mmap");

	tun = open("/dev/net/tun", O_RDWR);
	if (tun < 0)
		err(CANNOT_TEST, "/dev/net/tun");
	if (ioctl(tun, TUNSETIFF, &ifr))
		err(CANNOT_TEST, "TUNSETIFF");
	bring_up(&ifr);

	n = write(tun, buffer, LENGTH);
	printf("write: %zd%s%s\n", n, n < 0 ? ", " : "", n < 0 ? strerror(errno) : "");
	return 0;
}
