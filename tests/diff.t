#!/bin/sh
# SPDX-License-Identifier: MIT
#
# tests/diff.t - gmem diff: engines against the naive model, the real kernel, and a difference that it must find

. "$(dirname "$0")/diff_lib.sh"

for engine in $(engines); do
	alike "linux-7.4/$engine" model $((ops / 5))
done

case $(uname -r) in
6.18*)
	if [ -r /dev/kvm ] && [ -w /dev/kvm ]; then
		for engine in $(engines); do
			alike kernel "linux-6.18/$engine" $((ops / 3))
		done
	else
		skip "/dev/kvm is not accessible"
	fi
	;;
*) skip "this kernel is $(uname -r), the comparison is with 6.18" ;;
esac

# A difference that there is: found, shrunk, and printed as a program.
"$gmem" diff linux-7.3 linux-6.18 --seed 1 --ops 100000 --output "$work/repro.c" >"$work/out" 2>&1
is $? 1 "7.3 and 6.18 differ"
cc -o "$work/repro" "$work/repro.c" 2>"$work/err"
ok $? "the reproducer compiles"
diag <"$work/err"
steps=$(grep -c '	SHOW(' "$work/repro.c")
[ "$steps" -lt 12 ]
ok $? "it has $steps steps"
for profile in linux-7.3 linux-6.18; do
	"$gmem" run --profile $profile -- "$work/repro" >"$work/$profile" 2>&1
done
diff "$work/linux-7.3" "$work/linux-6.18" >"$work/diff"
is "$(grep -c '^[0-9]' "$work/diff")" 1 "it differs in one step"
grep -v '^[0-9]' "$work/diff" | diag

"$gmem" diff linux-7.3 >/dev/null 2>&1
is $? 2 "one name is a usage error"
"$gmem" diff linux-7.3 nobody >/dev/null 2>&1
is $? 2 "an unknown name is a usage error"
"$gmem" diff linux-7.3 model --seed x >/dev/null 2>&1
is $? 2 "a seed is a number"
done_testing
