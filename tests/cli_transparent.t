#!/bin/sh
# SPDX-License-Identifier: MIT
# tests/cli_transparent.t - a program sees its arguments, environment, directory and descriptors
. "$(dirname "$0")/cli_lib.sh"

args='for a; do printf "[%s]" "$a"; done'
is "$("$gmem" run -- sh -c "$args" name 'a b' '' '*' --profile -x)" "[a b][][*][--profile][-x]" "arguments"
is "$("$gmem" run sh -c "$args" name -- --help)" "[--][--help]" "options end at the program, also without --"
is "$("$gmem" run -- sh -c 'echo "$0"' zero)" "zero" "argument 0 of a shell"
is "$("$gmem" run -- cat /proc/self/cmdline | tr '\0' ' ')" "cat /proc/self/cmdline " "argument 0 as it was typed"
is "$(cd "$work" && "$gmem" run -- pwd)" "$work" "current directory"
is "$(echo input | "$gmem" run -- cat)" "input" "standard input"
is "$("$gmem" run -- sh -c 'echo out; echo err >&2' 2>/dev/null)" "out" "standard output"
is "$("$gmem" run -- sh -c 'echo out; echo err >&2' 2>&1 >/dev/null)" "err" "standard error, and nothing of gmem's in it"
is "$("$gmem" run -- sh -c 'cat <&7' 7<<end
seven
end
)" "seven" "inherited descriptors"
is "$("$gmem" run -- sh -c 'umask')" "$(umask)" "file mode mask"

filter() { env -i A=1 "B=b c" PATH="$PATH" "$@" | grep -v '^GMEM_' | grep -v '^LD_PRELOAD=' | grep -v '^_=' | sort; }
is "$(filter "$gmem" run -- env)" "$(filter env)" "environment"
is "$(env -u LD_PRELOAD "$gmem" run -- sh -c 'echo "$LD_PRELOAD"')" "$build/libgmem-preload.so" \
	"the preload object is the one beside the command"
# One that is there, so that the loader does not complain.
echo 'int none;' >"$work/other.c"
if ${CC:-cc} -shared -fPIC -o "$work/other.so" "$work/other.c" 2>/dev/null; then
	is "$(LD_PRELOAD=$work/other.so "$gmem" run -- sh -c 'echo "$LD_PRELOAD"')" \
		"$build/libgmem-preload.so:$work/other.so" "an LD_PRELOAD that was there is kept, behind ours"
	is "$(LD_PRELOAD="$build/libgmem-preload.so $work/other.so" "$gmem" run -- sh -c 'echo "$LD_PRELOAD"')" \
		"$build/libgmem-preload.so:$work/other.so" "ours does not stand there twice"
else
	skip 2 "no C compiler"
fi

# What the preload object needs in the program itself lies above all numbers that programs use.
fds="ls /proc/self/fd | awk '\$1 < 256' | wc -l"
is "$("$gmem" run -- sh -c "$fds")" "$(sh -c "$fds")" "no descriptor of the command's is open in the program"
is "$("$gmem" run -- sh -c 'exec 3>&- 4>&- 5>&-; exec 3</dev/null; readlink /proc/self/fd/3')" "/dev/null" \
	"the lowest free descriptor is the one that it would be"
is "$("$gmem" run -- sh -c 'test -e /proc/self/fd/0 && echo open || echo closed' <&-)" "closed" \
	"a closed standard input stays closed"

# The program closes its end of the pipe and goes on: the reader must see the end now.
mkfifo "$work/pipe"
"$gmem" run -- sh -c 'exec >&-; sleep 30' >"$work/pipe" &
broker=$!
start=$(date +%s)
cat "$work/pipe" >/dev/null
[ $(($(date +%s) - start)) -lt 20 ]
check "gmem keeps no pipe of the program's open"
kill -TERM $broker
wait $broker 2>/dev/null
is $? 143 "... and ends with it when it is killed"

printf '#!/bin/sh\necho "script $1"\n' >"$work/script"
chmod +x "$work/script"
is "$("$gmem" run -- "$work/script" x)" "script x" "a script is run by its interpreter"
printf 'echo "plain $1"\n' >"$work/plain"
chmod +x "$work/plain"
is "$("$gmem" run -- "$work/plain" x)" "plain x" "text without #! is run by the shell, as env(1) does"
is "$(PATH=$work:$PATH "$gmem" run -- script y)" "script y" "the program is looked for in PATH"

vars() { "$gmem" run "$@" -- env | grep '^GMEM_' | grep -v 'BROKER\|BUILD' | sort | tr '\n' ' '; }
is "$(vars)" "GMEM_ENGINE=auto GMEM_PROFILE=linux-7.4 GMEM_SHAPE=mainline " "the newest profile is the default"
is "$(vars --profile linux-7.4-vm-attributes --module-param=gmem_in_place_conversion=1 --vm-types sev,tdx)" \
	"GMEM_ENGINE=auto GMEM_IN_PLACE=1 GMEM_PROFILE=linux-7.4-vm-attributes GMEM_SHAPE=mainline GMEM_VM_TYPES=0x24 " \
	"options become the variables of overlay/wire.h"
is "$(GMEM_PROFILE=x GMEM_IN_PLACE=1 "$gmem" run --profile linux-6.18 -- env | grep -c 'GMEM_PROFILE=x\|GMEM_IN_PLACE')" 0 \
	"variables of an outer run do not reach the program"
like "$("$gmem" run -- sh -c 'echo "$GMEM_BROKER"')" "gmem-????????????????????????????????" "the broker's name has 128 bits"
[ "$("$gmem" run -- sh -c 'echo "$GMEM_BROKER"')" != "$("$gmem" run -- sh -c 'echo "$GMEM_BROKER"')" ]
check "... that differ from run to run"

"$gmem" run --summary -- true 2>"$work/err"
like "$(cat "$work/err")" "gmem: served * processes*" "--summary tells what was served"
"$gmem" run --summary --report-file "$work/report" -- true 2>"$work/err"
is "$(cat "$work/err")" "" "--report-file keeps standard error clean"
like "$(cat "$work/report")" "gmem: served * processes*" "... and has the summary"
done_testing
