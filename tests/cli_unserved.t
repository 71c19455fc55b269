#!/bin/sh
# SPDX-License-Identifier: MIT
# tests/cli_unserved.t - what preload cannot serve does not start
. "$(dirname "$0")/cli_lib.sh"

echo 'int main(void) { return 5; }' >"$work/five.c"

if ${CC:-cc} -static -o "$work/static" "$work/five.c" 2>/dev/null; then
	"$gmem" run -- "$work/static" 2>"$work/err"
	is $? 126 "a static program is refused: 126"
	like "$(cat "$work/err")" "*static*PT_INTERP*" "... with the reason"
	"$gmem" run --allow-unserved -- "$work/static" 2>"$work/err"
	is $? 5 "--allow-unserved starts it"
	like "$(cat "$work/err")" "*started without gmem*" "... and says so"
	printf '#!%s\n' "$work/static" >"$work/script"
	chmod +x "$work/script"
	"$gmem" run -- "$work/script" 2>/dev/null
	is $? 126 "a script whose interpreter is static is refused"
	PATH=$work:$PATH "$gmem" run -- static 2>/dev/null
	is $? 126 "... also when it is found in PATH"
else
	skip 6 "no static C library, or no compiler"
fi

if ${CC:-cc} -m32 -o "$work/small" "$work/five.c" 2>/dev/null; then
	"$gmem" run -- "$work/small" 2>"$work/err"
	is $? 126 "a 32-bit program is refused: 126"
else
	# The header alone decides.
	{ printf '\177ELF\001\001\001'; head -c 400 /dev/zero; } >"$work/small"
	chmod +x "$work/small"
	"$gmem" run -- "$work/small" 2>"$work/err"
	is $? 126 "a 32-bit program is refused: 126"
fi
like "$(cat "$work/err")" "*32-bit*" "... with the reason"

if [ "$(id -u)" -eq 0 ] && cp "$(command -v env)" "$work/other" && chown 65534 "$work/other" && chmod u+s "$work/other"; then
	"$gmem" run -- "$work/other" 2>"$work/err"
	is $? 126 "a set-user-id program is refused: 126"
	like "$(cat "$work/err")" "*set-user-id*" "... with the reason"
	chown 0 "$work/other" && chmod u+s "$work/other"
	"$gmem" run -- "$work/other" >/dev/null
	is $? 0 "a set-user-id bit that changes nothing is no reason"
else
	skip 3 "needs root to make a set-user-id program"
fi
done_testing
