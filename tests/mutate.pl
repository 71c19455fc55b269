#!/usr/bin/perl
# SPDX-License-Identifier: MIT
#
# tests/mutate.pl - do the tests notice when the model is wrong?
#
#   tests/mutate.pl [--checks] [--sample N] [--fresh] [--list] [--verbose] [--jobs N] BUILD [FILE...]
#
# Theory of operation.  A mutant is one file of core/ with one small change: a
# comparison, a constant, an errno or a rule is another one, a check, statement
# or row is gone.  For each, the file (of a header or a table: all in which it
# makes a difference) is compiled without optimisation and loaded before the
# core that the tests, built once, are linked with; the mutant is killed when one
# of them fails, crashes or does not end.  What survives is then compiled with
# optimisation: where that yields the code of the original, it is no change.
# The others need a line in tests/mutants.why.
#
#   MUT-1  A mutant is named by file, function, the statement's line before and
#          after: neither line numbers nor other functions matter to a reason.
#   MUT-2  A reason that no survivor needs is an error, so that the list
#          does not outlive what it is about.
#   MUT-3  A result is kept as long as it can hold: a kill while the mutated file and the
#          test that killed are the same, a survival of each test while that is.
#
# --checks takes only mutants in which one refusal is gone, one for each place that names a
# rule, and of device/ too; --sample N takes N mutants at equal distances.
use strict;
use warnings FATAL => 'all';
use Digest::SHA qw(sha1_hex);
use File::Basename qw(basename dirname);
use File::Path qw(make_path);
use Getopt::Long;
use IO::Handle;
use POSIX ();
use Time::HiRes ();

my ($checks, $sample, $fresh, $list, $verbose, $jobs) = (0, 0, 0, 0, 0, 2);
GetOptions('checks' => \$checks, 'sample=i' => \$sample, 'fresh' => \$fresh, 'list' => \$list,
	'verbose' => \$verbose, 'jobs=i' => \$jobs) or exit 2;
my $build = shift or die "usage: mutate.pl [--checks] [--sample N] [--fresh] [--list] [--verbose] [--jobs N] BUILD [FILE...]\n";
my @tests = qw(attributes convert file fileop memslot memslot_order profile resolve rule store vm);
push @tests, map { s{^tests/unit_}{}r =~ s{\.c$}{}r } glob 'tests/unit_core_*.c';
my @device_tests = qw(device_rules device_refusals ioctl_faults lapic ioapic pic); # what device/ is compiled into
my @cc = split ' ', $ENV{CC} || 'gcc';
my $cflags = '-std=gnu11 -I. -w -DRT_HOSTED -DRT_FAULTS -D_GNU_SOURCE -fPIC';
my $size_limit = 8 << 30; # of address space: windows of files of 16 TiB are sparse
my $dir = "$build/mutate";
make_path($dir);

sub slurp {
	open my $in, '<', $_[0] or die "$_[0]: $!\n";
	local $/;
	return scalar <$in>;
}

sub spew {
	my ($path, $text) = @_;
	make_path(dirname($path));
	open my $out, '>', $path or die "$path: $!\n";
	print $out $text;
	close $out;
}

# --- mutants of a text ----------------------------------------------------------

# Rules, and for each another one that answers with the same errno, so that the rule itself is what a test must look at.
my %other_rule;
{
	my (%by_error, $table);
	$table = slurp('core/rule.def');
	push @{ $by_error{$2} }, $1 while $table =~ /^RULE\((\w+), "[^"]*", (\w+)/mg;
	for my $rules (values %by_error) {
		$other_rule{ $rules->[$_] } = $rules->[ ($_ + 1) % @$rules ] for 0 .. $#$rules;
		$other_rule{ $rules->[0] } = 'OWNER' if @$rules == 1;
	}
}

my %swap = (
	'<' => ['<=', '>='], '<=' => ['<', '>'], '>' => ['>=', '<='], '>=' => ['>', '<'], '==' => ['!='], '!=' => ['=='],
	'&&' => ['||'], '||' => ['&&'], '+' => ['-'], '-' => ['+'], '*' => ['/'], '/' => ['*'], '%' => ['*'],
	'<<' => ['>>'], '>>' => ['<<'], '&' => ['|'], '|' => ['&'], '^' => ['&'], '+=' => ['-='], '-=' => ['+='],
	'|=' => ['&='], '&=' => ['|='], '++' => ['--'], '--' => ['++'], '?' => ['== 0 ?'],
);
my %word = (true => 'false', false => 'true', rt_min => 'rt_max', rt_max => 'rt_min');
my %keyword = map { $_ => 1 } qw(return if for while do switch case default break continue goto else struct enum union const
	static inline extern unsigned int char void bool size_t u8 u16 u32 u64 s32 s64 typedef sizeof);

# Tokens with their places; comments and preprocessor lines are none, but for the values of simple macros.
sub tokens {
	my ($text) = @_;
	my @tokens;
	pos($text) = 0;
	while (pos($text) < length $text) {
		next if $text =~ m{\G\s+}gc || $text =~ m{\G/\*.*?\*/}gcs || $text =~ m{\G//[^\n]*}gc;
		if ($text =~ m{\G#\s*define\s+\w+(?!\w|\()}gc) {
			push @tokens, { at => pos($text), text => ';', kind => 'edge' };
			next;
		}
		next if $text =~ m{\G#(?:[^\n\\]|\\\n|\\.)*}gc || $text =~ m{\G\\\n}gc;
		my $at = pos($text);
		my $kind =
			  $text =~ m{\G[A-Za-z_]\w*}gc ? 'id'
			: $text =~ m{\G\d\w*}gc ? 'num'
			: $text =~ m{\G"(?:[^"\\]|\\.)*"}gc ? 'str'
			: $text =~ m{\G'(?:[^'\\]|\\.)*'}gc ? 'chr'
			: $text =~ m{\G(?:<<=|>>=|->|\+\+|--|<<|>>|<=|>=|==|!=|&&|\|\||[-+*/%&|^]=|\.\.\.|.)}gcs ? 'op'
			: die;
		push @tokens, { at => $at, text => substr($text, $at, pos($text) - $at), kind => $kind };
	}
	# Partners of parentheses, and the depth in braces.
	my ($depth, @open) = 0;
	for my $i (0 .. $#tokens) {
		my $t = $tokens[$i]{text};
		if ($t eq '(') {
			push @open, $i;
		} elsif ($t eq ')' && @open) {
			my $o = pop @open;
			$tokens[$o]{partner} = $i;
			$tokens[$i]{opener} = $o;
		}
		$depth-- if $t eq '}';
		$tokens[$i]{depth} = $depth;
		$depth++ if $t eq '{';
	}
	return @tokens;
}

# The function, or table, around a place.
sub function_at {
	my ($text, $at) = @_;
	my $name = '';
	while ($text =~ /^(?:[a-z#][^\n;]*?(\w+)(?:\(|\[\w*\] = \{)|(\w+)\()/mg) {
		last if $-[0] > $at;
		$name = $1 // $2;
	}
	return $name;
}

# All mutants of a file: at, length and what stands there instead, and the rule whose check is gone, if one is.
sub mutants {
	my ($file, $text) = @_;
	my @t = tokens($text);
	my (@found, $def);
	my $put = sub {
		my ($i, $j, $new, $rule) = @_; # tokens i to j
		my $at = $t[$i]{at};
		push @found, { file => $file, at => $at, length => $t[$j]{at} + length($t[$j]{text}) - $at, new => $new,
			rule => $rule };
	};
	my $end_of = sub { # of the statement that begins at token i
		my ($i) = @_;
		while ($t[$i]{text} ne ';') {
			$i = $t[$i]{partner} // $i;
			return undef if $t[$i]{text} =~ /^[{}]$/ || ++$i > $#t;
		}
		return $i;
	};
	$def = $file =~ /\.def$/;
	my @in_refusal; # numbers that are a refusal's whole argument
	for my $i (grep { $t[$_]{text} eq 'core_refuse' && $t[ $_ + 1 ]{partner} } 0 .. $#t - 1) {
		$in_refusal[$_] = $t[$_]{kind} eq 'num' && $t[ $_ - 1 ]{text} eq ',' && $t[ $_ + 1 ]{text} =~ /^[,)]$/
			for $i + 2 .. $t[ $i + 1 ]{partner} - 1;
	}
	for my $i (0 .. $#t) {
		my ($text_i, $kind) = @{ $t[$i] }{qw(text kind)};
		my ($before, $after) = map { $_ < 0 || $_ > $#t ? { text => '', kind => 'edge', at => 0 } : $t[$_] } $i - 1, $i + 1;
		next if $kind eq 'edge';
		if ($def) { # rows: other answers, and rows that are not there
			$put->($i, $i, $text_i eq 'EDOM' ? 'ERANGE' : 'EDOM') if $kind eq 'id' && $text_i =~ /^E[A-Z0-9]+$/;
			$put->($i, $i, 1) if $kind eq 'num' && $before->{text} eq ',';
			$put->($i, $t[$i + 1]{partner}, '')
				if $text_i =~ /^CAP/ && $after->{text} eq '(' && ($i == 0 || $before->{text} eq ')');
			$put->($i, $i, $text_i eq 'yes' ? 'nr_memslots' : 'yes')
				if $kind eq 'id' && $after->{text} eq ')' && basename($file) eq 'cap.def';
			next;
		}
		my $spaced = substr($text, $t[$i]{at} - 1, 1) =~ /\s/ && substr($text, $t[$i]{at} + length $text_i, 1) =~ /\s/;
		my $operand = $before->{kind} =~ /^(id|num|chr)$/ || $before->{text} =~ /^[\])]$/;
		if ($kind eq 'op' && $swap{$text_i}) {
			$put->($i, $i, $_) for $spaced && $operand || $text_i =~ /^(\+\+|--)$/ ? @{ $swap{$text_i} } : ();
		}
		if ($text_i =~ /^[!~]$/ || ($text_i eq '-' && !$operand)) {
			$put->($i, $i, '');
		} elsif ($kind eq 'num') {
			my ($digits, $suffix) = $text_i =~ /^(0[xX][0-9a-fA-F]+|\d+)([uUlL]*)$/ or next;
			next if $in_refusal[$i]; # changed below
			my $value = Math::BigInt->from_dec_or_hex($digits);
			$put->($i, $i, $_ . $suffix) for grep { $_ >= 0 } $value + 1, $value - 1;
		} elsif ($kind eq 'str') {
			$put->($i, $i, '""') if length($text_i) > 2;
		} elsif ($kind eq 'id' && defined $word{$text_i}) {
			$put->($i, $i, $word{$text_i});
		} elsif ($text_i =~ /^RULE_(\w+)$/ && $other_rule{$1}) {
			$put->($i, $i, "RULE_$other_rule{$1}");
		} elsif ($text_i =~ /^E[A-Z0-9]+$/) {
			$put->($i, $i, 'EDOM');
		} elsif ($text_i =~ /^[A-Z][A-Z0-9]+_\w*[A-Z]\w*$/ && $before->{text} !~ /^(case|enum|goto)$/ && $after->{text} !~ /^[:(]$/ &&
			$t[$i]{depth} > 0) {
			$put->($i, $i, 0);
		}
		if ($text_i eq 'core_refuse' && $t[$i]{depth} > 0) {
			my ($end, @args) = ($t[$i + 1]{partner}, $i + 2);
			for (my $j = $i + 2; $j < $end; $j++) {
				$j = $t[$j]{partner} // $j;
				push @args, $j + 1 if $t[$j]{text} eq ',';
			}
			my $rule = $t[ $args[1] ]{text};
			my $removed = $t[$i - 1]{text} eq 'return' && $t[$i - 2]{text} eq ')' && $t[ $t[$i - 2]{opener} - 1 ]{text} eq 'if';
			$put->($i, $end, 0, $removed ? undef : $rule);
			# What the refusal says of value and expectation.
			$put->($args[4], $args[5] - 2, $t[ $args[4] ]{text} eq '0' ? 77 : 0) if @args == 6;
			$put->($args[5], $end - 1, $t[ $args[5] ]{text} eq '0' ? 77 : 0) if @args == 6;
		}
		if ($text_i eq 'if') {
			my $end = $t[$i + 1]{partner};
			my $rule = $t[$end + 1]{text} eq 'return' && $t[$end + 2]{text} eq 'core_refuse' ? $t[$end + 6]{text} : undef;
			$put->($i + 2, $end - 1, 0, $rule);
			$put->($i + 2, $end - 1, 1);
		} elsif ($text_i eq 'while') {
			$put->($i + 2, $t[$i + 1]{partner} - 1, 0);
		} elsif ($text_i eq 'return' && $after->{text} ne ';') {
			my $end = $end_of->($i);
			$put->($i + 1, $end - 1, 0) if $end && !($end == $i + 2 && $after->{text} eq '0') && $after->{text} ne 'core_refuse';
		}
		# Statements that begin here.
		my $begins = $before->{text} =~ /^([;{}:]|else)$/ ||
			($before->{text} eq ')' && $t[ $before->{opener} - 1 ]{text} =~ /^(if|for|while)$/);
		if ($begins && $t[$i]{depth} > 0) {
			my $end = $end_of->($i);
			if ($text_i =~ /^(break|continue)$/) {
				$put->($i, $i + 1, ';');
			} elsif ($text_i eq 'return' && $end && $before->{text} ne ')' && !($t[$end + 1]{text} eq '}' && $t[$i]{depth} == 1)) {
				$put->($i, $end, ';');
			} elsif ($text_i eq 'case') {
				my $colon = $i;
				$colon++ while $t[$colon]{text} ne ':';
				$put->($i, $colon, '');
			} elsif ($end && (($kind eq 'id' && !$keyword{$text_i} && $after->{kind} ne 'id' && $after->{text} !~ /^[*:]$/) ||
					$text_i eq '*')) {
				$put->($i, $end, ';');
			}
		}
		# A field of an initialiser.
		if ($text_i eq '.' && $before->{text} =~ /^[{,]$/) {
			my $j = $i;
			$j = $t[$j + 1]{partner} // $j + 1 while $t[$j]{text} !~ /^[,}]$/;
			$put->($i, $j - ($t[$j]{text} eq '}'), '') if $t[$j]{text} eq ',';
		}
	}
	return @found;
}

# Decimal or hexadecimal digits, 64 bits of them, as an integer that perl does not round.
{
	package Math::BigInt;
	require Math::BigInt;
	sub from_dec_or_hex { $_[1] =~ /^0x/i ? Math::BigInt->from_hex($_[1]) : Math::BigInt->new($_[1]) }
}

# MUT-1: the lines that the change touches, before and after.
sub name_mutant {
	my ($m, $text) = @_;
	my $first = rindex($text, "\n", $m->{at} - 1) + 1;
	my $last = index($text, "\n", $m->{at} + $m->{length});
	# A short line says little: the one above belongs to it.
	$first = rindex($text, "\n", $first - 2) + 1 if $last - $first < 24 && $first > 1;
	$last = length $text if $last < 0;
	my $tidy = sub { join ' ', split ' ', $_[0] };
	$m->{old} = $tidy->(substr($text, $first, $last - $first));
	$m->{mutated} = $tidy->(substr($text, $first, $m->{at} - $first) . $m->{new} .
		substr($text, $m->{at} + $m->{length}, $last - $m->{at} - $m->{length}));
	$m->{function} = function_at($text, $m->{at});
	$m->{name} = "$m->{file}: $m->{function}: $m->{old} => $m->{mutated}";
	$m->{key} = sha1_hex($m->{file}, mutated($m, $text)); # not kept: four thousand of them make every fork slow
	return $m;
}

sub mutated {
	my ($m, $text) = @_;
	return substr($text, 0, $m->{at}) . $m->{new} . substr($text, $m->{at} + $m->{length});
}

# --- compiling and running -------------------------------------------------------

my @core = sort glob 'core/*.c';
my @rt = sort glob 'rt/*.c';

# setrlimit(2), which perl has no word for.
sub limit { syscall(160, $_[0], pack('QQ', $_[1], $_[1])) == 0 or POSIX::_exit(126) }

sub run_quiet {
	my ($limited, @argv) = @_; # seconds of processor time, 0 for no limit
	my $pid = fork // die "fork: $!\n";
	if (!$pid) {
		open STDIN, '<', '/dev/null';
		open STDOUT, '>', '/dev/null';
		open STDERR, '>', '/dev/null';
		if ($limited) {
			# RLIMIT_CPU counts in seconds, which is long for a test of a millisecond.  It outlives exec too.
			Time::HiRes::setitimer(Time::HiRes::ITIMER_PROF(), $limited);
			limit(4, 0);	    # RLIMIT_CORE
			limit(9, $size_limit); # RLIMIT_AS
			alarm 120; # it outlives exec: a test that sleeps for ever uses no time
		}
		exec { $argv[0] } @argv or POSIX::_exit(127);
	}
	waitpid $pid, 0;
	return $? == 0;
}

($cc[0], my $ld) = map { my $name = $_; (grep { -x } map { "$_/$name" } split /:/, $ENV{PATH})[0] // $name } $cc[0], 'ld';
chomp(my $libgcc = `@cc -print-libgcc-file-name`);
sub compile { return run_quiet(0, @cc, split(' ', "$cflags $_[0]")) }

sub link_shared { # ld itself: the compiler's way to it takes longer than it does
	my ($to, @objects) = @_;
	return run_quiet(0, $ld, '-shared', '-o', $to, @objects, $libgcc);
}

sub object { return "$dir/obj/" . $_[0] =~ tr{/}{_}r . '.o' }

# The original once, and the tests of it, with the seconds that each takes.  What is there from an earlier run is as good.
my (%time, $state);
sub is_built {
	my ($name) = @_;
	return -e "$dir/$name.of" && slurp("$dir/$name.of") eq $state;
}

sub build_library {
	my ($name, @sources) = @_;
	return if is_built($name);
	for my $src (@sources) {
		compile("-O2 -c -o " . object($src) . " $src") or die "$src does not compile\n";
	}
	link_shared("$dir/lib/lib$name.so", map { object($_) } @sources) or die "no lib$name.so\n";
	spew("$dir/$name.of", $state);
}

sub build_tests {
	my ($libraries, @names) = @_;
	for my $test (@names) {
		my $linked = $state . test_text("tests/unit_$test.c");
		if (!-e "$dir/bin/$test.of" || slurp("$dir/bin/$test.of") ne sha1_hex($linked)) {
			compile("-O1 -DTAP_STOP -o $dir/bin/$test tests/unit_$test.c -L$dir/lib $libraries -lpthread")
				or die "tests/unit_$test.c does not compile\n";
			spew("$dir/bin/$test.of", sha1_hex($linked));
		}
		my $before = (times)[2] + (times)[3];
		run_quiet(30, "$dir/bin/$test") or die "tests/unit_$test.c fails as it is: nothing can be said of mutants\n";
		$time{$test} = (times)[2] + (times)[3] - $before;
	}
	return sort { $time{$a} <=> $time{$b} || $a cmp $b } @names; # the quick ones first
}

# A test with what it includes of tests/.
sub test_text {
	my $text = slurp($_[0]);
	return $text . join '', map { test_text($_) } $text =~ m{^#include "(tests/[^"]+)"}mg;
}

sub build_base {
	make_path("$dir/obj", "$dir/lib", "$dir/bin");
	$ENV{LD_LIBRARY_PATH} = "$dir/lib";
	$state = sha1_hex("@cc $cflags", slurp($0), map { slurp($_) } sort map { glob "$_/*.[chd]*" } qw(uapi rt core cpu host device));
	unlink glob("$dir/obj/*.s"), glob("$dir/obj/*.i") if !is_built('core'); # original() makes them anew
	build_library('core', @core, @rt);
	# Some of rt/ is hidden: what calls it has its own.
	build_library('device', @rt, map { glob "$_/*.c" } qw(cpu host device));
	@tests = build_tests('-lcore', @tests);
	@device_tests = build_tests('-ldevice -lcore', @device_tests);
}

# The tests that may notice a change of a file.
sub tests_of { return $_[0] =~ /^core/ ? (@tests, @device_tests) : @device_tests }

# The parts of core/ that may see a file: all that include it, through others too.
my %includers;
sub sources_of {
	my ($file) = @_;
	$includers{$file} //= do {
		my %reached = ($file => 1);
		for (my $before = 0; $before != keys %reached;) {
			$before = keys %reached;
			for my $user (@core, glob('core/*.h'), glob('core/*.def')) {
				$reached{$user} = 1 if grep { $reached{$_} } slurp($user) =~ /^\s*#\s*include "([^"]+)"/mg;
			}
		}
		[grep { $reached{$_} } @core];
	};
	return @{ $includers{$file} };
}

# What the compiler makes of the original, for comparisons: made once, by whichever worker needs it first.
sub original {
	my ($w, $how, $src) = @_;
	my $path = "$dir/obj/" . $src =~ tr{/}{_}r . ($how =~ /-E/ ? '.i' : '.s');
	if (!-e $path) {
		compile("$how -o $w/original $src") or die "$src does not compile\n";
		rename "$w/original", $path or die "$path: $!\n";
	}
	return slurp($path);
}

# Of them, those that read otherwise once the file in $w/inc is what they include: most see a header's line and make nothing of it.
sub changed_sources {
	my ($w, $file) = @_;
	return ($file) if $file =~ /\.c$/;
	my @changed;
	for my $src (sources_of($file)) {
		push @changed, $src
			if !compile("-iquote $w/inc -E -P -o $w/a.i $src") || slurp("$w/a.i") ne original($w, '-E -P', $src);
	}
	return @changed;
}

sub same_code {
	my ($w, $m, @sources) = @_;
	for my $src (@sources) {
		my ($from, $include) = $src eq $m->{file} ? ("$w/inc/$src", '') : ($src, "-iquote $w/inc");
		compile("$include -O2 -S -o $w/a.s $from") or return 0;
		my ($x, $y) = map { s/^\s*\.file.*\n//mr } original($w, '-O2 -S', $src), slurp("$w/a.s");
		return 0 if $x ne $y;
	}
	return 1;
}

# The mutant alone in $w/mutant.so: what is loaded first comes before libcore.so, function by function.
sub build_mutant {
	my ($w, $m, @sources) = @_;
	my @objects;
	for my $src (@sources) {
		push @objects, "$w/" . $src =~ tr{/}{_}r . '.o';
		# -iquote: before the -I. of everything.
		compile($src eq $m->{file} ? "-O0 -c -o $objects[-1] $w/inc/$src" : "-iquote $w/inc -O0 -c -o $objects[-1] $src") or return 0;
	}
	push @objects, map { object($_) } @rt if $m->{file} !~ /^core/; # as libdevice.so has
	return link_shared("$w/mutant.so", @objects);
}

# "killed TEST", "survived", "same" or "broken".
my (%test_hash, %kills, %passed);
sub try_mutant {
	my ($w, $m) = @_;
	spew("$w/inc/$m->{file}", mutated($m, slurp($m->{file})));
	my @sources = changed_sources($w, $m->{file});
	my $verdict = !@sources ? 'same' : !build_mutant($w, $m, @sources) ? 'broken' : undef;
	if (!$verdict) {
		local $ENV{LD_PRELOAD} = "$w/mutant.so";
		# What noticed other mutants of this function, or file, will notice this one.
		my ($here, $file) = map { $kills{$_} //= {} } "$m->{file}: $m->{function}", $m->{file};
		for my $test (sort { ($here->{$b} // 0) <=> ($here->{$a} // 0) || ($file->{$b} // 0) <=> ($file->{$a} // 0) }
			tests_of($m->{file})) {
			next if $passed{ $m->{key} } && $passed{ $m->{key} }{ $test_hash{$test} };
			# Without optimisation all is slower than what was measured, and a slow mutant is not a wrong one.
			next if run_quiet(0.5 + 20 * $time{$test}, "$dir/bin/$test");
			$verdict = "killed $test" . (($? & 127) == POSIX::SIGPROF() || ($? & 127) == POSIX::SIGALRM() ? ' by time' : '');
			last;
		}
	}
	$verdict //= same_code($w, $m, @sources) ? 'same' : 'survived';
	unlink "$w/inc/$m->{file}";
	return $verdict;
}

sub count_kill {
	my ($m, $verdict) = @_;
	$verdict =~ /^killed (\w+)/ or return;
	$kills{$_}{$1}++ for "$m->{file}: $m->{function}", $m->{file};
}

# --- all of it --------------------------------------------------------------------

my @files = @ARGV ? @ARGV : (@core, glob('core/*.h'), glob('core/*.def'));
push @files, glob 'device/*.c' if $checks && !@ARGV;
my (@all, %seen);
for my $file (@files) {
	my $text = slurp($file);
	push @all, grep { !$seen{ $_->{key} }++ } map { name_mutant($_, $text) } mutants($file, $text);
}
@all = grep { $_->{rule} } @all if $checks;
@all = @all[ map { int($_ * @all / $sample) } 0 .. $sample - 1 ] if $sample && $sample < @all;
if ($list) {
	print "$_->{name}\n" for @all;
	exit 0;
}
%test_hash = map { $_ => substr(sha1_hex(test_text("tests/unit_$_.c")), 0, 10) } @tests, @device_tests;
sub hashes_of { return sort map { $test_hash{$_} } tests_of($_[0]) }
my (%cache, @todo);
if (!$fresh && open my $in, '<', "$dir/results") {
	while (<$in>) {
		my ($key, $hash, $verdict) = /^(\w+) ([\w,]+) (.*)$/ or next;
		if ($verdict eq 'survived') { # all these tests, which need not be run again
			$passed{$key} = { map { $_ => 1 } split /,/, $hash };
		} else {
			$cache{$key} = $verdict if $hash eq ($verdict =~ /^killed (\w+)/ ? $test_hash{$1} // '' : 'ever');
		}
	}
}
for my $m (grep { $passed{ $_->{key} } } @all) {
	$cache{ $m->{key} } = 'survived' if !grep { !$passed{ $m->{key} }{$_} } hashes_of($m->{file});
}
@todo = grep { !$cache{ $_->{key} } } @all;
count_kill($_, $cache{ $_->{key} } // '') for @all;
printf STDERR "%d mutants, %d to try\n", scalar @all, scalar @todo if $verbose;
build_base() if @todo;

# FILE: FUNCTION: OLD => NEW  ## REASON
my %why;
if (open my $in, '<', 'tests/mutants.why') {
	while (<$in>) {
		next if /^\s*(#|$)/;
		chomp;
		my ($name, $reason) = /^(.*?)\s+## (.+)$/ or die "tests/mutants.why:$.: no reason\n";
		$why{$name} = { reason => $reason, line => $., used => 0 };
	}
}

# Workers take every other one and report through a pipe; results are kept as they come.
my ($r, $wr);
pipe $r, $wr or die;
my @pids;
for my $n (0 .. $jobs - 1) {
	my $pid = fork // die "fork: $!\n";
	if (!$pid) {
		close $r;
		setpriority(0, 0, 10) if !$checks && getpriority(0, 0) < 10; # the whole run is long
		$wr->autoflush(1);
		for (my $i = $n; $i < @todo; $i += $jobs) {
			my $verdict = try_mutant("$dir/work$n", $todo[$i]);
			count_kill($todo[$i], $verdict);
			print $wr "$i $verdict\n";
		}
		POSIX::_exit(0);
	}
	push @pids, $pid;
	make_path("$dir/work$n");
}
close $wr;
open my $keep, $fresh ? '>' : '>>', "$dir/results" or die "$dir/results: $!\n";
$keep->autoflush(1);
while (<$r>) {
	my ($i, $verdict) = /^(\d+) (.*)$/ or next;
	my $m = $todo[$i];
	$cache{ $m->{key} } = $verdict;
	my $hash = $verdict =~ /^killed (\w+)/ ? $test_hash{$1} : $verdict eq 'survived' ? join(',', hashes_of($m->{file})) : 'ever';
	print $keep "$m->{key} $hash $verdict\n";
	print STDERR "$verdict: $m->{name}\n" if $verbose && $verdict eq 'survived' && !$why{ $m->{name} };
}
waitpid $_, 0 for @pids;

# --- what is left to explain --------------------------------------------------------

my @kinds = qw(killed same broken explained unexplained);
my (%count, $slow);
for my $m (@all) {
	my ($verdict) = ($cache{ $m->{key} } // 'lost') =~ /^(\w+)/;
	if ($verdict eq 'survived' && $why{ $m->{name} }) {
		$verdict = 'explained';
		$why{ $m->{name} }{used} = 1;
	}
	if (!grep { $_ eq $verdict } @kinds) {
		print "$verdict: $m->{name}\n";
		$verdict = 'unexplained';
	}
	$slow++ if $verdict eq 'killed' && $cache{ $m->{key} } =~ / by time$/;
	$count{$_}{$verdict}++ for $m->{file}, 'all';
}
my $stale = 0;
for my $name (sort keys %why) {
	my ($file) = $name =~ /^([^:]*):/;
	next if $why{$name}{used} || $checks || $sample || !grep { $_ eq $file } @files;
	print "tests/mutants.why:$why{$name}{line}: no survivor needs this: $name\n";
	$stale++;
}
sub summary {
	my ($of) = @_;
	my @n = map { $count{$of}{$_} // 0 } @kinds;
	my $mutants = 0;
	$mutants += $_ for @n;
	return sprintf "%d mutants: %d killed, %d no other code, %d do not compile, %d survive with a reason, %d survivors without a reason",
		$mutants, @n;
}
if (!$checks && !$sample && @files > 1) {
	printf "%-20s %s\n", $_, summary($_) for grep { $count{$_} } @files;
}
printf "%d of the killed: a test did not end in its time\n", $slow if $slow;
print summary('all') . "\n";
exit($count{all}{unexplained} || $stale ? 1 : 0);
