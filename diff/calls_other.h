/* SPDX-License-Identifier: MIT */
/*
 * diff/calls_other.h - a forked child or another thread makes one step
 *
 * Goes behind diff/calls.h, here and in a reproducer.
 */
enum { OTHER_LOAD, OTHER_STORE, OTHER_PUNCH, OTHER_CONVERT, OTHER_VM, OTHER_CREATE, OTHER_UNMAP, OTHER_GUEST };

static struct result by_other(u64 what, u64 a, u64 b, u64 c, u64 d)
{
	switch (what) {
	case OTHER_LOAD: return load(a, b);
	case OTHER_STORE: return store(a, b, c);
	case OTHER_PUNCH: return allocate(a, 3, b, c);
	case OTHER_CONVERT: return convert(a, b, c, d, 0, 99);
	case OTHER_VM: return capability(a, b);
	/* A VM that is not ours is refused before any check, and nothing is made. */
	case OTHER_CREATE: return vm[b] < 0 ? skipped() : result_of(ioctl(vm[b], 0xc040aed4, NULL));
	case OTHER_GUEST: return guest(a, b, c, d);
	default: return unmap(a, b, c);
	}
}

static struct result child(u64 what, u64 a, u64 b, u64 c, u64 d)
{
	struct result *shared = (struct result *)mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct result ret;
	int status = 0;
	pid_t pid;

	if (shared == MAP_FAILED)
		return result_of(-1);
	pid = fork();
	if (pid == 0) {
		*shared = by_other(what, a, b, c, d);
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		ret = result_of(-1);
	else
		ret = *shared;
	if (status)
		ret.sig = -status;
	munmap(shared, PAGE);
	return ret;
}

struct order {
	u64 what, a[4];
	struct result ret;
};

static void *thread_main(void *arg)
{
	struct order *o = (struct order *)arg;

	o->ret = by_other(o->what, o->a[0], o->a[1], o->a[2], o->a[3]);
	return NULL;
}

static struct result thread(u64 what, u64 a, u64 b, u64 c, u64 d)
{
	struct order o = { what, { a, b, c, d }, { 0, 0, 0, 0 } };
	pthread_t id;
	int error = pthread_create(&id, NULL, thread_main, &o);

	if (error)
		return (struct result){ -error, 0, 0, 0 };
	pthread_join(id, NULL);
	return o.ret;
}
