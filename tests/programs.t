#!/bin/sh
# SPDX-License-Identifier: MIT
#
# tests/programs.t - programs that have nothing to do with KVM do not notice gmem
#
# Each runs natively and under gmem, with the same output and status.

. "$(dirname "$0")/common.sh"

same() {
	name=$1
	shift
	"$@" >"$work/native" 2>&1 </dev/null
	echo "status $?" >>"$work/native"
	timeout 120 "$gmem" run -- "$@" >"$work/gmem" 2>&1 </dev/null
	echo "status $?" >>"$work/gmem"
	diff "$work/native" "$work/gmem" >"$work/diff"
	ok $? "$name"
	diag 10 <"$work/diff"
}

cat >"$work/hello.c" <<'C'
#include <stdio.h>
int main(void) { puts("hello"); return 3; }
C
run_tap "environment across exec" "$gmem" run -- "$build/tests/run_environ"
same "a shell with pipes and substitutions" sh -c 'for i in 1 2 3; do echo $(ls / | wc -l) | cat; done; (exit 7); echo $?'
same "a compiler: drivers, temporary files, vfork" sh -c "\${CC:-cc} -o $work/hello $work/hello.c && $work/hello"
same "make" sh -c "printf 'all: a b\na b:\n\t@echo \$@\n' | make -j2 -Oline -f - | sort"
command -v perl >/dev/null && same "perl: fork, signals, sockets" perl -e '
	use Socket; socketpair(my $a, my $b, AF_UNIX, SOCK_STREAM, 0);
	$SIG{ALRM} = sub { $n++ }; $SIG{CHLD} = sub { $c++ };
	if (!fork) { syswrite $a, "x"; exit 5 } sysread $b, $_, 1; wait; print $_, $? >> 8, "\n";
	alarm 1; select undef, undef, undef, 1.5; print "$n\n"; kill "TERM", $$; sleep 1'
command -v python3 >/dev/null && same "python: threads, subprocess, mmap" python3 -S -c '
import mmap, subprocess, sys, threading
m = mmap.mmap(-1, 8192); m[0] = 1
t = [threading.Thread(target=lambda: sum(range(10000))) for _ in range(4)]
[x.start() for x in t]; [x.join() for x in t]
print(subprocess.run(["echo", "hi"], capture_output=True).stdout, m[0]); sys.exit(4)'

done_testing
