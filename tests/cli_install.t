#!/bin/sh
# SPDX-License-Identifier: MIT
# tests/cli_install.t - what `make install` leaves works where it lies
. "$(dirname "$0")/cli_lib.sh"

if [ ! -e "$build/libgmem-preload.so" ] || ! command -v make >/dev/null; then
	echo "1..0 # SKIP nothing to install, or no make"
	exit 77
fi
MAKEFLAGS= make -s O="$build" DESTDIR="$work/root" PREFIX=/opt/g install >"$work/log" 2>&1
is $? 0 "make install DESTDIR= PREFIX="
installed=$work/root/opt/g
is "$(cd "$installed" && find . -type f | sort | tr '\n' ' ')" \
	"./bin/gmem ./lib/gmem/bench/measure ./lib/gmem/bench/vcpu ./lib/gmem/libgmem-preload.so ./lib/pkgconfig/gmem.pc ./share/man/man1/gmem.1 ./share/man/man7/gmem-profiles.7 ./share/man/man7/gmem-rules.7 ./share/man/man7/gmem.7 " \
	"the files that are installed"
"$installed/bin/gmem" run -- sh -c 'exit 42'
is $? 42 "the installed command runs programs"
is "$("$installed/bin/gmem" run -- sh -c 'echo "$LD_PRELOAD"')" "$installed/lib/gmem/libgmem-preload.so" \
	"... with the preload object that was installed"
"$installed/bin/gmem" bench --quick mprotect-none >/dev/null 2>&1
is $? 2 "... and gmem bench knows its rows"
like "$("$installed/bin/gmem" bench --quick vcpu-lock-lost)" "*0 increments*" "... and finds what it runs"
grep -q '^prefix=/opt/g$' "$installed/lib/pkgconfig/gmem.pc"
check "the pkg-config file knows the prefix"
is "$(sed -n 's/^Version: //p' "$installed/lib/pkgconfig/gmem.pc")" "$("$gmem" --version | cut -d' ' -f2)" "... and the version"
mkdir "$work/a b" && cp "$build/gmem" "$build/libgmem-preload.so" "$work/a b"
"$work/a b/gmem" run -- true 2>"$work/err"
is $? 125 "a preload object whose path LD_PRELOAD cannot hold: 125"
like "$(cat "$work/err")" "*blanks or colons*" "... with the reason"
rm "$work/a b/libgmem-preload.so"
"$work/a b/gmem" run -- true 2>"$work/err"
is $? 125 "no preload object: 125"
like "$(cat "$work/err")" "*libgmem-preload.so*" "... and where it was looked for"
"$work/a b/gmem" doctor >/dev/null 2>&1
is $? 1 "... and gmem doctor calls the host unfit"
done_testing
