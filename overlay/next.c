// SPDX-License-Identifier: MIT
/*
 * overlay/next.c - calls that are made through the next object
 *
 * Cancellation points must go there, since only libc knows how to act on a
 * cancellation inside them, and sanitizers interpose them.
 */
#include "overlay/overlay.h"

extern void *dlsym(void *handle, const char *name) __attribute__((weak));
#define RTLD_NEXT    ((void *)-1L)
#define RTLD_DEFAULT NULL

static const char *const next_names[OV_NEXT_COUNT] = {
#define NEXT(name) #name,
#include "overlay/next.def"
#undef NEXT
};
static void *_Atomic next_functions[OV_NEXT_COUNT];

void *ov_next_lookup(enum ov_next_id id)
{
	void *function = next_functions[id];

	if (function || !dlsym)
		return function;
	function = dlsym(RTLD_NEXT, next_names[id]);
	next_functions[id] = function;
	return function;
}

/*
 * The program's environment.  An executable that names `environ` has the variable in
 * itself, by a copy relocation, and that copy is in force: look from the front, not behind us.
 */
char **ov_environ(void)
{
	static char ***_Atomic where;

	if (!where && dlsym)
		where = dlsym(RTLD_DEFAULT, "environ");
	return where ? *where : NULL;
}

long ov_next_call(enum ov_next_id id, long nr, long a, long b, long c, long d, long e, long f)
{
	long (*function)(long, long, long, long, long, long) =
		(long (*)(long, long, long, long, long, long))ov_next_lookup(id);
	long ret;

	if (!function)
		return ov_raw6(nr, a, b, c, d, e, f);
	ret = function(a, b, c, d, e, f);
	/* Most return int, whose upper half is anything; no transfer is that long. */
	return (u32)ret == 0xffffffffU ? ov_last_errno() : ret;
}
