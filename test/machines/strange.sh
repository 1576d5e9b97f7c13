#!/bin/sh
# `npm run test:strange [-- user|container [ARGUMENT …]]`: runs `npm test`, with these arguments or as a whole, on the last
# commit, where llambo finds less than on a person's machine; without a name, in both places, one after the other. It needs
# root, Linux, git and util-linux.
#
#   user       an ordinary user, without FUSE and without any way to gain rights, in a fresh clone
#   container  as in a container: processes and mounts of its own, a uid without a passwd entry, 1.5 GB of memory, neither
#              HOME nor TERM, and nothing that can be written except the checkout (/mnt) and one tmpfs (/tmp)
set -eu
checkout=$(cd "$(dirname "$0")/../.." && pwd)
memory=$((1536 * 1024 * 1024))
path=$(dirname "$(command -v node)"):/usr/sbin:/usr/bin:/sbin:/bin

# The part that is root in namespaces of its own: makes the container's root and enters it.
if [ "${1-}" = inside ]; then
  clone=$2
  root=$3
  shift 3
  mount --make-rprivate /
  mount --rbind / "$root"
  # each mount is made read-only by itself; those of the kernel's own file systems may refuse
  awk -v root="$root" 'index($5, root) == 1 { print $5 }' /proc/self/mountinfo | while read -r at; do
    mount -o remount,bind,ro "$(printf '%b' "$at")" 2>/dev/null || :
  done
  mount -t proc proc "$root/proc"
  # a node that is made outside of what is shown is lost: /dev stays as it is
  mount -o remount,bind,rw "$root/dev" 2>/dev/null || :
  mount -t tmpfs -o mode=1777,size=4g tmpfs "$root/tmp"
  mount --bind "$clone" "$root/mnt"
  # runs what npm test runs, but without npm, which ends (uv_os_homedir: ENOENT) if a user has neither HOME nor a passwd
  # entry
  exec chroot "$root" setpriv --reuid=12345 --regid=12345 --clear-groups env -i PATH="$path" \
    sh -c 'cd /mnt && exec node ctl/setup.mjs test "$@"' sh "$@"
fi

[ "$(id -u)" = 0 ] || { echo "test:strange: only root can become another user" >&2; exit 2; }
places='user container'
case ${1-} in user | container) places=$1; shift ;; esac

at=$(mktemp -d "${TMPDIR:-/tmp}/llambo-strange-XXXXXX")
group=
finish() {
  [ -z "$group" ] || rmdir "$group" 2>/dev/null || :
  rm -rf "$at"
}
trap finish EXIT
trap 'exit 130' INT TERM
chmod 755 "$at"

# Clones the last commit, with the packages of this checkout. The clone belongs to that user.
clone() {
  rm -rf "$at/clone"
  git clone -q --no-hardlinks "$checkout" "$at/clone"
  cp -a "$checkout/node_modules" "$at/clone/node_modules"
  chown -R "$1" "$at/clone"
}

# Makes a memory cgroup with that limit below our own, of version 1 or 2. Prints its folder.
limited() {
  if [ -d /sys/fs/cgroup/memory ]; then
    folder=/sys/fs/cgroup/memory$(sed -n 's/^[0-9]*:memory://p' /proc/self/cgroup)/llambo-strange-$$
    mkdir "$folder" && echo "$memory" >"$folder/memory.limit_in_bytes"
  else
    folder=/sys/fs/cgroup/llambo-strange-$$
    mkdir "$folder" && echo "$memory" >"$folder/memory.max"
  fi && echo "$folder"
}

failed=0
for place in $places; do
  echo "test:strange: $place, $(git -C "$checkout" rev-parse --short HEAD)"
  if [ "$place" = user ]; then
    clone 65534:65534
    mkdir -p "$at/home" && chown 65534:65534 "$at/home"
    # without new privileges, fusermount3, which is set-uid, cannot mount anything
    (cd "$at/clone" && setpriv --reuid=65534 --regid=65534 --clear-groups --no-new-privs env -i PATH="$path" HOME="$at/home" \
      TERM="${TERM-dumb}" npm test -- "$@") && code=0 || code=$?
  else
    clone 12345:12345
    mkdir -p "$at/root"
    group=$(limited) || { group=; echo 'test:strange: no memory cgroup can be made here: without the limit' >&2; }
    [ -z "$group" ] || echo "test:strange: $memory bytes in $group"
    (
      [ -z "$group" ] || sh -c 'echo $PPID' >"$group/cgroup.procs"
      exec unshare --mount --pid --fork --kill-child sh "$0" inside "$at/clone" "$at/root" "$@"
    ) && code=0 || code=$?
    [ -z "$group" ] || { sleep 1; rmdir "$group" 2>/dev/null || :; group=; }
  fi
  echo "test:strange: $place ended with $code"
  [ "$code" = 0 ] || failed=1
done
exit $failed
