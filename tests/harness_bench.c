// SPDX-License-Identifier: MIT
/*
 * tests/harness_bench.c - a file that gmem bench is to compare with, or to show: any text
 *
 * Two results, parted by a line that is empty; of one alone the second is itself.
 */
#include <errno.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cli/bench.h"
#include "cli/cli.h"

#define HARNESS "bench"
#include "tests/harness.h"

void complain(const char *fmt, ...)
{
	va_list ap;
	char text[256];

	va_start(ap, fmt);
	HOLDS(vsnprintf(text, sizeof(text), fmt, ap) > 0);
	va_end(ap);
}

bool colour_stdout(void)
{
	return false;
}

static int read_result(const char *text, size_t size, struct bench_result *result)
{
	int fd = memfd_create("result", MFD_CLOEXEC), ret;
	char path[64];

	HOLDS(fd >= 0 && write(fd, text, size) == (ssize_t)size);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ret = bench_read(path, result);
	close(fd);
	HOLDS(ret <= 0);
	return ret;
}

static void forget(struct bench_result *result)
{
	for (unsigned r = 0; r < bench_row_count; r++)
		for (unsigned s = 0; s < BENCH_SOURCES; s++)
			free(result->row[r].cell[s].missing);
	for (char **id = result->unknown; id && *id; id++)
		free(*id);
	free(result->unknown);
	free(result->version);
	free(result->kernel);
	free(result->cpu);
	free(result->date);
	memset(result, 0, sizeof(*result));
}

static void show(const struct bench_result *before, const struct bench_result *now)
{
	static struct bench_comparison comparison;
	static FILE *null;
	FILE *out = stdout;
	unsigned compared = 0;

	if (!null)
		null = fopen("/dev/null", "w");
	HOLDS(null);
	memset(&comparison, 0, sizeof(comparison));
	bench_compare(before, now, &comparison);
	for (unsigned i = 0; i <= BENCH_ELSEWHERE; i++)
		compared += comparison.count[i];
	HOLDS(compared <= bench_row_count * BENCH_SOURCES);
	/* With itself nothing is slower, whatever it says. */
	HOLDS(before != now || (!comparison.count[BENCH_SLOWER] && !comparison.count[BENCH_FASTER]));
	stdout = null;
	bench_print_text(now, &comparison);
	bench_print_json(now, &comparison);
	bench_print_markdown(now);
	stdout = out;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct bench_result before, now;
	const char *text = (const char *)data, *gap = memmem(text, size, "\n\n", 2);
	const size_t first = gap ? (size_t)(gap - text) : size;

	if (!read_result(text, first, &before)) {
		if (!gap)
			show(&before, &before);
		else if (!read_result(gap + 2, size - first - 2, &now))
			show(&before, &now);
	}
	forget(&before);
	forget(&now);
	return 0;
}
