#!/bin/sh
# SPDX-License-Identifier: MIT
# tests/bench.t - gmem bench runs, its JSON is JSON and can be read again, two results are compared
#
# No time decides anything here: what is compared are files made by hand.
. "$(dirname "$0")/cli_lib.sh"

if [ ! -e "$build/libgmem-preload.so" ] || [ ! -x "$build/bench/measure" ]; then
	echo "1..0 # SKIP the preload object or the measuring programs are not built"
	exit 77
fi

# --- measuring ------------------------------------------------------------------
timeout -k 5 200 "$gmem" bench --quick --json >"$work/now.json" 2>"$work/err"
is $? 0 "gmem bench --quick --json ends with 0"
is "$(cat "$work/err")" "" "... and has nothing to complain about"
if command -v perl >/dev/null && perl -MJSON::PP -e 1 2>/dev/null; then
	# Every row of --list, in order, and each figure there or with a reason.
	perl -MJSON::PP -e '
		local $/;
		my $r = decode_json(<STDIN>);
		for my $row (@{$r->{rows}}) {
			my $bad = grep { !exists $_->{median} == !exists $_->{missing} } @{$row->{figures}};
			print $row->{id}, $bad || !@{$row->{figures}} ? " lacks a figure or a reason" : "", "\n";
		}' <"$work/now.json" >"$work/rows"
	is "$(cat "$work/rows")" "$("$gmem" bench --list | cut -d' ' -f1)" "the JSON has every row, and figures or reasons"
else
	skip 1 "no perl with JSON::PP"
fi
"$gmem" bench --result "$work/now.json" --json >"$work/again.json"
cmp -s "$work/now.json" "$work/again.json"
check "a result that is read is written as it was"
"$gmem" bench --result "$work/now.json" --against "$work/now.json" >"$work/text"
is $? 0 "nothing is slower than itself"
is "$(tail -n 1 "$work/text")" "0 slower, 0 faster beyond the spread" "... and nothing faster"
"$gmem" bench --result "$work/now.json" --markdown >"$work/table.md"
"$gmem" bench --list | sed 's/^[^ ]* *//' >"$work/words"
missing=$(while IFS= read -r words; do grep -qF "| $words |" "$work/table.md" || echo "$words"; done <"$work/words")
is "$missing" "" "--markdown has every row"
sed -n '/^## Speed/,/^## What it is not/p' README.md >"$work/readme"
missing=$(while IFS= read -r words; do grep -qF "| $words |" "$work/readme" || echo "$words"; done <"$work/words")
is "$missing" "" "the README's tables have every row: make readme-speed"

# The kernel has no conversion of its own in a type of VM that it does not know: the reason stands there.
"$gmem" bench --quick check-extension convert-page >"$work/text" 2>"$work/err"
is $? 0 "rows can be chosen"
is "$(grep -c '^KVM_' "$work/text")" 1 "... and no other is measured"
if [ -e /dev/kvm ]; then
	skip 1 "the host has a /dev/kvm"
else
	like "$(cat "$work/text")" "*no figure from this kernel*/dev/kvm: No such file*check-extension*" "without a /dev/kvm its column says so"
fi
PATH=/nonexistent "$gmem" bench --quick vcpu-alu umockdev-emulated >"$work/text"
like "$(cat "$work/text")" "*qemu-system-x86_64 is not installed (vcpu-alu)*" "QEMU that is not installed is a reason"
like "$(cat "$work/text")" "*umockdev-run is not installed (umockdev-emulated, *" "... and so is umockdev"
if command -v qemu-system-x86_64 >/dev/null; then
	"$gmem" bench --quick vcpu-alu >"$work/text"
	is "$(grep -c '^no figure' "$work/text")" 0 "QEMU runs the same guest"
else
	skip 1 "no qemu-system-x86_64"
fi
if command -v umockdev-run >/dev/null; then
	"$gmem" bench --quick umockdev-emulated >"$work/text"
	is "$(grep -c '^no figure' "$work/text")" 0 "umockdev answers its ioctl"
else
	skip 1 "no umockdev-run"
fi

# --- comparing ------------------------------------------------------------------

# result FILE CPU ROW...: ROW is id:low:median:high[:ratio], of engine dp; the ratio's spread is a hundredth each way.
result() {
	file=$1
	cpu=$2
	shift 2
	{
		printf '{ "gmem": "0", "kernel": "k", "cpu": "%s", "cpus": 2, "date": "d", "load": 0, "rounds": 5,\n' "$cpu"
		printf '"quick": false, "rows": ['
		comma=
		for row; do
			echo "$row" | awk -F: -v comma="$comma" '{
				printf "%s\n{ \"id\": \"%s\", \"figures\": [ { \"source\": \"dp\", \"low\": %s, \"median\": %s, \"high\": %s, \"samples\": 9",
					comma, $1, $2, $3, $4
				if ($5)
					printf ", \"ratio\": { \"low\": %g, \"median\": %g, \"high\": %g, \"samples\": 5 }", $5 * 0.99, $5, $5 * 1.01
				printf " } ] }"
			}'
			comma=,
		done
		printf ']}\n'
	} >"$file"
}

# compared WANTED-STATUS DESCRIPTION: "change: row" lines of now.json against before.json, in $work/changes.
compared() {
	"$gmem" bench --result "$work/now.json" --against "$work/before.json" >"$work/text"
	is $? "$1" "$2"
	sed -n '/^against/,$p' "$work/text" | sed -n 's/^\([a-z ,]*\): \([^ ]*\).*/\1: \2/p' >"$work/changes"
}

result "$work/before.json" m check-extension:9:10:11:0.04 refault:9:10:11:0.5 punch-2^62:9:10:11 convert-2^62:9:10:11 \
	first-touch:9:10:11 row-of-old:1:1:1
result "$work/now.json" m check-extension:19:20:21:0.08 refault:4:5:6:0.25 punch-2^62:10:12:13 convert-2^62:29:30:31 \
	random-million:1:1:1
compared 1 "slower rows: status 1"
is "$(sort "$work/changes")" "faster: refault
new: random-million
no longer measured: row-of-old
slower: check-extension
slower: convert-2^62" "slower, faster, new and missing rows are named; what the spreads cover is not, nor rows not asked for"
is "$(tail -n 1 "$work/text")" "2 slower, 1 faster beyond the spread" "... and counted"

result "$work/before.json" m check-extension:9:10:11:0.04 refault:9:10:11:0.5
result "$work/now.json" m check-extension:19:20:21:0.04 refault:9:10:11:0.9
compared 0 "a load that slows down both sides, and a pair that got faster: not slower"
is "$(cat "$work/changes")" "" "... and no line"

result "$work/before.json" m refault:100:100:100 first-touch:100:100:100
result "$work/now.json" m refault:104:104:104 first-touch:106:106:106
compared 1 "a difference has to be one, however narrow the spread"
is "$(cat "$work/changes")" "slower: first-touch" "... 4 % is none, 6 % is one"

result "$work/before.json" other check-extension:9:10:11:0.04 refault:9:10:11:0.5 punch-2^62:9:10:11
result "$work/now.json" m check-extension:1:2:3:0.08 refault:99:100:101:0.5 punch-2^62:99:100:101
compared 1 "on another machine ratios alone count"
is "$(cat "$work/changes")" "slower: check-extension
of another machine, with nothing beside it: punch-2^62" "... and a row without one is not compared"
"$gmem" bench --result "$work/now.json" --against "$work/before.json" --json >"$work/json"
is $? 1 "--json --against: status 1"
like "$(tr -d '\n' <"$work/json")" '*"same_machine": false*"slower": 1*"id": "check-extension"*"change": "slower"*' \
	"... and the changes are in the JSON"

result "$work/before.json" m check-extension:9:10:11:0.04 first-touch:9:10:11
result "$work/now.json" m check-extension:9:10:11:0.04
"$gmem" bench --result "$work/now.json" --against "$work/before.json" first-touch >/dev/null
is $? 0 "a row that was not measured now is not slower"

# --- targets --------------------------------------------------------------------
result "$work/now.json" m check-extension:9:10:11:1.2 refault:9:10:11:1.3 punch-2^62:9:1e5:11 convert-2^62:9:2e6:11
"$gmem" bench --result "$work/now.json" >"$work/text"
like "$(grep '^KVM_CHECK' "$work/text")" "*at most 1.30*met" "a ratio within its target"
like "$(grep '^touching' "$work/text")" "*at most 1 *missed: dp" "... and one that is not"
like "$(grep '^punching' "$work/text")" "*under 1 ms*met" "a figure within its target"
like "$(grep '^(0, 2^62) to private' "$work/text")" "*2 ms*missed: dp" "... and one that is not"

# --- files that are no result ------------------------------------------------------
for text in '' '{' '{ "rows": 1 }' '{ "rows": [ 01 ] }' '{ "rows": [ 1., ] }' '{ "rows": [] } x' '{ "rows": ["\ud800"] }'; do
	printf '%s' "$text" >"$work/bad.json"
	"$gmem" bench --result "$work/bad.json" >/dev/null 2>"$work/err"
	is $? 1 "no result: '$text'"
	like "$(cat "$work/err")" "*no result of gmem bench --json*" "... told"
done
awk 'BEGIN { for (i = 0; i < 100000; i++) printf "[" }' >"$work/bad.json"
"$gmem" bench --result "$work/bad.json" >/dev/null 2>&1
is $? 1 "brackets without end are no result"
printf '{ "rows": [ { "id": "caf\\u00e9 \\ud83d\\ude00 \\"x\\"", "figures": [] } ] }' >"$work/before.json"
"$gmem" bench --result "$work/now.json" --against "$work/before.json" | grep -qF 'no longer measured: café 😀 "x"'
check "escapes in a text are read"
"$gmem" bench --result "$work/none.json" >/dev/null 2>"$work/err"
is $? 1 "a file that is not there: 1"
like "$(cat "$work/err")" "*none.json: No such file*" "... told"

# --- options ------------------------------------------------------------------------
for options in nonsense check- "--rounds 0" "--rounds x" "--json --markdown" "--markdown --against x" "--result x --quick"; do
	# The words are parted on purpose.
	# shellcheck disable=SC2086
	"$gmem" bench $options >/dev/null 2>&1
	is $? 2 "gmem bench $options: 2"
done
like "$("$gmem" bench --help)" "Usage: gmem bench*--against*" "gmem bench --help"
done_testing
