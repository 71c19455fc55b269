#!/bin/sh
# SPDX-License-Identifier: MIT
#
# tests/uapi.t - our copy of KVM's user space ABI against the system's header
#
# Every constant and the size of every structure that both know must be equal.
# What the system's header is too old for is counted, not skipped: gmem exists
# because such headers are common.

. "$(dirname "$0")/common.sh"

top=$(dirname "$0")/..
cc=${CC:-cc}
echo '#include <linux/kvm.h>' | $cc -E - >"$work/system.i" 2>/dev/null || skip_all "no <linux/kvm.h> here"

headers=$(cd "$top" && ls uapi/kvm*.h)
(cd "$top" && cat $headers) >"$work/ours.h"
constants=$(sed -n 's/^#define[ \t]*\([A-Z][A-Z0-9_]*\)[ \t].*/\1/p' "$work/ours.h" | grep -v '^GMEM_\|^_' | sort -u)
structs=$(sed -n 's/^struct \(kvm_[a-z0-9_]*\) {.*/\1/p' "$work/ours.h" | sort -u)

# program HEADERS: a line "name value" for every constant, and "struct name size" for what the headers define
program() {
	for h in $1; do echo "#include <$h>"; done
	echo '#include <stdio.h>'
	echo 'int main(void) {'
	for name in $constants; do
		printf '#ifdef %s\nprintf("%s %%llx\\n", (unsigned long long)(%s));\n#endif\n' $name $name $name
	done
	for name in $structs; do
		grep -q "^struct $name {" "$2" && printf 'printf("struct %s %%zu\\n", sizeof(struct %s));\n' $name $name
	done
	echo 'return 0; }'
}

program linux/kvm.h "$work/system.i" >"$work/system.c"
program "$headers" "$work/ours.h" >"$work/ours.c"
$cc -o "$work/system" "$work/system.c" 2>"$work/err" && "$work/system" | sort >"$work/system.txt"
ok $? "a program with the system's header builds and runs"
diag 10 <"$work/err"
$cc -I"$top" -o "$work/ours" "$work/ours.c" 2>"$work/err" && "$work/ours" | sort >"$work/ours.txt"
ok $? "a program with ours builds and runs"
diag 10 <"$work/err"

cut -d' ' -f1 "$work/system.txt" | sort -u >"$work/known"
grep -v '^struct ' "$work/ours.txt" | grep -wFf "$work/known" >"$work/a"
grep -v '^struct ' "$work/system.txt" >"$work/b"
comm -23 "$work/a" "$work/b" >"$work/diff"
[ ! -s "$work/diff" ]
ok $? "$(wc -l <"$work/b") constants are equal, $(grep -cv '^struct ' "$work/ours.txt") are ours"
diag 20 <"$work/diff"
grep '^struct ' "$work/system.txt" >"$work/b"
comm -13 "$work/ours.txt" "$work/b" >"$work/diff"
[ -s "$work/b" ] && [ ! -s "$work/diff" ]
ok $? "$(wc -l <"$work/b") structures have the same size"
diag 20 <"$work/diff"
done_testing
