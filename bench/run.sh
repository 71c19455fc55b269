#!/bin/sh
# SPDX-License-Identifier: MIT
#
# bench/run.sh - the figures of bench/measure.c and bench/vcpu.c, in one run
#
#   bench/run.sh BUILD
#
# Of guest_memfd: host and gmem beside each other.  Of the vCPU: QEMU's interpreter
# (qemu-system-x86_64 -accel tcg, where it is installed) and gmem's on the same guest.
# A ratio is gmem's figure to the host's, or with an x how many times as fast
# gmem is; the last column says what must hold.
# Exit status 1 when a limit is not kept.
set -u

build=$1
measure=$build/bench/measure
out=$(mktemp -d "${TMPDIR:-/tmp}/gmem-bench.XXXXXX") || exit 99
trap 'rm -rf "$out"' EXIT
trap 'exit 1' HUP INT TERM

# The host's own ways need no KVM; what compares with a real guest_memfd does.
"$measure" mprotect two-backings-512 two-backings-1g memfd-touch >"$out/host" || exit 1
"$measure" calls refault >>"$out/host" 2>/dev/null || echo "# no real guest_memfd here: its column stays empty"

engines=
for engine in ${GMEM_ENGINES:-dp eg}; do
	if "$build/gmem" run --engine "$engine" -- true 2>/dev/null; then
		engines="$engines $engine"
		"$build/gmem" run --engine "$engine" -- "$measure" calls refault touch convert-page convert-512 \
			convert-1g large random >"$out/$engine" 2>"$out/err" || {
			tail -n 5 "$out/err" >&2
			exit 1
		}
	else
		echo "# engine $engine cannot run here"
	fi
done

# The same guest as a multiboot image; its writes to the debug port come back as a file.
: >"$out/qemu"
if command -v qemu-system-x86_64 >/dev/null; then
	"$build/bench/vcpu" --image "$out/image"
	timeout 120 qemu-system-x86_64 -accel tcg -m 128 -display none -nodefaults -no-reboot -kernel "$out/image" \
		-debugcon "file:$out/debug" -device isa-debug-exit,iobase=0xf4,iosize=1 </dev/null >"$out/err" 2>&1
	"$build/bench/vcpu" --read "$out/debug" >"$out/qemu" || {
		tail -n 5 "$out/err" >&2
		: >"$out/qemu"
	}
else
	echo "# no qemu-system-x86_64 here: its column stays empty"
fi
"$build/gmem" run --cpu soft -- "$build/bench/vcpu" >"$out/soft" 2>"$out/err" || {
	tail -n 5 "$out/soft" "$out/err" >&2
	exit 1
}

# name of the figure, the host's figure it is compared with, limit: "<= R" as ratio, ">= R" times as fast, "< V" itself
cat >"$out/table" <<'T'
check-extension check-extension <=1.3
unrelated-ioctl unrelated-ioctl <=1.05
set-region-again set-region-again <=2.5
punch-hole-empty punch-hole-empty <=2.5
slot-and-delete slot-and-delete <=2.5
create-and-close create-and-close -
convert-page mprotect-page >=2
convert-512 two-backings-512 >=20
convert-512-touched two-backings-512 -
convert-1GiB two-backings-1GiB >=20
convert-1GiB-touched two-backings-1GiB -
first-touch memfd-first-touch <=1.1
refault refault <=1
create-and-map-1TiB - <1000
create-and-map-1TiB-memory - <1024
convert-1<<62 - <1000
punch-1<<62 - <1000
convert-back-1<<62 - <1000
random-million - <5000
random-million-VMAs - -
T

cat >"$out/vcpu-table" <<'T'
vcpu-alu vcpu-alu <8
vcpu-store vcpu-store <8
vcpu-compare vcpu-compare -
vcpu-call vcpu-call -
vcpu-pio vcpu-pio <350
vcpu-touch-2M vcpu-touch-2M <600
vcpu-touch-4K vcpu-touch-4K <600
vcpu-create - <100
vcpu-lock-lost - <1
vcpu-lock - -
T

# print_table TABLE BASE COLUMNS: BASE's figures, and each column's with its ratio to them
print_table() {
	awk -v base_name="$2" -v engines="$3" -v dir="$out" '
		function human(v) {
			if (v >= 1e4)
				return v >= 1e6 ? sprintf("%.2fM", v / 1e6) : sprintf("%.1fk", v / 1e3)
			return sprintf(v < 100 && v != int(v) ? "%.1f" : "%.0f", v)
		}
		BEGIN {
			n = split(engines, engine, " ")
			while ((getline line < (dir "/" base_name)) > 0) { split(line, f, " "); host[f[1]] = f[2] }
			for (i = 1; i <= n; i++)
				while ((getline line < (dir "/" engine[i])) > 0) {
					split(line, f, " ")
					value[engine[i], f[1]] = f[2]
					unit[f[1]] = f[3]
				}
			printf "%-28s %-18s %9s", "figure", "beside", base_name
			for (i = 1; i <= n; i++)
				printf " %9s %8s", engine[i], "ratio"
			printf "  %s\n", "limit"
		}
		{
			base = host[$2]
			printf "%-28s %-18s %9s", $1 " (" unit[$1] ")", $2, base ? human(base) : "-"
			verdict = ""
			limit = $3
			gsub(/[<>=]/, "", limit)
			for (i = 1; i <= n; i++) {
				v = value[engine[i], $1]
				faster = $3 ~ /^>=/ || $3 == "-"
				if (faster)
					ratio = base && v ? base / v : 0
				else
					ratio = base ? v / base : 0
				printf " %9s %8s", human(v), base ? sprintf("%.2f%s", ratio, faster ? "x" : "") : "-"
				if ($3 == "-" || (!base && $3 !~ /^<[0-9]/))
					continue
				if ($3 ~ /^<=/ && ratio > limit + 0 || $3 ~ /^>=/ && ratio < limit + 0 || $3 ~ /^<[0-9]/ && v >= limit + 0)
					verdict = verdict " " engine[i]
			}
			printf "  %s%s\n", $3 == "-" ? "" : $3, verdict ? "  MISSED:" verdict : ""
			missed += verdict != ""
		}
		END { exit missed > 0 }' "$out/$1"
}

missed=0
print_table table host "$engines" || missed=1
print_table vcpu-table qemu soft || missed=1
exit $missed
