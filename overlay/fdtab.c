// SPDX-License-Identifier: MIT
/*
 * overlay/fdtab.c - which object a descriptor stands for
 *
 * The table is a cache: a descriptor may be closed, duplicated or received
 * without our seeing it.  Whoever acts on an entry first compares the inode
 * behind the descriptor with the object's; an entry that is not there costs one load.
 */
#include <stdatomic.h>

#include <linux/fcntl.h>

#include "host/fd.h"
#include "overlay/overlay.h"
#include "rt/format.h"
#include "rt/string.h"

#define TABLE_SIZE (1 << 20)

static struct dev_object *_Atomic fd_objects[TABLE_SIZE];
static _Atomic unsigned fd_top; /* all entries are below */
static s32 fd_owner;		/* the process whose descriptors the table describes */
static u64 fd_dev;		/* st_dev of every memfd; 0 while that is not known */

static void learn_dev(void)
{
	int fd = host_fd_own_hidden(__NR_memfd_create, (long)"[gmem-dev]", 1 /* MFD_CLOEXEC */, 0, 0);
	struct host_ident id;

	if (fd < 0)
		return;
	if (host_ident_of(fd, &id) == 0)
		fd_dev = id.dev;
	host_fd_close(fd);
}

void ov_fd_init(void)
{
	ov_fd_forked();
	learn_dev();
}

void ov_fd_forked(void)
{
	fd_owner = (s32)rt_getpid();
}

struct dev_object *ov_fd_peek(int fd)
{
	if ((unsigned)fd >= TABLE_SIZE)
		return NULL;
	return atomic_load_explicit(&fd_objects[fd], memory_order_acquire);
}

void ov_fd_set(int fd, struct dev_object *obj)
{
	unsigned top = fd_top;

	if ((unsigned)fd >= TABLE_SIZE)
		return;
	atomic_store_explicit(&fd_objects[fd], obj, memory_order_release);
	while (obj && (unsigned)fd >= top && !atomic_compare_exchange_weak(&fd_top, &top, (unsigned)fd + 1))
		;
}

/*
 * A child of vfork(2) works on its parent's table but has descriptors of its
 * own.  A stale entry harms nobody, since it is verified; a missing one does.
 */
void ov_fd_forget(int fd)
{
	if (ov_fd_peek(fd) && rt_getpid() == fd_owner)
		ov_fd_set(fd, NULL);
}

void ov_fd_forget_span(unsigned first, unsigned last)
{
	unsigned end = fd_top;

	for (unsigned fd = first; fd <= last && fd < end; fd++)
		ov_fd_forget((int)fd);
}

void ov_fd_copy(int from, int to)
{
	struct dev_object *obj = ov_fd_peek(from);

	if (obj)
		ov_fd_set(to, obj);
	else
		ov_fd_forget(to);
}

/* What the descriptor is called, terminated; or -errno. */
static long name_of(int fd, char *text, size_t size)
{
	char path[40];
	long n;

	rt_format(path, sizeof(path), "/proc/self/fd/%d", fd);
	n = rt_syscall(__NR_readlink, path, text, size - 1);
	text[n > 0 ? n : 0] = '\0';
	return n;
}

/* O_PATH: good for fstat(2) and little else. */
static bool opened_as_name(int fd)
{
	long flags = rt_syscall_raw(__NR_fcntl, fd, F_GETFL, 0, 0, 0, 0);

	return !rt_is_err(flags) && (flags & O_PATH);
}

int ov_fd_unknown(int fd)
{
	struct dev_object *obj = NULL;
	struct ov_guard guard;
	struct host_ident id;
	char name[64];

	if (!ov_config.active)
		return 0;
	/* Closed when it was looked at; what has become of the number since does not matter. */
	if (host_ident_of(fd, &id) < 0)
		return -EBADF;
	if (fd_dev && id.dev != fd_dev)
		return 0;
	ov_enter(&guard);
	if (!fd_dev)
		learn_dev();
	obj = ov_fd_find(fd);
	if (obj)
		dev_put(obj);
	ov_leave(&guard);
	if (obj)
		return 1;
	/* The kernel knows what to say of a mere name. */
	if (opened_as_name(fd))
		return 0;
	/* Whether it is ours cannot be told: a placeholder must not be taken for what it stands for. */
	if (name_of(fd, name, sizeof(name)) == -ENOMEM)
		return -ENOMEM;
	if (rt_after_prefix(name, "/memfd:[gmem"))
		return -EBADF;
	return rt_after_prefix(name, "/memfd:[kvm-gmem]") ? -ENODEV : 0;
}

struct dev_object *ov_fd_get(int fd)
{
	struct dev_object *obj = ov_fd_peek(fd);
	struct host_ident id;

	if (host_ident_of(fd, &id) < 0)
		return NULL;
	if (obj && dev_get(obj, id))
		return obj;
	obj = dev_find(id);
	if (obj && opened_as_name(fd)) {
		dev_put(obj);
		return NULL;
	}
	if (obj)
		ov_fd_set(fd, obj);
	else
		ov_fd_forget(fd);
	return obj;
}

/* By the name that gmem gives its placeholders, "/memfd:[kvm-gmem] (deleted)"; DEV_NONE when it is none. */
static enum dev_kind looks_like(int fd)
{
	char text[64];

	if (name_of(fd, text, sizeof(text)) <= 0)
		return DEV_NONE;
	if (rt_after_prefix(text, "/memfd:[kvm-gmem]"))
		return DEV_GMEM;
	if (rt_streq(text, "/memfd:kvm (deleted)"))
		return DEV_SYSTEM;
	return rt_streq(text, "/memfd:kvm-vm (deleted)") ? DEV_VM : DEV_NONE;
}

static struct dev_object *adopt(int fd, struct host_ident id)
{
	u32 seen = host_fd_flux();
	enum dev_kind kind = looks_like(fd);
	struct host_ident now;
	struct dev_object *obj;
	struct dev_gmem *g;

	/* The number may have stood for one that is just being made, or was when its inode was asked for. */
	obj = dev_find(id);
	if (obj)
		dev_put(obj);
	if (obj || host_fd_flux_since(seen))
		return obj;
	if (kind != DEV_GMEM)
		return kind == DEV_NONE ? NULL : dev_foreign(kind, id);
	g = ov_adopt(id);
	if (g)
		return &g->obj;
	/* Closed meanwhile, it is nobody's any more. */
	if (host_ident_of(fd, &now) == 0 && host_ident_equal(now, id))
		ov_report_notice("a guest_memfd of another process could not be adopted: ENODEV");
	return NULL;
}

struct dev_object *ov_fd_find(int fd)
{
	struct dev_object *obj;
	struct host_ident id;

	if (host_fd_hidden(fd))
		return NULL;
	obj = ov_fd_get(fd);
	if (obj || opened_as_name(fd) || host_ident_of(fd, &id) < 0)
		return obj;
	obj = adopt(fd, id);
	if (!obj)
		return NULL;
	ov_fd_set(fd, obj);
	return ov_fd_get(fd);
}

struct dirent64 {
	u64 ino;
	s64 off;
	u16 reclen;
	u8 type;
	char name[];
};

static void scan_entries(const char *buf, long n)
{
	for (long at = 0; at < n;) {
		const struct dirent64 *entry = (const struct dirent64 *)(buf + at);
		struct dev_object *obj;
		u64 fd;

		at += entry->reclen;
		if (!rt_parse_u64(entry->name, &fd) || looks_like((int)fd) == DEV_NONE)
			continue;
		obj = ov_fd_find((int)fd);
		if (obj)
			dev_put(obj);
	}
}

void ov_fd_scan(void)
{
	char buf[2048] __attribute__((aligned(8)));
	long dir = rt_syscall(__NR_openat, AT_FDCWD, "/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	long n;

	if (rt_is_err(dir))
		return;
	while ((n = rt_syscall(__NR_getdents64, dir, buf, sizeof(buf))) > 0)
		scan_entries(buf, n);
	rt_close((int)dir);
}
