// SPDX-License-Identifier: MIT
/*
 * tests/run_atfork.c - handlers of pthread_atfork(3) that use guest_memfd files
 *
 * Each of the three creates a file, maps it, converts a page and unmaps it, while other threads
 * convert.  Knows nothing of gmem; needs a kernel that converts in place.
 */
#include <pthread.h>

#include "tests/run_kvm.h"
#include "tests/tap.h"

#define SIZE (16 * PG)
#define PRIV KVM_MEMORY_ATTRIBUTE_PRIVATE

static int kvm, vm, file;
static char *map;
static volatile int worked[3], stop, in_handlers;

/* 1 when all went as it should. A child's VM is its parent's: it makes one of its own. */
static int use(bool child)
{
	/* Parent and child are at work at the same time, each on its page of the common file. */
	size_t at = child ? 2 * PG : PG;
	int own = child ? ioctl(kvm, KVM_CREATE_VM, 1) : vm, fd = gmem_try(own, SIZE, SHAREABLE), right;
	char *ptr = fd < 0 ? MAP_FAILED : mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (ptr == MAP_FAILED)
		return 0;
	ptr[0] = 'x';
	right = set_attr2(fd, 0, PG, PRIV, NULL) == 0 && touch(ptr, -1).sig == SIGBUS && set_attr2(fd, 0, PG, 0, NULL) == 0 &&
		touch(ptr, -1).value == 'x';
	right = right && set_attr2(file, at, PG, PRIV, NULL) == 0 && touch(map + at, -1).sig == SIGBUS &&
		set_attr2(file, at, PG, 0, NULL) == 0;
	munmap(ptr, SIZE);
	close(fd);
	if (child)
		close(own);
	return right;
}

static void prepare(void)
{
	if (in_handlers)
		worked[0] += use(false);
}

static void parent(void)
{
	if (in_handlers)
		worked[1] += use(false);
}

static void child(void)
{
	if (in_handlers)
		worked[2] += use(true);
}

static void *hammer(void *arg)
{
	while (!stop) {
		set_attr2(file, 8 * PG, PG, PRIV, NULL);
		set_attr2(file, 8 * PG, PG, 0, NULL);
	}
	return arg;
}

/* How many of n children found their handler to have worked, and can go on themselves. */
static int family(int n)
{
	int good = 0, status;

	for (int i = 0; i < n; i++) {
		pid_t pid = fork();

		if (pid == 0) {
			alarm(30);
			_exit(worked[2] == 1 && use(true) ? 42 : 1);
		}
		waitpid(pid, &status, 0);
		good += WIFEXITED(status) && WEXITSTATUS(status) == 42;
	}
	return good;
}

int main(void)
{
	pthread_t threads[2];
	sigset_t before, after;

	kvm = kvm_open();
	vm = ioctl(kvm, KVM_CREATE_VM, 1);
	if (vm < 0 || ioctl(vm, KVM_CHECK_EXTENSION, KVM_CAP_GUEST_MEMFD_MEMORY_ATTRIBUTES) <= 0)
		skip_all("this kernel does not convert in place");
	setvbuf(stdout, NULL, _IOLBF, 0);
	touch_init();
	file = gmem_new(vm, SIZE, SHAREABLE);
	map = map_shared(file, SIZE, 0);
	memset(map, 1, SIZE);
	pthread_atfork(prepare, parent, child);
	alarm(60);
	in_handlers = 1;
	sigprocmask(SIG_SETMASK, NULL, &before);
	is(family(5), 5, "the handler in the child creates, maps and converts");
	ok(worked[0] == 5 && worked[1] == 5, "as do those in the parent (%d, %d)", worked[0], worked[1]);
	sigprocmask(SIG_SETMASK, NULL, &after);
	ok(!memcmp(&before, &after, 8), "the signal mask is what it was");
	for (int i = 0; i < 2; i++)
		pthread_create(&threads[i], NULL, hammer, NULL);
	is(family(10), 10, "the same while other threads convert");
	ok(worked[0] == 15 && worked[1] == 15, "in the parent, too (%d, %d)", worked[0], worked[1]);
	stop = 1;
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	return done_testing();
}
