#!/bin/sh
# SPDX-License-Identifier: MIT
# tests/cli_status.t - gmem run ends as the program does
. "$(dirname "$0")/cli_lib.sh"

for status in 0 1 42 125 126 127 255; do
	"$gmem" run -- sh -c "exit $status"
	is $? $status "exit status $status is passed through"
done

# A shell reports death by signal N as 128 + N; python tells the two apart below.
for sig in TERM:15 SEGV:11 KILL:9 ABRT:6; do
	sh -c "exec '$gmem' run -- sh -c 'kill -${sig%:*} \$\$'" 2>/dev/null
	is $? $((128 + ${sig#*:})) "death by SIG${sig%:*} is passed through"
done
if command -v python3 >/dev/null; then
	got=$(python3 -c '
import subprocess, sys
print(subprocess.run([sys.argv[1], "run", "sh", "-c", "kill -USR1 $$"]).returncode)' "$gmem")
	is "$got" -10 "it is death by the signal, not an exit status that looks like it"
else
	skip 1 "no python3"
fi

(
	ulimit -c unlimited
	cd "$work" || exit
	"$gmem" run -- sh -c 'ulimit -c 0; kill -ABRT $$'
	: the shell of these parentheses is the one that tells of the abort
) 2>/dev/null
is "$(ls "$work")" "" "the broker leaves no core file of its own"

"$gmem" run -- sh -c 'trap "exit 9" TERM; kill -TERM $PPID; sleep 5 & wait' 2>/dev/null
is $? 9 "a signal sent to gmem reaches the program"

(
	trap '' HUP
	"$gmem" run -- sh -c 'kill -HUP $$; exit 4'
)
is $? 4 "an ignored signal stays ignored"
[ "$("$gmem" run -- sh -c 'trap "" CHLD; exec sh -c "grep SigIgn /proc/self/status"')" = \
	"$(sh -c 'trap "" CHLD; exec sh -c "grep SigIgn /proc/self/status"')" ]
check "ignored signals look the same"
(
	trap '' CHLD
	"$gmem" run -- sh -c 'exit 7'
)
is $? 7 "a caller that ignores SIGCHLD gets the status, too"
is "$("$gmem" run -- grep SigBlk /proc/self/status)" "$(grep SigBlk /proc/self/status)" "no signal is blocked in the program"

"$gmem" run -- "$work/none" 2>"$work/err"
is $? 127 "a program that is not there: 127"
like "$(cat "$work/err")" "gmem: *none: No such file or directory" "... and gmem says so"
PATH=$work "$gmem" run -- none-such 2>/dev/null
is $? 127 "a program that is not in PATH: 127"
"$gmem" run -- /etc/passwd 2>/dev/null
is $? 126 "a file that cannot be executed: 126"
"$gmem" run -- / 2>/dev/null
is $? 126 "a directory: 126"
"$gmem" run --none -- true 2>"$work/err"
is $? 125 "an unknown option: 125"
like "$(cat "$work/err")" "gmem run: unknown option --none*" "... and gmem names it"
"$gmem" run 2>/dev/null
is $? 125 "no program: 125"
"$gmem" run --profile linux-1.0 -- true 2>"$work/err"
is $? 125 "an unknown profile: 125"
like "$(cat "$work/err")" "*linux-6.18*" "... and gmem lists those that there are"
"$gmem" run --shape round -- true 2>/dev/null
is $? 125 "an unknown shape: 125"
"$gmem" run --profile linux-6.8 --vm-types=tdx -- true 2>/dev/null
is $? 125 "a VM type that the profile does not know: 125"
"$gmem" run --module-param gmem_in_place_conversion=1 --profile linux-7.4 -- true 2>"$work/err"
is $? 125 "a module parameter that the profile lacks: 125"
like "$(cat "$work/err")" "*linux-7.4 has no parameter*" "... with the reason"
"$gmem" run --engine steam -- true 2>/dev/null
is $? 125 "an unknown engine: 125"
"$gmem" run --report-file "$work/none/file" -- true 2>/dev/null
is $? 125 "a report file that cannot be written: 125"

# A terminal's interrupt key reaches the whole process group: the program must get it once, not twice.
cat >"$work/interrupt.py" <<'end'
import os, pty, sys, time
pid, tty = pty.fork()
if pid == 0:
    os.execv(sys.argv[1], [sys.argv[1], "run", "python3", "-c", """
import signal, time
count = 0
def handler(*_):
    global count
    count += 1
signal.signal(signal.SIGINT, handler)
print("ready", flush=True)
end = time.time() + 1
while time.time() < end:
    time.sleep(0.1)
print("interrupts:", count, flush=True)
raise SystemExit(10 + count)
"""])
seen = b""
while b"ready" not in seen:
    seen += os.read(tty, 100)
os.write(tty, b"\x03")
try:
    while os.read(tty, 100):
        pass
except OSError:
    pass
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
end
if command -v python3 >/dev/null; then
	is "$(timeout 20 python3 "$work/interrupt.py" "$gmem")" 11 "the terminal's interrupt key reaches the program once, and does not end gmem"
else
	skip 1 "no python3"
fi

"$gmem" run --profile host -- sh -c 'exit 3'
is $? 3 "--profile host passes the status through"
"$gmem" run --profile host -- "$work/none" 2>/dev/null
is $? 127 "... and tells a program that is not there"
"$gmem" run --profile host --explain -- true 2>/dev/null
is $? 125 "... so that options of gmem's are an error"
[ -z "$("$gmem" run --profile host -- env | grep GMEM_PROFILE)" ]
check "... and sets nothing"
done_testing
