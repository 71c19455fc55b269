// SPDX-License-Identifier: MIT
/*
 * host/probe.c - what this host can do, and the engine that follows from it
 *
 * Each mechanism is tried on a scratch memfd, by calls only: a poisoned page is
 * never touched, since a kernel with memory-failure support logs each such touch as
 * a hardware error.  Whether it has that support is read from /proc.
 */
#include <linux/fcntl.h>
#include <linux/memfd.h>
#include <linux/mman.h>

#include "host/engine.h"
#include "host/fd.h"
#include "rt/string.h"
#include "uapi/mm.h"

#define SCRATCH_SIZE (4ULL << 20)

struct host_tuning host_tuning;
const struct host_engine *host_engine = &host_engine_dp;

static struct host_caps caps = { .max_map_count = 65530, .engine = "none", .why = "not probed" };
static bool probed;
static int probe_error;

static const struct host_engine *const engines[] = { &host_engine_dp, &host_engine_eg, &host_engine_remap };
static const char *const names[] = { "dp", "eg", "remap", NULL };

/* Whether it worked; for want of memory or descriptors nothing has been found out. */
static bool works(long ret)
{
	if (ret == -ENOMEM || ret == -EMFILE || ret == -ENFILE || ret == -EAGAIN)
		probe_error = (int)ret;
	return !rt_is_err(ret);
}

/* Reads a file's beginning into a terminated buffer; the length or -errno. */
static long read_text(const char *path, char *buf, size_t size)
{
	long fd = host_fd_own(__NR_openat, AT_FDCWD, (long)path, O_RDONLY | O_CLOEXEC, 0), n = 0, got = 0;

	if (!works(fd))
		return fd;
	while ((n = rt_syscall(__NR_read, fd, buf + got, size - 1 - (size_t)got)) > 0)
		got += n;
	works(n);
	rt_close((int)fd);
	buf[got] = 0;
	return got;
}

static bool has_memory_failure(void)
{
	static const char word[] = "HardwareCorrupted:";
	char text[4096];
	long n;

	if (!rt_syscall_raw(__NR_faccessat, AT_FDCWD, (long)"/proc/sys/vm/memory_failure_recovery", 0, 0, 0, 0))
		return true;
	n = read_text("/proc/meminfo", text, sizeof(text));
	for (long i = 0; i + (long)sizeof(word) - 1 <= n; i++)
		if (!memcmp(text + i, word, sizeof(word) - 1))
			return true;
	/* Nothing can be read: assume the worse. */
	return n <= 0;
}

static u64 max_map_count(void)
{
	char text[32];
	long n = read_text("/proc/sys/vm/max_map_count", text, sizeof(text));
	u64 value;

	while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == ' '))
		text[--n] = 0;
	return n > 0 && rt_parse_u64(text, &value) ? value : 65530;
}

static void probe_uffd(char *scratch)
{
	struct uffdio_api api = { .api = UFFD_API,
				  .features = UFFD_FEATURE_SIGBUS | UFFD_FEATURE_MISSING_SHMEM |
					      UFFD_FEATURE_MINOR_SHMEM | UFFD_FEATURE_POISON };
	struct uffdio_register reg = { .range = { (u64)scratch, SCRATCH_SIZE }, .mode = UFFDIO_REGISTER_MODE_WP };
	struct gmem_uffdio_poison poison = { .range = { (u64)scratch, RT_PAGE_SIZE } };
	long fd = host_fd_own(__NR_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY, 0, 0, 0);

	if (!works(fd))
		return;
	if (works(rt_syscall(__NR_ioctl, fd, UFFDIO_API, &api))) {
		caps.userfaultfd = true;
		caps.poison = works(rt_syscall(__NR_ioctl, fd, UFFDIO_REGISTER, &reg)) &&
			      works(rt_syscall(__NR_ioctl, fd, GMEM_UFFDIO_POISON, &poison));
	}
	rt_close((int)fd);
	if (caps.userfaultfd)
		return;
	/* Before Linux 6.6 the feature POISON is unknown. */
	fd = host_fd_own(__NR_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY, 0, 0, 0);
	if (!works(fd))
		return;
	api = (struct uffdio_api){ .api = UFFD_API, .features = UFFD_FEATURE_SIGBUS };
	caps.userfaultfd = works(rt_syscall(__NR_ioctl, fd, UFFDIO_API, &api));
	rt_close((int)fd);
}

static void probe(void)
{
	long fd = host_fd_own(__NR_memfd_create, (long)"gmem-probe", MFD_CLOEXEC, 0, 0), map;

	probe_error = 0;
	caps = (struct host_caps){ .max_map_count = max_map_count(), .memory_failure = has_memory_failure() };
	probed = true;
	if (!works(fd))
		return;
	caps.memfd = true;
	/* Unsized would do for the calls but for poison, which refuses pages beyond the end. */
	if (!works(host_memfd_resize((int)fd, SCRATCH_SIZE))) {
		rt_close((int)fd);
		return;
	}
	map = rt_mmap(NULL, SCRATCH_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, (int)fd, 0);
	rt_close((int)fd);
	if (!works(map))
		return;
	probe_uffd((char *)map);
	/* Not where poison has been: the mapping's second half. */
	caps.guard = works(rt_madvise((char *)map + SCRATCH_SIZE / 2, RT_PAGE_SIZE, MADV_GUARD_INSTALL));
	rt_munmap((void *)map, SCRATCH_SIZE);
}

static bool runs(const struct host_engine *engine)
{
	if (engine == &host_engine_dp)
		return caps.memfd && caps.poison;
	if (engine == &host_engine_eg)
		return caps.memfd && caps.guard;
	return caps.memfd;
}

static const struct host_engine *choose(void)
{
	if (caps.poison && !caps.memory_failure) {
		caps.why = "poison markers raise the kernel's own signal here";
		return &host_engine_dp;
	}
	if (caps.guard) {
		caps.why = caps.poison ? "guard markers: poison would be reported as a hardware error" :
					 "guard markers: userfaultfd cannot poison here";
		return &host_engine_eg;
	}
	if (caps.poison) {
		caps.why = "poison markers, signal code translated: no guard markers for shared memory here";
		return &host_engine_dp;
	}
	caps.why = "neither poison nor guard markers: pages are mapped and unmapped one by one";
	return &host_engine_remap;
}

bool host_engine_runs(const char *name)
{
	if (!probed)
		probe();
	for (size_t i = 0; i < RT_ARRAY_SIZE(engines); i++)
		if (rt_streq(name, engines[i]->name))
			return runs(engines[i]);
	return false;
}

const char *const *host_engine_names(void)
{
	return names;
}

int host_init(const char *name)
{
	const struct host_engine *engine = NULL;
	int ret;

	probe();
	/* Another engine than at another time would surprise more than none. */
	if (probe_error)
		return probe_error;
	if (!caps.memfd)
		return -EOPNOTSUPP;
	if (!name || rt_streq(name, "auto"))
		engine = choose();
	for (size_t i = 0; !engine && i < RT_ARRAY_SIZE(engines); i++) {
		if (rt_streq(name, engines[i]->name)) {
			engine = engines[i];
			caps.why = "asked for";
		}
	}
	if (!engine)
		return -EINVAL;
	if (!runs(engine))
		return -EOPNOTSUPP;
	/* Views live on what the engine holds open. */
	if (host_table.count)
		return engine == host_engine ? 0 : -EBUSY;
	host_engine->fini();
	host_engine = engine;
	ret = engine->init();
	caps.engine = engine->name;
	return ret;
}

int host_probe_error(void)
{
	return probe_error;
}

const struct host_caps *host_caps(void)
{
	return &caps;
}

u64 host_vma_budget(void)
{
	return host_tuning.budget ? host_tuning.budget : rt_min(16000, caps.max_map_count / 4);
}
