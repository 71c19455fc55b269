// SPDX-License-Identifier: MIT
/*
 * tests/run_leaks.c - nothing is left of VMs and files when they are gone
 *
 *	run_leaks		counts descriptors, mappings and threads
 *	run_leaks storm		creates, converts and forks until it is killed
 *
 * Knows nothing of gmem: holds on a real kernel (Linux 6.18 or later) and under `gmem run`.
 */
#include <dirent.h>
#include <linux/falloc.h>
#include <sys/prctl.h>

#include "tests/run_kvm.h"
#include "tests/tap.h"

#define PAGES 256
#define SIZE  (PAGES * PG)
#define PRIV  KVM_MEMORY_ATTRIBUTE_PRIVATE

static int kvm;
static bool converts;

struct counts {
	int fds, memfds, maps, threads;
};

static int count_dir(const char *path, const char *link_prefix)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	char link[512];
	int n = 0;

	while (dir && (entry = readdir(dir))) {
		ssize_t len;

		if (entry->d_name[0] == '.')
			continue;
		len = link_prefix ? readlinkat(dirfd(dir), entry->d_name, link, sizeof(link) - 1) : 0;
		link[len > 0 ? len : 0] = '\0';
		n += !link_prefix || !strncmp(link, link_prefix, strlen(link_prefix));
	}
	if (dir)
		closedir(dir);
	return n;
}

static int count_maps(void)
{
	FILE *f = fopen("/proc/self/maps", "re");
	char line[1024];
	int n = 0;

	while (f && fgets(line, sizeof(line), f))
		n++;
	if (f)
		fclose(f);
	return n;
}

static struct counts count(void)
{
	struct counts c = { .fds = count_dir("/proc/self/fd", NULL),
			    .memfds = count_dir("/proc/self/fd", "/memfd:"),
			    .maps = count_maps(),
			    .threads = count_dir("/proc/self/task", NULL) };

	return c;
}

static void show(const char *when, struct counts c)
{
	diag("%s: %d descriptors, %d of memfds, %d mappings, %d threads", when, c.fds, c.memfds, c.maps, c.threads);
}

static bool no_more(struct counts now, struct counts before)
{
	return now.fds <= before.fds && now.memfds <= before.memfds && now.maps <= before.maps &&
	       now.threads <= before.threads;
}

/* --- ways to make and to drop ------------------------------------------------------ */

static int new_vm(void)
{
	return vm_new(kvm, converts);
}

static int new_file(int vm)
{
	return gmem_new(vm, SIZE, SHAREABLE);
}

static void use(int file, char *map)
{
	memset(map, 1, SIZE);
	for (unsigned page = 0; converts && page < PAGES; page += 3)
		set_attr2(file, page * PG, PG, PRIV, NULL);
	fallocate(file, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, 0, SIZE / 2);
}

static void in_order(void)
{
	int vm = new_vm(), file = new_file(vm);
	char *map = map_shared(file, SIZE, 0);

	use(file, map);
	munmap(map, SIZE);
	close(file);
	close(vm);
}

static void file_first(void)
{
	int vm = new_vm(), file = new_file(vm);
	char *map = map_shared(file, SIZE, 0);

	close(file);
	close(vm);
	map[0] = 1;
	munmap(map, SIZE);
}

static void piece_by_piece(void)
{
	int vm = new_vm(), file = new_file(vm);
	char *map = map_shared(file, SIZE, 0), *second = map_shared(file, SIZE / 2, SIZE / 2);

	use(file, map);
	close(vm);
	close(file);
	mprotect(map + 8 * PG, 8 * PG, PROT_READ);
	for (unsigned page = 0; page < PAGES; page += 2)
		munmap(map + page * PG, PG);
	for (unsigned page = 1; page < PAGES; page += 2)
		munmap(map + page * PG, PG);
	mmap(second, SIZE / 2, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	munmap(second, SIZE / 2);
}

static void bound(void)
{
	int vm = new_vm(), file = new_file(vm);

	for (uint32_t slot = 0; slot < 8; slot++)
		set_region2(vm, slot, KVM_MEM_GUEST_MEMFD, slot * SIZE, PG * 16, 1UL << 30, file, slot * 16 * PG);
	set_region2(vm, 3, 0, 0, 0, 0, -1, 0);
	close(file);
	close(vm);
}

static void moved(void)
{
	int vm = new_vm(), file = new_file(vm);
	char *map = map_shared(file, SIZE / 2, 0), *whole = map_shared(file, SIZE, 0);

	use(file, whole);
	munmap(whole, SIZE);
	map = mremap(map, SIZE / 2, SIZE, MREMAP_MAYMOVE);
	close_range((unsigned)file, (unsigned)file, 0);
	dup2(vm, 500);
	close(vm);
	close(500);
	munmap(map, SIZE);
}

static void forked(void)
{
	int vm = new_vm(), file = new_file(vm);
	char *map = map_shared(file, SIZE, 0);
	pid_t pid;

	use(file, map);
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		if (converts)
			set_attr2(file, PG, PG, PRIV, NULL);
		map_shared(file, SIZE, 0);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	if (converts)
		set_attr2(file, 2 * PG, PG, PRIV, NULL);
	munmap(map, SIZE);
	close(file);
	close(vm);
}

/* Left by a child that outlives the parent's descriptors. */
static void outlived(void)
{
	int vm = new_vm(), file = new_file(vm), pipes[2];
	char *map = map_shared(file, SIZE, 0), byte = 0;
	pid_t pid;

	if (pipe(pipes))
		die("pipe");
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		close(pipes[1]);
		_exit(read(pipes[0], &byte, 1) != 0);
	}
	munmap(map, SIZE);
	close(file);
	close(vm);
	close(pipes[0]);
	close(pipes[1]);
	waitpid(pid, NULL, 0);
	close(new_vm());
}

static void refused(void)
{
	int vm = new_vm();

	for (int i = 0; i < 20; i++) {
		gmem_try(vm, 123, 0);
		gmem_try(vm, SIZE, ~0UL);
		ioctl(vm, KVM_CREATE_GUEST_MEMFD, BAD_PTR);
		ioctl(kvm, KVM_CREATE_VM, 99);
	}
	close(vm);
}

static const struct {
	const char *name;
	void (*run)(void);
} ways[] = {
	{ "unmapped, then closed", in_order },
	{ "closed, then unmapped", file_first },
	{ "unmapped page by page", piece_by_piece },
	{ "bound to memslots", bound },
	{ "moved, duplicated, closed by range", moved },
	{ "shared with a child", forked },
	{ "outlived by a child", outlived },
	{ "refused", refused },
};

/* Memory that the kernel counts as shared, of everybody: what others do is averaged out by size. */
static long shmem_kib(void)
{
	FILE *f = fopen("/proc/meminfo", "re");
	char line[256];
	long kib = 0;

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "Shmem: %ld", &kib) == 1)
			break;
	}
	if (f)
		fclose(f);
	return kib;
}

static void test_memory(void)
{
	int vm = new_vm(), file = gmem_new(vm, 48 * MiB, SHAREABLE);
	char *map = map_shared(file, 48 * MiB, 0);
	long start = shmem_kib(), full, empty = 0;

	memset(map, 1, 48 * MiB);
	full = shmem_kib();
	close(file);
	munmap(map, 48 * MiB);
	close(vm);
	for (int i = 0; i < 60; i++) {
		empty = shmem_kib();
		if (full - empty > 24 << 10)
			break;
		usleep(50000);
	}
	/* A real guest_memfd is not counted as shared memory. */
	if (full - start < 24 << 10)
		skip(1, "the kernel does not count this memory");
	else
		ok(full - empty > 24 << 10, "48 MiB are given back (%ld KiB)", full - empty);
}

/* Under gmem the parent keeps files for others: it lets them go, too, a moment later. */
static void test_parent(void)
{
	char path[64];
	int n = 0;

	snprintf(path, sizeof(path), "/proc/%d/fd", getppid());
	for (int i = 0; i < 60; i++) {
		n = count_dir(path, "/memfd:[");
		if (!n)
			break;
		usleep(50000);
	}
	is(n, 0, "the parent process holds no file");
}

/*
 * Under gmem the parent may just be asking whether a file is still in use, and is in use by that
 * itself; what was closed meanwhile goes at one of the next calls.
 */
static struct counts settled(struct counts first)
{
	struct counts now = count();

	for (int i = 0; i < 80 && !no_more(now, first); i++) {
		usleep(25000);
		close(kvm_open());
		now = count();
	}
	return now;
}

static void count_all(void)
{
	struct counts before = count(), first, last;

	show("before", before);
	kvm = kvm_open();
	close(new_vm());
	show("after a VM", count());
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		for (int n = 0; n < 3; n++)
			ways[i].run();
		first = count();
		for (int n = 0; n < 20; n++)
			ways[i].run();
		last = settled(first);
		if (!ok(no_more(last, first), "%s: 20 times leave nothing", ways[i].name)) {
			show("first", first);
			show("last", last);
		}
	}
	first = count();
	for (int n = 0; n < 10; n++) {
		for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
			ways[i].run();
	}
	last = settled(first);
	show("at the end", last);
	ok(no_more(last, first), "10 times all of them leave nothing");
	is(last.threads, before.threads, "there are as many threads as before the first VM");
	ok(last.fds - before.fds <= 12, "and not many descriptors more (%d)", last.fds - before.fds - 1);
	ok(last.maps - before.maps <= 24, "and mappings (%d)", last.maps - before.maps);
	test_memory();
	test_parent();
}

static void storm(void)
{
	char *broker = getenv("GMEM_BROKER");

	printf("%s\n", broker ? broker : "");
	fclose(stdout);
	for (;;) {
		pid_t pid;

		ways[rand() % 7].run();
		pid = fork();
		if (pid == 0) {
			/* A child whose parent is killed goes on natively, too. */
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			for (int i = 0; i < 5; i++)
				ways[rand() % 5].run();
			_exit(0);
		}
		if (rand() & 1)
			while (waitpid(-1, NULL, 0) > 0)
				;
	}
}

int main(int argc, char **argv)
{
	int vm;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc > 1 && !strcmp(argv[1], "storm")) {
		kvm = kvm_open();
		vm = ioctl(kvm, KVM_CREATE_VM, 1);
		converts = vm >= 0 && ioctl(vm, KVM_CHECK_EXTENSION, KVM_CAP_GUEST_MEMFD_MEMORY_ATTRIBUTES) > 0;
		srand((unsigned)getpid());
		storm();
	}
	fflush(stdout);
	/* Whether it can be run is found out in a child, so that it does not count. */
	int pid = fork(), status;

	if (pid == 0) {
		kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
		vm = kvm < 0 ? -1 : ioctl(kvm, KVM_CREATE_VM, 0);
		if (vm < 0 || !(ioctl(vm, KVM_CHECK_EXTENSION, KVM_CAP_GUEST_MEMFD_FLAGS) & GUEST_MEMFD_FLAG_INIT_SHARED))
			_exit(2);
		vm = ioctl(kvm, KVM_CREATE_VM, 1);
		_exit(vm >= 0 && ioctl(vm, KVM_CHECK_EXTENSION, KVM_CAP_GUEST_MEMFD_MEMORY_ATTRIBUTES) > 0);
	}
	waitpid(pid, &status, 0);
	if (WEXITSTATUS(status) == 2)
		skip_all("no /dev/kvm whose guest_memfd can be mapped and shared");
	converts = WEXITSTATUS(status) == 1;
	count_all();
	return done_testing();
}
