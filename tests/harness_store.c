// SPDX-License-Identifier: MIT
/*
 * tests/harness_store.c - the page state store (core/store.h) as a stream of operations, beside a byte array
 *
 * The first byte chooses the shape of the file and the state that it begins with; an operation is a kind, two page numbers
 * of two bytes, and a byte that says how long a run is asked for.  While others read: fuzz_store.
 */
#define HARNESS "store"
#include "tests/harness.h"
#include "tests/store_model.h"

/* The model's run from a page of its own, as core_store_run() would say. */
static u64 model_run(const struct model *m, u64 page, u64 limit)
{
	u64 i = page - m->shape->base, top = m->shape->base + MODEL_PAGES, n = 0;
	bool state = m->state[i];

	while (n < limit && i + n < MODEL_PAGES && m->state[i + n] == state)
		n++;
	if (i + n == MODEL_PAGES && m->above == state)
		n += rt_min(limit - n, m->shape->pages - top);
	return n;
}

static void compare_page(const struct model *m, u64 page, u64 limit)
{
	u64 i = page - m->shape->base, run = model_run(m, page, limit);
	struct rt_pages range = { page, limit };
	bool state = !m->state[i];

	CHECK(core_store_is_private(&m->store, page) == m->state[i]);
	CHECK(core_store_run(&m->store, page, limit, &state) == run);
	CHECK(state == m->state[i]);
	CHECK(core_store_uniform(&m->store, range, m->state[i]) == (run == limit));
	CHECK(!core_store_uniform(&m->store, range, !m->state[i]));
}

static void step(struct model *m, struct input *in)
{
	u64 base = m->shape->base, kind = input_take(in, 1);
	u64 a = input_take(in, 2) % MODEL_PAGES, n = input_take(in, 2);
	bool is_private = kind & 1;

	switch (kind >> 1 & 7) {
	case 0: /* one page */
		model_set(m, base + a, base + a + 1, is_private);
		break;
	case 1: /* up to a word and a bit */
		n = n % 100 + 1;
		model_set(m, base + a, base + rt_min(a + n, MODEL_PAGES), is_private);
		break;
	case 2: /* any part */
		n = n % MODEL_PAGES + 1;
		model_set(m, base + a, base + rt_min(a + n, MODEL_PAGES), is_private);
		break;
	case 3: /* whole regions */
		a = rt_align_down(base + a, CORE_REGION_PAGES);
		n = a + (n % 4 + 1) * CORE_REGION_PAGES;
		if (a >= base && n <= base + MODEL_PAGES)
			model_set(m, a, n, is_private);
		break;
	case 4: /* from the beginning */
		model_set(m, 0, base + a + 1, is_private);
		break;
	case 5: /* to the end */
		model_set(m, base + a, m->shape->pages, is_private);
		break;
	case 6: /* everything, not too often */
		if (n % 8 == 0)
			model_set(m, 0, m->shape->pages, is_private);
		break;
	case 7: /* repair of a store that is not broken changes nothing */
		core_store_repair(&m->store, (struct rt_pages){ base + a, MODEL_PAGES - a });
		break;
	}
	n = input_take(in, 1);
	compare_page(m, base + a % MODEL_PAGES, rt_min(n * n + 1, m->shape->pages - base - a % MODEL_PAGES));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct model m;
	struct input in = { data, data + size };
	u64 first = input_take(&in, 1);

	if (!model_init(&m, &shapes[first / 2 % RT_ARRAY_SIZE(shapes)], first & 1))
		return 0;
	while (in.p < in.end && !complaint)
		step(&m, &in);
	compare_all(&m);
	model_fini(&m);
	if (complaint)
		fprintf(stderr, "%s\n", complaint);
	HOLDS(!complaint);
	return 0;
}
