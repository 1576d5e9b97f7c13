#!/bin/busybox sh
# The first process of the guest. Runs each operation in each dialect and reports the result on the second serial line.
/bin/busybox --install -s /bin
export PATH=/gnu:/bin HOME=/root LC_ALL=C
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
exec </dev/null >/dev/ttyS0 2>&1
stty -F /dev/ttyS1 raw
while read -r module; do insmod "/mod/$module" || echo "insmod $module failed"; done </mod/order
ifconfig lo 127.0.0.1 up
ifconfig eth0 10.0.2.15 netmask 255.255.255.0 up

chmod 777 /tmp
dmesg -c >/dev/null

. /job/lib.sh
echo '@ up' >/dev/ttyS1
for dialect in 9p2000 9p2000.u 9p2000.L; do
    export dialect
    mount_all
    for operation in $(ls /job/operation); do
        echo "@ begin $dialect $operation" >/dev/ttyS1
        timeout -s KILL 600 dash -c '. /job/lib.sh; . "$0"' "/job/operation/$operation" >/tmp/said 2>&1
        status=$?
        # shows where an operation hung
        [ $status = 137 ] && for process in /proc/[0-9]*; do
            grep -q '9p\|netfs\|inode' $process/stack && cat $process/comm $process/stack >>/tmp/said
        done
        echo "@ end $status $(head -c 4000 /tmp/said | base64 | tr -d '\n')" >/dev/ttyS1
        kill -KILL -1
    done
    umount -a -t 9p
done
echo '@ done' >/dev/ttyS1
sync
poweroff -f
