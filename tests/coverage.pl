#!/usr/bin/perl
# SPDX-License-Identifier: MIT
#
# tests/coverage.pl - what the tests of a gcov build have run of core/, and which rules they have met
#
#   tests/coverage.pl BUILD      after the tests of a build with CFLAGS=--coverage have run
#
# A rule is met when a line that names it in core/ or device/ was executed.
# A refusal's line may begin above its rule's name: gcov counts what a statement
# spans under one line, so the lines of a statement are looked at together.
# Exit status 1 when a rule was not met or nothing was run.
use strict;
use warnings FATAL => 'all';

my $build = shift or die "usage: coverage.pl BUILD\n";
my (%met, %total);

sub percent { return $_[1] ? sprintf '%6.2f %%', 100 * $_[0] / $_[1] : '      - ' }

printf "%-24s %10s %10s\n", 'file', 'lines', 'branches';
for my $src (sort(glob 'core/*.c'), sort(glob 'device/*.c')) {
	my $data = "$build/hosted/" . $src =~ s/c$/gcda/r;
	my ($lines, $run, $branches, $taken, $statement, $count) = (0, 0, 0, 0, '', 0);
	next if !-e $data;
	open my $gcov, '-|', 'gcov', '-t', '-b', '-c', $data or die "gcov: $!\n";
	my $inside = 0;
	while (<$gcov>) {
		# Headers have sections of their own in the output.
		$inside = $1 eq $src if /^\s*-:\s*0:Source:(.*)$/;
		next if !$inside;
		if (/^branch\s+\d+ (?:taken (\d+)|never executed)/) {
			$branches++;
			$taken++ if $1;
		} elsif (/^\s*([^:]+?)\*?:\s*\d+:(.*)$/) {
			my ($n, $text) = ($1, $2);
			$lines++, $run += $n =~ /^\d/ ? 1 : 0 if $n ne '-';
			$statement .= $text;
			$count = 1 if $n =~ /^\d/;
			if ($text =~ /[;{}:]\s*(\/\*.*)?$/) {
				$met{$1} = 1 while $count && $statement =~ /\bRULE_(\w+)/g;
				($statement, $count) = ('', 0);
			}
		}
	}
	close $gcov;
	next if $src !~ /^core/;
	printf "%-24s %10s %10s\n", $src, percent($run, $lines), percent($taken, $branches);
	$total{lines} += $lines, $total{run} += $run, $total{branches} += $branches, $total{taken} += $taken;
}
die "nothing was run in $build\n" if !$total{run};
printf "%-24s %10s %10s\n", 'core/', percent($total{run}, $total{lines}), percent($total{taken}, $total{branches});

open my $rules, '<', 'core/rule.def' or die "core/rule.def: $!\n";
my (@never, $count);
while (<$rules>) {
	next if !/^RULE\((\w+), "([^"]+)"/;
	$count++;
	push @never, $2 if !$met{$1};
}
printf "%d of %d rules were met\n", $count - @never, $count;
print "never met: $_\n" for @never;
exit(@never ? 1 : 0);
