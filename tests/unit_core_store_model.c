// SPDX-License-Identifier: MIT
/*
 * tests/unit_core_store_model.c - the page state store against a byte array: fixed sequences, and all that the window holds
 *
 * harness_store.c asks the store only; here the entries below the answers are compared too, so that a GiB or
 * region that stays mixed for ever, a sum that lags or a flip too many is a failure although each page is right.
 */
#include <string.h>
#include <sys/mman.h>

#include "core/store_window.h"
#include "tests/tap.h"

#define MODEL_PAGES 2500U
#define STEPS	    160

/* First page of the model and size of the file: the beginning, each kind of boundary, each kind of end. */
static const struct shape {
	u64 base, pages;
} shapes[] = {
	{ 0, MODEL_PAGES },
	{ 0, GIB_PAGES },
	{ GIB_PAGES - 1200, GIB_PAGES + 1300 },
	{ GIB_PAGES - MODEL_PAGES + 1025, GIB_PAGES + 1025 },
	{ 2 * GIB_PAGES - 1024, 3 * GIB_PAGES },
	{ CORE_STORE_DENSE_PAGES - MODEL_PAGES, CORE_STORE_DENSE_PAGES },
	{ CORE_STORE_DENSE_PAGES - 1250, CORE_STORE_DENSE_PAGES + 1250 },
	{ CORE_STORE_DENSE_PAGES - 1250, 1ULL << 50 },
	{ CORE_STORE_DENSE_PAGES - GIB_PAGES - 100, (1ULL << 51) - 1 },
	{ CORE_STORE_DENSE_PAGES + 100, CORE_STORE_DENSE_PAGES + 100 + MODEL_PAGES },
};

static struct core_store store;
static const struct shape *shape;
static size_t window_size;
static bool below, above; /* states of what lies outside of the model */
static u8 state[MODEL_PAGES];
static u64 seed;
static const char *wrong; /* the first comparison that failed */

#define CHECK(cond)                                                                                                    \
	do {                                                                                                           \
		if (!(cond) && !wrong)                                                                                 \
			wrong = #cond;                                                                                 \
	} while (0)

static u64 pick(u64 below_this)
{
	u64 z = seed += 0x9E3779B97F4A7C15ULL;

	z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9ULL;
	z = (z ^ z >> 27) * 0x94D049BB133111EBULL;
	return (z ^ z >> 31) % below_this;
}

/* A page of the model, mostly one at an edge of a word, region, GiB or of the model. */
static u64 pick_page(void)
{
	static const u64 units[] = { 1, WORD_PAGES, CORE_REGION_PAGES, CORE_REGION_PAGES, GIB_PAGES };
	u64 unit = units[pick(RT_ARRAY_SIZE(units))];
	u64 page = (shape->base + pick(MODEL_PAGES)) / unit * unit + pick(3) - 1;

	return page >= shape->base && page < shape->base + MODEL_PAGES ? page : shape->base + pick(2) * (MODEL_PAGES - 1);
}

static bool begin(const struct shape *which, bool is_private)
{
	void *window;

	shape = which;
	window_size = core_store_window_size(shape->pages);
	window = mmap(NULL, window_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (window == MAP_FAILED)
		return false;
	core_store_init(&store, window, shape->pages, is_private);
	below = above = is_private;
	memset(state, is_private, sizeof(state));
	return true;
}

/* Private pages of [first, end), by the model. */
static u64 model_sum(u64 first, u64 end)
{
	u64 base = shape->base, top = base + MODEL_PAGES, total = 0;

	for (u64 page = rt_max(first, base); page < rt_min(end, top); page++)
		total += state[page - base];
	if (below && first < base)
		total += rt_min(end, base) - first;
	if (above && end > top)
		total += end - rt_max(first, top);
	return total;
}

static u64 model_run(u64 page, u64 limit)
{
	u64 i = page - shape->base, n = 0;

	while (n < limit && i + n < MODEL_PAGES && state[i + n] == state[i])
		n++;
	if (i + n == MODEL_PAGES && above == state[i])
		n += rt_min(limit - n, shape->pages - shape->base - MODEL_PAGES);
	return n;
}

static void set(u64 first, u64 end, bool is_private)
{
	u64 base = shape->base, top = base + MODEL_PAGES;
	struct rt_pages range = { first, end - first };

	CHECK(!core_store_reserve(&store, range, is_private));
	core_store_set(&store, range, is_private);
	for (u64 page = rt_max(first, base); page < rt_min(end, top); page++)
		state[page - base] = is_private;
	below = first < base ? is_private : below;
	above = end > top ? is_private : above;
}

static void compare_run(u64 page, u64 limit)
{
	u64 run = model_run(page, limit);
	bool expected = state[page - shape->base], got = !expected;

	CHECK(core_store_run(&store, page, limit, &got) == run);
	CHECK(got == expected);
	limit = rt_min(limit, shape->pages - page);
	CHECK(core_store_uniform(&store, (struct rt_pages){ page, limit }, expected) == (run == limit));
	CHECK(!core_store_uniform(&store, (struct rt_pages){ page, limit }, !expected));
}

static void compare_answers(void)
{
	u64 base = shape->base, top = base + MODEL_PAGES;
	bool got = !below;

	for (u64 i = 0; i < MODEL_PAGES; i += 1 + pick(3))
		CHECK(core_store_is_private(&store, base + i) == state[i]);
	for (u64 region = base / CORE_REGION_PAGES; region * CORE_REGION_PAGES < top; region++) {
		u64 first = region * CORE_REGION_PAGES, end = rt_min(first + CORE_REGION_PAGES, shape->pages);

		CHECK(core_store_region_private(&store, region) == model_sum(first, end));
	}
	CHECK(core_store_uniform(&store, (struct rt_pages){ 0, base }, below));
	CHECK(core_store_uniform(&store, (struct rt_pages){ top, shape->pages - top }, above));
	if (base)
		CHECK(core_store_run(&store, 0, ~0ULL, &got) == base + (state[0] == below ? model_run(base, ~0ULL) : 0) &&
		      got == below);
	for (int i = 0; i < 4; i++) {
		u64 page = pick_page();

		compare_run(page, 1 + pick(100));
		compare_run(page, 1 + pick(2 * GIB_PAGES));
		compare_run(page, ~0ULL);
	}
}

/* S5, S2: sums are true, uniform GiBs are tags only, and every count of a mixed one is current. */
static void compare_gib(u64 gib)
{
	u64 first = gib * GIB_PAGES, end = rt_min(first + GIB_PAGES, dense_pages(&store)), total = model_sum(first, end);
	u32 tag = *tag_at(&store, gib);
	bool uniform;

	if (!total || total == end - first) {
		CHECK(tag_uniform(&store, tag, &uniform) && uniform == !!total);
		return;
	}
	CHECK(tag == (TAG_MIXED | (u32)total << TAG_SHIFT));
	for (u64 page = first; page < end; page += CORE_REGION_PAGES)
		CHECK(*count_at(&store, page / CORE_REGION_PAGES) == model_sum(page, rt_min(page + CORE_REGION_PAGES, end)));
}

/* The list has a flip exactly where the state changes. */
static void compare_tail(void)
{
	const struct tail_list *list = tail_at(&store, header_of(&store)->tail_generation);
	bool current = initial_private(&store);
	u64 page = rt_max(CORE_STORE_DENSE_PAGES, shape->base), nr = 0;

	if (shape->base > CORE_STORE_DENSE_PAGES && below != current) {
		CHECK(list->flips[nr++] == CORE_STORE_DENSE_PAGES);
		current = below;
	}
	for (; page < shape->base + MODEL_PAGES; page++)
		if (state[page - shape->base] != current) {
			CHECK(list->flips[nr++] == page);
			current = !current;
		}
	if (page < shape->pages && above != current)
		CHECK(list->flips[nr++] == page);
	CHECK(list->nr == nr);
}

static void compare_window(void)
{
	struct layout l = layout_of(shape->pages);
	const char *window = store.window;

	for (u64 gib = shape->base / GIB_PAGES; gib < l.gibs && gib * GIB_PAGES < shape->base + MODEL_PAGES; gib++)
		compare_gib(gib);
	if (shape->pages > CORE_STORE_DENSE_PAGES)
		compare_tail();
	/* Nothing is written behind the tags and the counts. */
	for (size_t i = sizeof(struct store_header) + l.gibs * sizeof(u32); i < l.counts; i++)
		CHECK(!window[i]);
	for (size_t i = l.counts + l.regions * sizeof(u16); i < l.bitmap; i++)
		CHECK(!window[i]);
}

/* As a writer leaves it who dies: sums that are not true, though never ones that say uniform. */
static void spoil_sums(void)
{
	for (u64 page = shape->base; page < rt_min(shape->base + MODEL_PAGES, dense_pages(&store)); page++) {
		u64 region = page / CORE_REGION_PAGES, pages = unit_pages(&store, region, CORE_REGION_PAGES);
		u32 *tag = tag_at(&store, page / GIB_PAGES);
		u16 *count = count_at(&store, region);

		if ((*tag & TAG_MASK) != TAG_MIXED)
			continue;
		*tag = TAG_MIXED | (u32)pick(GIB_PAGES) << TAG_SHIFT;
		if (*count && *count < pages && page % 100 == 0)
			*count = (u16)(1 + pick(pages - 1));
	}
}

static void step(void)
{
	u64 a = pick_page(), b = pick_page(), top = shape->base + MODEL_PAGES;
	bool is_private = pick(2);

	switch (pick(10)) {
	case 0:
		set(a, a + 1, is_private);
		break;
	case 1: /* around a word */
		set(a, rt_min(a + 1 + pick(130), top), is_private);
		break;
	case 2: /* whole regions, which become uniform while their neighbours stay */
		a = rt_align_up(a, CORE_REGION_PAGES);
		b = a + (1 + pick(2)) * CORE_REGION_PAGES;
		if (b <= top)
			set(a, b, is_private);
		break;
	case 3: /* from the beginning */
		set(0, a + 1, is_private);
		break;
	case 4: /* to the end */
		set(a, shape->pages, is_private);
		break;
	case 5: /* everything but the model's own mixture becomes the same */
		if (pick(2) && shape->base)
			set(0, shape->base, is_private);
		if (top < shape->pages)
			set(top, shape->pages, is_private);
		break;
	case 6:
		if (!pick(3))
			set(0, shape->pages, is_private);
		break;
	case 7:
		spoil_sums();
		core_store_repair(&store, (struct rt_pages){ shape->base, MODEL_PAGES });
		break;
	default:
		set(rt_min(a, b), rt_max(a, b) + 1, is_private);
	}
	compare_window();
	compare_answers();
}

static void test_shape(unsigned nr, bool is_private)
{
	unsigned steps = 0;

	if (!begin(&shapes[nr], is_private)) {
		skip(1, "no address space for the window of shape %u", nr);
		return;
	}
	seed = 2 * nr + is_private;
	wrong = NULL;
	compare_window();
	compare_answers();
	for (; steps < STEPS && !wrong; steps++)
		step();
	ok(!wrong, "a file of %#llx pages that began %s, around page %#llx", (unsigned long long)shape->pages,
	   is_private ? "private" : "shared", (unsigned long long)shape->base);
	if (wrong)
		diag("step %u: not so: %s", steps, wrong);
	munmap(store.window, window_size);
}

int main(void)
{
	for (unsigned nr = 0; nr < RT_ARRAY_SIZE(shapes); nr++)
		for (int is_private = 0; is_private < 2; is_private++)
			test_shape(nr, is_private);
	return done_testing();
}
