# What an operation finds: $n, a server that answers at once; $s, one that gives two words a second; $c, the same
# attached with ?chunk; $r, the same through its unix socket, where each user of the guest acts under their own name.
. /job/env
n=/n/n s=/n/s c=/n/c r=/n/r
session= id=

# at DIR PORT ANAME [OPTIONS]: mounts a server
at() {
    mkdir -p "$1"
    mount -t 9p -o "trans=tcp,port=$2,aname=$3,version=$dialect,uname=root,cache=none$4" 10.0.2.2 "$1"
}

mount_all() {
    at $n $FAST /
    at $s $SLOW /
    at $c $SLOW '/?chunk'
    at $r $RELAY / ,access=user
}

# Makes a session of a server: its directory is in $session, open on descriptor 4.
new_session() {
    exec 4<>"$1/session/clone"
    read -r id <&4
    session=$1/session/$id
}

# as UID COMMAND
as() {
    setpriv --reuid="$1" --regid="$1" --clear-groups dash -c "$2"
}

# The directory of the newest task.
newest() {
    echo "$1/task/$(ls "$1/task" | sort -n | tail -1)"
}

# until_ CONDITION: waits for it
until_() {
    tries=1000
    until eval "$1"; do
        tries=$((tries - 1))
        [ $tries -gt 0 ] || { echo "never: $1"; exit 1; }
        usleep 50000
    done
}

# Prints how a process in the background ended.
ended() {
    wait "$1" 2>/dev/null
    echo "ended $?"
}

# Whether a process waits for an answer to a 9P request.
waits() {
    grep -q p9_client /proc/$1/stack
}

# Reads three lines of generate that have tokens, from descriptor 3.
read_tokens() {
    tokens=0
    while read -r line <&3; do
        case $line in *'"token"'*) tokens=$((tokens + 1)); echo "$line" ;; esac
        [ $tokens = 3 ] && break
    done
}

names_and_modes() {
    awk '$NF !~ /^\.\.?$/ && NF > 2 { print $1, $NF }'
}
