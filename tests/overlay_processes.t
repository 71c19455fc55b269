#!/bin/sh
# SPDX-License-Identifier: MIT
#
# tests/overlay_processes.t - files in several processes; programs that cannot be served

. "$(dirname "$0")/common.sh"

for engine in $(engines); do
	run_tap "$engine" "$gmem" run --engine "$engine" -- "$build/tests/run_family"
	run_tap "$engine" "$gmem" run --engine "$engine" -- "$build/tests/run_exec"
	run_tap "$engine" "$gmem" run --engine "$engine" -- "$build/tests/run_atfork"
done

# A program that preload cannot serve must not meet the real kernel, however it is started.
echo 'int main(void) { return 5; }' >"$work/five.c"
if ! ${CC:-cc} -static -o "$work/five" "$work/five.c" 2>/dev/null; then
	skip "no static C library, or no compiler"
	done_testing
fi
if command -v python3 >/dev/null; then
	python=python3
else
	python=
fi

# unserved WANTED_STATUS TEXT COMMAND...: refused with a report, and allowed on request.
unserved() {
	wanted=$1
	text=$2
	shift 2
	"$gmem" run --report-file "$work/report" -- "$@" >/dev/null 2>&1
	is $? "$wanted" "$text: refused"
	grep -q "^gmem: .*\(five\|script\): .*PT_INTERP" "$work/report"
	ok $? "$text: and reported"
	"$gmem" run --report-file "$work/report" --allow-unserved -- "$@" >/dev/null 2>&1
	is $? 5 "$text: --allow-unserved starts it"
	grep -q "^gmem: .*\(five\|script\): .*PT_INTERP" "$work/report"
	ok $? "$text: and reports that, too"
}

# A shell of that kind, in a mount namespace of its own.
shell=$(readlink -f /bin/sh)
if unshare -m true 2>/dev/null && unshare -m mount --bind "$work/five" "$shell" 2>/dev/null; then
	run_tap "a shell that cannot be served" unshare -m sh -c "mount --bind '$work/five' '$shell' &&
		exec '$gmem' run --report-file '$work/report' -- '$build/tests/run_shell'"
	is "$(grep -c '^gmem: .*sh: .*PT_INTERP' "$work/report")" 4 "each is reported"
else
	skip "no mount namespaces here"
fi

unserved 126 "exec by a shell" sh -c "exec '$work/five'"
unserved 126 "a shell's child" sh -c "'$work/five'; exit"
unserved 126 "env -i" env -i "$work/five"
unserved 126 "nice" nice "$work/five"
printf '#!%s\n' "$work/five" >"$work/script"
chmod +x "$work/script"
unserved 126 "the interpreter of a script" sh -c "exec '$work/script'"
if [ -n "$python" ]; then
	cat >"$work/spawn.py" <<-'end'
		import os, subprocess, sys
		how, path = sys.argv[1:]
		try:
		    if how == "spawn":
		        pid = os.posix_spawn(path, [path], {})
		        sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
		    if how == "fd":
		        os.execve(os.open(path, os.O_RDONLY), [path], {})
		    if how == "vfork":
		        sys.exit(subprocess.run([path], env={}).returncode)
		    os.execl(path, path)
		except PermissionError:
		    sys.exit(126)
	end
	for how in spawn fd vfork execl; do
		unserved 126 "python's $how" $python "$work/spawn.py" $how "$work/five"
	done
else
	skip "no python3"
fi
done_testing
