#!/bin/bash
# One file out of an archive on a real HTTP server (nginx on loopback): c_examples/remote.c gets the right bytes, and
# the server's own log says what that cost. At most 3 requests and 1.5 MiB for a small file.
# Ends with 77 and a line that says why where this machine has no nginx or no libcurl.
#
# usage: tests/remote/run.sh [BUILD_DIR [TREE FILE]]     default: /usr/include and a header, or the sources here
set -eu -o pipefail
cd "$(dirname "$0")/../.."
PATH=$PATH:/usr/sbin
build=$(realpath "${1:-build}")
skip() {
    echo "skipped: $1"
    exit 77
}
[ -x "$build/examples/remote" ] || skip "the example was not built, libcurl4-openssl-dev is missing"
command -v nginx > /dev/null || skip "nginx is missing"
if [ $# -ge 3 ]; then
    tree=$2 file=$3
elif [ -f /usr/include/stdio.h ]; then
    tree=/usr/include file=stdio.h
else
    tree=src file=lib.rs
fi
most_requests=3
most_bytes=$((3 << 19))

work=$(mktemp -d "${TMPDIR:-/tmp}/znippy-remote.XXXXXX")
server=
stop_server() {
    [ -z "$server" ] || { kill -QUIT "$server" && wait "$server"; } || true
    server=
}
trap 'stop_server; rm -rf "$work"' EXIT

configure() {
    mkdir -p "$work/tmp"
    {
        # As root, nginx would serve as somebody who can't read this directory.
        [ "$(id -u)" -ne 0 ] || echo 'user root;'
        cat <<CONFIG
daemon off;
worker_processes 1;
pid $work/pid;
error_log $work/error.log;
events { worker_connections 64; }
http {
    log_format ranges '\$args \$request_method \$status \$http_range \$body_bytes_sent';
    access_log $work/access.log ranges;
    client_body_temp_path $work/tmp/body;
    proxy_temp_path $work/tmp/proxy;
    fastcgi_temp_path $work/tmp/fastcgi;
    uwsgi_temp_path $work/tmp/uwsgi;
    scgi_temp_path $work/tmp/scgi;
    server {
        listen 127.0.0.1:$1;
        root $work/www;
        location /whole/ { alias $work/www/; max_ranges 0; }
    }
}
CONFIG
    } > "$work/nginx.conf"
}

# nginx can't be asked for any free port, so some are tried.
start_server() {
    local i j
    for ((i = 0; i < 20; i++)); do
        port=$((20000 + RANDOM % 30000))
        configure "$port"
        nginx -p "$work" -e "$work/error.log" -c "$work/nginx.conf" 2> /dev/null &
        server=$!
        for ((j = 0; j < 50; j++)); do
            kill -0 "$server" 2> /dev/null || break
            if [ -s "$work/pid" ] && (: < "/dev/tcp/127.0.0.1/$port") 2> /dev/null; then
                return 0
            fi
            sleep 0.1
        done
        stop_server
    done
    echo "nginx does not start" >&2
    cat "$work/error.log" >&2
    return 1
}

# get RUN PATH [PLACE]: the run's name goes to the server, so that its log tells the runs apart.
get() {
    "$build/examples/remote" "http://127.0.0.1:$port/${3:-}archive.znippy?$1" "$2" > "$work/$1.out" 2> "$work/$1.err"
}

fails() {
    if get "$@"; then
        echo "$1: succeeded" >&2
        return 1
    fi
}

says() {
    if ! grep -qF -- "$2" "$work/$1.err"; then
        echo "$1: the error lacks '$2': $(cat "$work/$1.err")" >&2
        return 1
    fi
}

# What the log says of a run: range requests, other requests, bytes of their bodies.
cost() {
    awk -v run="$1" '$1 == run && $2 == "GET" && $3 == 206 && $4 ~ /^bytes=/ { ranges++; bytes += $5; next }
                     $1 == run { others++; bytes += $5 }
                     END { print ranges + 0, others + 0, bytes + 0 }' "$work/access.log"
}

mkdir -p "$work/www"
"$build/bin/znippy" pack -q "$tree" "$work/www/archive.znippy"
start_server
get small "$file"
cmp "$work/small.out" "$tree/$file"
fails missing no/such/file
says missing 'no such entry'
fails elsewhere "$file" nowhere/
says elsewhere 'HTTP 404'
fails whole "$file" whole/
says whole "doesn't answer with ranges"
size=$(stat -c %s "$work/www/archive.znippy")
printf 'XXXX' | dd of="$work/www/archive.znippy" bs=1 seek=$((size - 200)) conv=notrunc 2> /dev/null
fails damaged "$file"
[ ! -s "$work/damaged.out" ]
stop_server # and with it, everything is in the log

read -r ranges others bytes <<< "$(cost small)"
echo "$file of $(stat -c %s "$tree/$file") bytes, from an archive of $size bytes; the server's log says:"
grep '^small ' "$work/access.log"
echo "$ranges range requests, $others others, $bytes bytes; at most $most_requests and $most_bytes are wanted"
[ "$(cat "$work/small.err")" = "remote: $ranges requests, $bytes bytes of $size" ]
[ "$ranges" -ge 1 ] && [ "$ranges" -le "$most_requests" ] && [ "$others" -eq 0 ] && [ "$bytes" -le "$most_bytes" ]
