#!/bin/sh
# The guest's first process: mounts, network, sshd. It stays small because every run pays for it.
export PATH=/bin:/sbin:/usr/bin:/usr/sbin HOME=/root
mount -t proc proc /proc
mount -t sysfs sysfs /sys
[ -c /dev/null ] || mount -t devtmpfs devtmpfs /dev
# A distribution's kernel has the guest's devices as modules.
[ ! -d /lib/modules ] || modprobe -q -a virtio_pci virtio_net virtio_rng
mkdir -p /dev/pts /dev/shm /dev/net /sys/kernel/debug
mount -t devpts devpts /dev/pts 2>/dev/null
mount -t tmpfs tmpfs /dev/shm 2>/dev/null
mount -t tmpfs tmpfs /tmp 2>/dev/null
mount -t debugfs debugfs /sys/kernel/debug 2>/dev/null
mount -t tracefs tracefs /sys/kernel/tracing 2>/dev/null
[ -e /dev/net/tun ] || mknod /dev/net/tun c 10 200
ip link set lo up
ip addr add 10.0.2.15/24 dev eth0 && ip link set eth0 up
dropbear -s -r /etc/dropbear/host_key -p 22 -P /tmp/dropbear.pid 2>/dev/console
echo "kbisect: guest ready" >/dev/console
# Reap whatever a reproducer leaves behind; init must not end, or the kernel panics.
while :; do wait; sleep 3600 & wait $!; done
