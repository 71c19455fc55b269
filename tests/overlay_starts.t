#!/bin/sh
# SPDX-License-Identifier: MIT
#
# tests/overlay_starts.t - what a served program starts is served, by the same kernel

. "$(dirname "$0")/common.sh"

starts=$build/tests/run_starts
run_tap "an environment that was lost" "$gmem" run -- "$starts"

# The ASan runtime comes first for the programs that need it, and for no others.
cat >"$work/probe.c" <<'end'
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

/* 42 under the emulation, +1 when an ASan runtime is in the process. */
int main(void)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	char line[4096];
	int kvm = open("/dev/kvm", O_RDWR), asan = 0;

	while (maps && fgets(line, sizeof(line), maps))
		asan |= strstr(line, "libasan") != NULL;
	if (maps)
		fclose(maps);
	return kvm >= 0 && ioctl(kvm, 0xae03, 244) > 0 ? 42 + asan : 2;
}
end
cc=${CC:-cc}
if ! $cc -o "$work/plain" "$work/probe.c" 2>/dev/null; then
	skip "no compiler"
	done_testing
fi
# clang links the runtime into the program, where nothing has to come first.
if ! $cc -fsanitize=address -o "$work/asan" "$work/probe.c" 2>/dev/null || ! ldd "$work/asan" 2>/dev/null | grep -q libasan; then
	skip "no shared AddressSanitizer"
	done_testing
fi
for how in execve execv execlp posix_spawn vfork popen wordexp system; do
	"$gmem" run -- "$starts" run $how "$work/asan" 2>"$work/err"
	is $? 43 "$how of a program under AddressSanitizer"
	diag 5 <"$work/err"
done
$cc -D_GNU_SOURCE -fsanitize=address -I"$(dirname "$0")/.." -o "$work/starts" "$(dirname "$0")/run_starts.c" 2>"$work/err"
ok $? "a starter under AddressSanitizer is built"
diag 5 <"$work/err"
for how in execve execv execlp posix_spawn vfork popen wordexp system; do
	"$gmem" run -- "$work/starts" run $how "$work/plain" 2>"$work/err"
	is $? 42 "$how of another by a program under AddressSanitizer"
	diag 5 <"$work/err"
	"$gmem" run -- "$work/starts" run $how "$work/asan" 2>"$work/err"
	is $? 43 "... and of one such"
	diag 5 <"$work/err"
done
runtime=$(ldd "$work/asan" | sed -n 's/^\s*\(libasan[^ ]*\) => .*/\1/p')
LD_PRELOAD=$runtime "$gmem" run -- "$work/asan" 2>"$work/err"
is $? 43 "the user preloads the runtime, too"
LD_PRELOAD=$runtime "$gmem" run -- "$starts" run execv "$work/plain" 2>"$work/err"
is $? 43 "... for every program"
LD_PRELOAD=$($cc -print-file-name=libasan.so) "$gmem" run -- "$starts" run system "$work/plain" 2>"$work/err"
is $? 43 "... by its path"
done_testing
