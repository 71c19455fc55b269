#!/bin/sh
# SPDX-License-Identifier: MIT
#
# tests/preload.t - the preload object: what it exports, what it needs, where it loads

. "$(dirname "$0")/common.sh"

object=$build/libgmem-preload.so
[ -e "$object" ] || skip_all "$object is not built"
for tool in nm readelf ld; do
	command -v $tool >/dev/null || skip_all "no $tool"
done
tests=$(dirname "$0")

nm -D --defined-only "$object" | awk '{ print $3 }' | sort >"$work/exported"
sed -n 's/^SYMBOL(\([A-Za-z0-9_]*\),.*/\1/p' "$tests/../overlay/symbol.def" | sort >"$work/wanted"
diff "$work/wanted" "$work/exported" >"$work/diff"
ok $? "it exports the $(wc -l <"$work/wanted") names of overlay/symbol.def, and nothing else"
diag <"$work/diff"
is "$(sort "$work/wanted" | uniq -d)" "" "no name stands there twice"
is "$(nm -D --undefined-only "$object" | awk '{ print $1, $2 }' | sort | tr '\n' ' ')" "w __errno_location w dlsym " \
	"it leaves undefined, weakly, __errno_location and dlsym, and nothing else"
is "$(readelf -d "$object" | grep -c NEEDED)" 0 "it needs no library"
is "$(readelf -d "$object" | grep -c TEXTREL)" 0 "its code is not relocated"
readelf -d "$object" | grep -q 'INITFIRST'
ok $? "it is initialised first"
readelf -lW "$object" | awk '/GNU_STACK/ { exit $7 == "RW" ? 0 : 1 }'
ok $? "its stack is not executable"
is "$(readelf -lW "$object" | grep -c '^  TLS')" 0 "it has no thread-local storage"

parts="rt core host cpu device"
for part in $parts; do
	ls "$build/free/$part"/*.o
done >"$work/objects" 2>/dev/null
# shellcheck disable=SC2046
ld -r -o "$work/parts.o" $(cat "$work/objects") 2>"$work/err"
ok $? "$parts link into one object"
is "$(nm --undefined-only "$work/parts.o" | awk '$2 != "_GLOBAL_OFFSET_TABLE_" { print $2 }' |
	tr '\n' ' ')" "" "which leaves nothing undefined"

# Every system call instruction of gmem itself is the one that filters are told to let pass.
nm "$work/parts.o" | grep -q ' rt_syscall_stub$'
ok $? "rt_syscall_stub is there"
if command -v objdump >/dev/null; then
	is "$(objdump -d "$work/parts.o" | grep -c '\ssyscall *$')" 1 "$parts have one system call instruction"
	is "$(objdump -d "$object" | grep -c '%fs')" 0 "nothing touches the FS register's segment"
else
	skip "no objdump"
	skip "no objdump"
fi

"$gmem" run -- true
ok $? "it loads under this machine's C library"
cat >"$work/hello.c" <<'end'
#include <fcntl.h>
#include <sys/ioctl.h>
int main(void) { int fd = open("/dev/kvm", O_RDWR); return fd < 0 ? 1 : ioctl(fd, 0xae00, 0) == 12 ? 42 : 2; }
end
if command -v musl-gcc >/dev/null && musl-gcc -o "$work/hello" "$work/hello.c" 2>/dev/null; then
	"$gmem" run -- "$work/hello"
	is $? 42 "it loads under musl, and serves /dev/kvm"
else
	skip "no musl-gcc (musl-tools)"
fi
if ${CC:-cc} -no-pie -o "$work/fixed" "$work/hello.c" 2>/dev/null; then
	"$gmem" run -- "$work/fixed"
	is $? 42 "a program at a fixed address"
else
	skip "no -no-pie"
fi
if ${CC:-cc} -fsanitize=address -o "$work/asan" "$work/hello.c" 2>/dev/null && "$work/asan" >/dev/null 2>&1; [ $? -ne 127 ] &&
	[ -x "$work/asan" ]; then
	"$gmem" run -- "$work/asan" 2>"$work/err"
	is $? 42 "a program under AddressSanitizer"
	diag 5 <"$work/err"
else
	skip "no AddressSanitizer"
fi
done_testing
