#!/bin/sh
# SPDX-License-Identifier: MIT
#
# tests/clients.t - clients in other languages, and where there is no /dev/kvm at all

. "$(dirname "$0")/common.sh"

here=$(cd "$(dirname "$0")" && pwd)
case $gmem in
/*) ;;
*) gmem=$PWD/$gmem ;;
esac

# Beneath a /dev that has no kvm: the machine is as one without it.
bare=
if unshare -m true 2>/dev/null; then
	cat >"$work/bare" <<-'end'
	#!/bin/sh
	mount -t tmpfs none /dev && mknod -m 666 /dev/null c 1 3 && mknod -m 666 /dev/zero c 1 5 &&
		mknod -m 666 /dev/urandom c 1 9 && mkdir -m 777 /dev/shm && exec "$@"
	end
	chmod +x "$work/bare"
	unshare -m "$work/bare" test ! -e /dev/kvm 2>/dev/null && bare="unshare -m $work/bare"
fi

# everywhere NAME COMMAND...: on each engine, and without a device.
everywhere() {
	name=$1
	shift
	for engine in $(engines); do
		run_tap "$name, $engine" "$gmem" run --engine "$engine" -- "$@"
	done
	if [ -n "$bare" ]; then
		run_tap "$name, no /dev/kvm" $bare "$gmem" run -- "$@"
	else
		skip "$name, no /dev/kvm: no mount namespace of our own"
	fi
}

python=
for candidate in /usr/bin/python3 python3; do
	command -v $candidate >/dev/null && python=$candidate && break
done
if [ -n "$python" ]; then
	everywhere Python $python "$here/client.py"
else
	skip "Python: not installed"
fi

if command -v rustc >/dev/null && rustc -o "$work/rust" "$here/client.rs" 2>"$work/err"; then
	everywhere Rust "$work/rust"
else
	skip "Rust: no rustc that works"
fi

# Go makes its system calls itself, with a loader or without: it must not get the real kernel unnoticed.
cat >"$work/main.go" <<'end'
package main

// #include <unistd.h>
import "C"
import "os"

func main() {
	C.getpid()
	if _, err := os.Open("/dev/kvm"); err != nil {
		os.Exit(3)
	}
	os.Exit(5)
}
end
if command -v go >/dev/null && (cd "$work" && GOCACHE=$work/cache GO111MODULE=off CGO_ENABLED=1 go build -o go main.go) 2>"$work/err"; then
	"$gmem" run -- "$work/go" 2>"$work/err"
	is $? 126 "Go, linked with C: refused"
	grep -q 'written in Go' "$work/err"
	ok $? "... with the reason"
	"$gmem" run -- sh -c "'$work/go'" 2>"$work/err"
	is $? 126 "... also when a served program starts it"
else
	skip "Go: not installed, or without cgo"
fi
done_testing
