/* SPDX-License-Identifier: MIT */
/*
 * tests/harness.h - what the fuzzing harnesses share
 *
 * A harness is one source with LLVMFuzzerTestOneInput(): linked with libFuzzer or AFL++'s driver (-DFUZZER_LIB, see
 * docs/testing.md), or alone with the main() below:
 *
 *	harness_NAME [--seconds N] [--seed S] [--corpus FOLDER] [FILE...]
 *
 * which runs over the FILEs, or else over the corpus and then over mutations of it. A failing input is printed in hex.
 */
#ifndef GMEM_TESTS_HARNESS_H
#define GMEM_TESTS_HARNESS_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INPUT_MAX 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define HOLDS(cond)                                                                                                    \
	do {                                                                                                           \
		if (!(cond)) {                                                                                         \
			fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #cond);                       \
			abort();                                                                                       \
		}                                                                                                      \
	} while (0)

/* Bytes of an input, zeros behind its end. */
struct input {
	const uint8_t *p, *end;
};

static inline uint64_t input_take(struct input *in, unsigned bytes)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < bytes && in->p < in->end; i++)
		v |= (uint64_t)*in->p++ << 8 * i;
	return v;
}

#ifndef FUZZER_LIB
#include <dirent.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "tests/tap.h"

#define SEEDS_MAX 1024

static uint8_t *seeds[SEEDS_MAX], now_running[INPUT_MAX];
static size_t seed_size[SEEDS_MAX], now_size;
static unsigned seed_count;

static void print_input(int sig)
{
	static const char digits[] = "0123456789abcdef";
	char text[2 * INPUT_MAX + 1];

	for (size_t i = 0; i < now_size; i++) {
		text[2 * i] = digits[now_running[i] >> 4];
		text[2 * i + 1] = digits[now_running[i] & 15];
	}
	text[2 * now_size] = '\n';
	if (write(STDERR_FILENO, "input: ", 7) != 7 || write(STDERR_FILENO, text, 2 * now_size + 1) < 0)
		_exit(2);
	signal(sig, SIG_DFL);
	raise(sig);
}

static void run_one(const uint8_t *data, size_t size)
{
	uint8_t *exact = malloc(size ? size : 1);

	if (!exact)
		abort();
	memmove(now_running, data, size);
	now_size = size;
	/* Of its very size, for sanitizers. */
	memcpy(exact, now_running, size);
	LLVMFuzzerTestOneInput(exact, size);
	free(exact);
}

static void read_seed(const char *path)
{
	FILE *file = fopen(path, "rb");
	uint8_t bytes[INPUT_MAX];
	size_t size;

	if (!file)
		return;
	size = fread(bytes, 1, sizeof(bytes), file);
	fclose(file);
	run_one(bytes, size);
	if (seed_count == SEEDS_MAX)
		return;
	seeds[seed_count] = malloc(size ? size : 1);
	if (!seeds[seed_count])
		abort();
	memcpy(seeds[seed_count], bytes, size);
	seed_size[seed_count++] = size;
}

static void read_corpus(const char *folder)
{
	struct dirent **names;
	char path[4096];
	int n = scandir(folder, &names, NULL, alphasort);

	for (int i = 0; i < n; i++) {
		snprintf(path, sizeof(path), "%s/%s", folder, names[i]->d_name);
		if (names[i]->d_name[0] != '.')
			read_seed(path);
		free(names[i]);
	}
	if (n >= 0)
		free(names);
}

static uint64_t harness_random(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15ULL;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return z ^ z >> 31;
}

/* One of the corpus with a few bytes changed, put in, left out, or taken from another. */
static size_t mutate(uint8_t *to, uint64_t *state)
{
	unsigned s = (unsigned)(harness_random(state) % seed_count);
	size_t size = seed_size[s];

	memcpy(to, seeds[s], size);
	for (uint64_t n = 1 + harness_random(state) % 6; n; n--) {
		uint64_t r = harness_random(state);
		size_t at = size ? (size_t)(r >> 32) % size : 0, len = (size_t)(r >> 8) % 16 + 1;
		unsigned other = (unsigned)(r >> 24) % seed_count;

		switch (r & 3) {
		case 0:
			if (size)
				to[at] = (uint8_t)(r >> 16);
			break;
		case 1:
			if (size + len > INPUT_MAX)
				break;
			memmove(to + at + len, to + at, size - at);
			for (size_t i = 0; i < len; i++)
				to[at + i] = (uint8_t)harness_random(state);
			size += len;
			break;
		case 2:
			if (at + len > size)
				break;
			memmove(to + at, to + at + len, size - at - len);
			size -= len;
			break;
		default:
			if (at + len <= size && len <= seed_size[other])
				memcpy(to + at, seeds[other] + (size_t)(r >> 40) % (seed_size[other] - len + 1), len);
		}
	}
	return size;
}

int main(int argc, char **argv)
{
	static uint8_t input[INPUT_MAX];
	const char *corpus = "tests/corpus/" HARNESS;
	double seconds = 4;
	uint64_t seed = 1, runs = 0;
	time_t until;
	int i = 1;

	for (; i + 1 < argc && argv[i][0] == '-'; i += 2) {
		if (!strcmp(argv[i], "--seconds"))
			seconds = atof(argv[i + 1]);
		else if (!strcmp(argv[i], "--seed"))
			seed = strtoull(argv[i + 1], NULL, 0);
		else if (!strcmp(argv[i], "--corpus"))
			corpus = argv[i + 1];
	}
	signal(SIGABRT, print_input);
	signal(SIGSEGV, print_input);
	if (i < argc) {
		for (; i < argc; i++)
			read_seed(argv[i]);
		ok(1, "%u files", seed_count);
		return done_testing();
	}
	read_corpus(corpus);
	ok(seed_count > 0, "%u inputs of %s", seed_count, corpus);
	diag("seed %llu", (unsigned long long)seed);
	for (until = time(NULL) + (time_t)seconds; seed_count && time(NULL) <= until;) {
		for (int n = 0; n < 64; n++, runs++)
			run_one(input, mutate(input, &seed));
	}
	ok(runs > 0, "%llu mutations", (unsigned long long)runs);
	return done_testing();
}
#endif

#endif
