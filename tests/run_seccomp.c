// SPDX-License-Identifier: MIT
/*
 * tests/run_seccomp.c - programs that install a seccomp filter and then use KVM
 *
 *	run_seccomp			all tests
 *	run_seccomp WHAT		an image that was started under a filter, see images[]
 *
 * Knows nothing of gmem: holds on a real kernel (Linux 6.18 or later) and under
 * `gmem run`.  Each test is a child whose filter lets through what the child
 * itself calls, and kills for everything else: what it needs must work, what it forbids must be forbidden.
 */
#include <linux/audit.h>
#include <linux/falloc.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "tests/run_kvm.h"
#include "tests/tap.h"

#define PAGES 32
#define SIZE  (PAGES * PG)
#define PRIV  KVM_MEMORY_ATTRIBUTE_PRIVATE

static int kvm, vm, file;
static char *map;
static unsigned private_page = 1;
static bool converts;

#define LOAD_NR	     BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr))
#define LOAD_ARG(n)  BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[n]))
#define RETURN(what) BPF_STMT(BPF_RET | BPF_K, (what))
#define IF(value, what)                                                                                                \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (value), 0, 1), RETURN(what)
#define ALLOW(name) IF(SYS_##name, SECCOMP_RET_ALLOW)
#define DENIED	    (SECCOMP_RET_ERRNO | EPERM)

/* What the children below call themselves, and nothing else. */
static const struct sock_filter strict[] = {
	LOAD_NR,
	ALLOW(ioctl),
	ALLOW(mmap),
	ALLOW(munmap),
	ALLOW(mprotect),
	ALLOW(madvise),
	ALLOW(write),
	ALLOW(exit_group),
	ALLOW(exit),
	ALLOW(fallocate),
	ALLOW(rt_sigreturn),
	ALLOW(rt_sigprocmask),
	ALLOW(newfstatat),
	ALLOW(fstat),
	ALLOW(close),
	ALLOW(futex),
	RETURN(SECCOMP_RET_KILL_PROCESS),
};

static bool by_syscall(const struct sock_fprog *prog)
{
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, prog) == 0;
}

static bool by_prctl(const struct sock_fprog *prog)
{
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, prog) == 0;
}

static bool by_prctl_number(const struct sock_fprog *prog)
{
	return syscall(SYS_prctl, PR_SET_SECCOMP, SECCOMP_MODE_FILTER, prog, 0, 0) == 0;
}

static bool by_tsync(const struct sock_fprog *prog)
{
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, prog) == 0;
}

typedef bool installer(const struct sock_fprog *prog);

static void install(installer *how, const struct sock_filter *filter, size_t len)
{
	struct sock_fprog prog = { .len = (unsigned short)len, .filter = (struct sock_filter *)(uintptr_t)filter };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || !how(&prog))
		_exit(99);
}
#define INSTALL(how, filter) install((how), (filter), sizeof(filter) / sizeof((filter)[0]))

static int run(int (*fn)(void *), void *arg)
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		vm = vm_new(kvm, converts);
		file = gmem_new(vm, SIZE, converts ? SHAREABLE : GUEST_MEMFD_FLAG_MMAP);
		map = map_shared(file, SIZE, 0);
		if (converts && set_attr2(file, PG, PG, PRIV, NULL))
			_exit(98);
		_exit(fn(arg));
	}
	waitpid(pid, &status, 0);
	return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

/* The number of the first line that was wrong. */
#define CHECK(cond)                                                                                                    \
	do {                                                                                                           \
		if (!(cond))                                                                                           \
			return __LINE__ % 90 + 1;                                                                      \
	} while (0)

static bool refused(unsigned page)
{
	struct touch t = touch(map + page * PG, -1);

	return t.sig == SIGBUS && t.code == BUS_ADRERR && t.addr == (uintptr_t)(map + page * PG);
}

static int uses_everything(void *how)
{
	struct stat st;
	char *other;
	int second;

	INSTALL((installer *)how, strict);
	CHECK(refused(private_page));
	CHECK(ioctl(vm, KVM_CHECK_EXTENSION, 234) == 1);
	CHECK(ioctl(vm, KVM_CREATE_GUEST_MEMFD, BAD_PTR) == -1 && errno == EFAULT);
	second = gmem_try(vm, SIZE, GUEST_MEMFD_FLAG_MMAP);
	CHECK(second >= 0);
	other = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, second, 0);
	CHECK(other != MAP_FAILED);
	CHECK(touch(other, -1).sig == SIGBUS);
	CHECK(set_region2(vm, 0, KVM_MEM_GUEST_MEMFD, 0, SIZE, 1 << 30, second, 0) == 0);
	CHECK(fallocate(second, FALLOC_FL_KEEP_SIZE, 0, SIZE) == 0);
	CHECK(fallocate(second, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, 0, SIZE) == 0);
	CHECK(fstat(second, &st) == 0 && st.st_size == SIZE);
	CHECK(mprotect(other, PG, PROT_READ) == 0);
	CHECK(madvise(other, PG, MADV_DONTNEED) == 0);
	CHECK(munmap(other, SIZE) == 0);
	CHECK(close(second) == 0);
	CHECK(close(ioctl(kvm, KVM_CREATE_VM, 0)) == 0);
	for (unsigned i = 0; converts && i < 50; i++) {
		CHECK(set_attr2(file, (2 + i % 8) * PG, PG, PRIV, NULL) == 0);
		CHECK(refused(2 + i % 8));
		CHECK(set_attr2(file, (2 + i % 8) * PG, PG, 0, NULL) == 0);
		CHECK(touch(map + (2 + i % 8) * PG, 1).sig == 0);
	}
	return 42;
}

/* --- the filter holds for the program's own calls ------------------------------------ */

static int calls_forbidden(void *how)
{
	INSTALL((installer *)how, strict);
	syscall(SYS_getppid);
	return 1;
}

static int calls_forbidden_libc(void *how)
{
	INSTALL((installer *)how, strict);
	getppid();
	return 1;
}

static int opens_forbidden(void *how)
{
	INSTALL((installer *)how, strict);
	return open("/dev/kvm", O_RDWR) >= 0;
}

/* Deny one call by number, allow the rest. */
static void deny(long nr)
{
	struct sock_filter filter[] = { LOAD_NR, IF((unsigned)nr, DENIED), RETURN(SECCOMP_RET_ALLOW) };

	INSTALL(by_syscall, filter);
}

static bool is_denied(long ret)
{
	return ret == -1 && errno == EPERM;
}

#define NR(number) ((void *)(intptr_t)(number))

static int denied(void *nr)
{
	long number = (long)(intptr_t)nr;
	struct stat st;

	if (!converts)
		set_region2(vm, 0, 0, 0, 0, 0, -1, 0);
	deny(number);
	switch (number) {
	case SYS_ioctl:
		CHECK(is_denied(ioctl(vm, KVM_CHECK_EXTENSION, 234)));
		CHECK(is_denied(ioctl(kvm, KVM_GET_API_VERSION, 0)));
		CHECK(is_denied(ioctl(file, 0x5421, &st)));
		CHECK(is_denied(gmem_try(vm, SIZE, 0)));
		break;
	case SYS_mmap:
		CHECK(mmap(NULL, SIZE, PROT_READ, MAP_SHARED, file, 0) == MAP_FAILED && errno == EPERM);
		break;
	case SYS_munmap:
		CHECK(is_denied(munmap(map, SIZE)) && refused(private_page));
		break;
	case SYS_mprotect:
		CHECK(is_denied(mprotect(map, SIZE, PROT_NONE)) && refused(private_page));
		break;
	case SYS_madvise:
		CHECK(is_denied(madvise(map, SIZE, MADV_DONTNEED)));
		break;
	case SYS_mremap:
		CHECK(mremap(map, SIZE, 2 * SIZE, MREMAP_MAYMOVE) == MAP_FAILED && errno == EPERM && refused(private_page));
		break;
	case SYS_mlock:
		CHECK(is_denied(mlock(map, PG)));
		break;
	case SYS_fallocate:
		CHECK(is_denied(fallocate(file, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, 0, SIZE)));
		break;
	case SYS_close:
		CHECK(is_denied(close(file)) && fcntl(file, F_GETFD) == 0);
		break;
	case SYS_dup:
		CHECK(is_denied(dup(file)));
		break;
	case SYS_newfstatat:
		CHECK(is_denied(fstat(file, &st)));
		break;
	case SYS_read:
		CHECK(is_denied(read(file, &st, 1)));
		break;
	case SYS_write:
		CHECK(is_denied(write(file, &st, 1)));
		break;
	case SYS_ftruncate:
		CHECK(is_denied(ftruncate(file, 0)));
		break;
	case SYS_lseek:
		CHECK(is_denied(lseek(file, 0, SEEK_SET)));
		break;
	case SYS_openat:
		CHECK(is_denied(open("/dev/kvm", O_RDWR)));
		break;
	case SYS_fcntl:
		CHECK(is_denied(fcntl(file, F_GETFL)));
		break;
	}
	return 42;
}

static const struct {
	const char *name;
	long nr;
} denials[] = {
	{ "ioctl", SYS_ioctl },
	{ "mmap", SYS_mmap },
	{ "munmap", SYS_munmap },
	{ "mprotect", SYS_mprotect },
	{ "madvise", SYS_madvise },
	{ "mremap", SYS_mremap },
	{ "mlock", SYS_mlock },
	{ "fallocate", SYS_fallocate },
	{ "close", SYS_close },
	{ "dup", SYS_dup },
	{ "newfstatat", SYS_newfstatat },
	{ "read", SYS_read },
	{ "write", SYS_write },
	{ "ftruncate", SYS_ftruncate },
	{ "lseek", SYS_lseek },
	{ "openat", SYS_openat },
	{ "fcntl", SYS_fcntl },
};

/* A list of ioctl commands, as jailers write it. */
static int command_words(void *arg)
{
	static const struct sock_filter filter[] = {
		LOAD_NR,
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ioctl, 1, 0),
		RETURN(SECCOMP_RET_ALLOW),
		LOAD_ARG(1),
		IF(KVM_CHECK_EXTENSION, SECCOMP_RET_ALLOW),
		IF(KVM_SET_MEMORY_ATTRIBUTES2, SECCOMP_RET_ALLOW),
		RETURN(DENIED),
	};

	(void)arg;
	INSTALL(by_prctl, filter);
	CHECK(ioctl(vm, KVM_CHECK_EXTENSION, 234) == 1);
	CHECK(is_denied(gmem_try(vm, SIZE, 0)));
	CHECK(is_denied(set_region2(vm, 0, 0, 0, SIZE, (uintptr_t)map, -1, 0)));
	CHECK(is_denied(ioctl(kvm, KVM_CREATE_VM, 0)));
	CHECK(is_denied(ioctl(file, KVM_CREATE_VM, 0)));
	if (converts)
		CHECK(set_attr2(file, 2 * PG, PG, PRIV, NULL) == 0 && refused(2));
	CHECK(refused(private_page));
	return 42;
}

static volatile int trapped_nr, trapped_error;

static void on_sigsys(int sig, siginfo_t *info, void *ctx)
{
	(void)sig;
	(void)ctx;
	trapped_nr = info->si_syscall;
	trapped_error = info->si_errno;
}

/* SECCOMP_RET_TRAP reaches the program's own handler, for calls on KVM's descriptors, too. */
static int traps(void *arg)
{
	static const struct sock_filter filter[] = {
		LOAD_NR, IF(SYS_getppid, SECCOMP_RET_TRAP | 7), IF(SYS_fallocate, SECCOMP_RET_TRAP | 8), RETURN(SECCOMP_RET_ALLOW)
	};
	struct sigaction sa = { .sa_sigaction = on_sigsys, .sa_flags = SA_SIGINFO };

	(void)arg;
	sigaction(SIGSYS, &sa, NULL);
	INSTALL(by_syscall, filter);
	getppid();
	CHECK(trapped_nr == SYS_getppid && trapped_error == 7);
	fallocate(file, FALLOC_FL_KEEP_SIZE, 0, PG);
	CHECK(trapped_nr == SYS_fallocate && trapped_error == 8);
	CHECK(refused(private_page));
	return 42;
}

/* Filters add up, and each has to agree. */
static int stacked(void *arg)
{
	(void)arg;
	INSTALL(by_prctl, strict);
	CHECK(refused(private_page));
	return 42;
}

static int stacked_both(void *arg)
{
	(void)arg;
	deny(SYS_getppid);
	deny(SYS_fallocate);
	CHECK(is_denied(syscall(SYS_getppid)));
	CHECK(is_denied(fallocate(file, FALLOC_FL_KEEP_SIZE, 0, PG)));
	INSTALL(by_syscall, strict);
	CHECK(is_denied(fallocate(file, FALLOC_FL_KEEP_SIZE, 0, PG)));
	CHECK(refused(private_page));
	if (converts)
		CHECK(set_attr2(file, 2 * PG, PG, PRIV, NULL) == 0 && refused(2));
	return 42;
}

static volatile int started, ready, answer;

static void *waits(void *arg)
{
	(void)arg;
	started = 1;
	while (!ready)
		;
	answer = refused(private_page) && (!converts || (set_attr2(file, 3 * PG, PG, PRIV, NULL) == 0 && refused(3)))
			 ? 42
			 : 2;
	/* Its end would need more calls. */
	for (;;)
		;
	return NULL;
}

/* Another thread gets the filter by TSYNC. */
static int other_thread(void *arg)
{
	pthread_t thread;

	(void)arg;
	if (pthread_create(&thread, NULL, waits, NULL))
		return 1;
	while (!started)
		;
	INSTALL(by_tsync, strict);
	ready = 1;
	while (!answer)
		;
	return answer;
}

static int bad_arguments(void *arg)
{
	struct sock_filter filter[] = { RETURN(SECCOMP_RET_ALLOW) };
	struct sock_fprog prog = { 0, filter };

	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	CHECK(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, BAD_PTR) == -1 && errno == EFAULT);
	CHECK(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog) == -1 && errno == EINVAL);
	CHECK(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 1 << 30, &prog) == -1 && errno == EINVAL);
	prog.len = 1;
	prog.filter = BAD_PTR;
	CHECK(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog) == -1 && errno == EFAULT);
	prog.len = 4097;
	CHECK(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog) == -1 && errno == EINVAL);
	CHECK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, BAD_PTR) == -1 && errno == EFAULT);
	CHECK(prctl(PR_GET_SECCOMP) == *(const int *)arg);
	prog.len = 1;
	prog.filter = filter;
	CHECK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) == 0);
	CHECK(prctl(PR_GET_SECCOMP) == 2);
	return 42;
}

/* --- filters outlive exec(2) ----------------------------------------------------------- */

static char self[4096];

/* What it takes to start a dynamic program, and then what it does itself: natively not one call may be spared. */
static const struct sock_filter starts_programs[] = {
	LOAD_NR,
	ALLOW(execve),
	ALLOW(brk),
	ALLOW(access),
	ALLOW(openat),
	ALLOW(newfstatat),
	ALLOW(mmap),
	ALLOW(close),
	ALLOW(read),
	ALLOW(pread64),
	ALLOW(arch_prctl),
	ALLOW(set_tid_address),
	ALLOW(set_robust_list),
	ALLOW(rseq),
	ALLOW(prlimit64),
	ALLOW(mprotect),
	ALLOW(munmap),
	ALLOW(getrandom),
	ALLOW(futex),
	ALLOW(ioctl),
	ALLOW(fallocate),
	ALLOW(rt_sigaction),
	ALLOW(rt_sigprocmask),
	ALLOW(rt_sigreturn),
	ALLOW(exit_group),
	/* One more filter on top. */
	ALLOW(prctl),
	ALLOW(seccomp),
	RETURN(SECCOMP_RET_KILL_PROCESS),
};

/* A new image makes, maps and uses a file. */
static int creates(void)
{
	kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	vm = ioctl(kvm, KVM_CREATE_VM, 1);
	converts = vm >= 0 && ioctl(vm, KVM_CHECK_EXTENSION, KVM_CAP_GUEST_MEMFD_MEMORY_ATTRIBUTES) > 0;
	if (!converts)
		vm = ioctl(kvm, KVM_CREATE_VM, 0);
	CHECK(vm >= 0);
	file = gmem_try(vm, SIZE, converts ? SHAREABLE : GUEST_MEMFD_FLAG_MMAP);
	CHECK(file >= 0);
	map = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	CHECK(map != MAP_FAILED);
	CHECK(!converts || set_attr2(file, PG, PG, PRIV, NULL) == 0);
	CHECK(refused(1));
	for (unsigned i = 0; converts && i < 20; i++) {
		CHECK(touch(map + 2 * PG, (int)i).sig == 0);
		CHECK(set_attr2(file, 2 * PG, PG, PRIV, NULL) == 0 && refused(2));
		CHECK(set_attr2(file, 2 * PG, PG, 0, NULL) == 0 && touch(map + 2 * PG, -1).value == (int)i);
	}
	CHECK(fallocate(file, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, 0, SIZE) == 0);
	CHECK(munmap(map, SIZE) == 0 && close(file) == 0 && close(vm) == 0 && close(kvm) == 0);
	return 42;
}

static int forbidden_there(void)
{
	getppid();
	return 1;
}

/* The device is not reached by another way than the filter's. */
static int denied_there(void)
{
	kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	vm = ioctl(kvm, KVM_CREATE_VM, 0);
	CHECK(vm >= 0);
	CHECK(ioctl(vm, KVM_CHECK_EXTENSION, 234) == -1 && errno == EPERM);
	return 42;
}

static int filters_again(void)
{
	static const struct sock_filter no_mprotect[] = { LOAD_NR, IF(SYS_mprotect, DENIED), RETURN(SECCOMP_RET_ALLOW) };

	INSTALL(by_syscall, no_mprotect);
	CHECK(mprotect(self, PG, PROT_READ) == -1 && errno == EPERM);
	return creates();
}

static int execs_again(void)
{
	char *args[] = { self, (char[]){ "creates" }, NULL };

	execve(self, args, environ);
	return 1;
}

/* Natively of no importance, but gmem cannot be where it has to be: tests/overlay_seccomp.t. */
static int execs_without_place(void)
{
	static const struct sock_filter filter[] = {
		LOAD_NR,
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mmap, 0, 3),
		LOAD_ARG(3),
		BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, MAP_FIXED_NOREPLACE, 0, 1),
		RETURN(DENIED),
		RETURN(SECCOMP_RET_ALLOW),
	};

	INSTALL(by_prctl, filter);
	return execs_again();
}

static const struct {
	const char *name;
	int (*run)(void);
} images[] = { { "creates", creates },
	       { "forbidden", forbidden_there },
	       { "denied", denied_there },
	       { "filters", filters_again },
	       { "execs", execs_again },
	       { "without-place", execs_without_place } };

static int image(const char *name)
{
	for (size_t i = 0; i < sizeof(images) / sizeof(images[0]); i++)
		if (!strcmp(images[i].name, name))
			return images[i].run();
	return 2;
}

static int exec_strict(void *what)
{
	char *args[] = { self, what, NULL };

	INSTALL(by_syscall, starts_programs);
	execve(self, args, environ);
	return 1;
}

static int exec_empty_environment(void *what)
{
	char *args[] = { self, what, NULL }, *none[] = { NULL };

	INSTALL(by_prctl, starts_programs);
	execve(self, args, none);
	return 1;
}

static int exec_denying_commands(void *what)
{
	static const struct sock_filter filter[] = {
		LOAD_NR,
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ioctl, 1, 0),
		RETURN(SECCOMP_RET_ALLOW),
		LOAD_ARG(1),
		IF(KVM_CHECK_EXTENSION, DENIED),
		RETURN(SECCOMP_RET_ALLOW),
	};
	char *args[] = { self, what, NULL };

	INSTALL(by_prctl, filter);
	execve(self, args, environ);
	return 1;
}

/* As "W^X" is enforced: no memory is or becomes both, and nothing anonymous executable. */
static int exec_no_new_code(void *what)
{
	static const struct sock_filter filter[] = {
		LOAD_NR,
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mprotect, 0, 3),
		LOAD_ARG(2),
		BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, PROT_EXEC, 0, 1),
		RETURN(SECCOMP_RET_KILL_PROCESS),
		LOAD_NR,
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mmap, 0, 5),
		LOAD_ARG(2),
		BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, PROT_EXEC, 0, 3),
		LOAD_ARG(3),
		BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, MAP_ANONYMOUS, 0, 1),
		RETURN(SECCOMP_RET_KILL_PROCESS),
		RETURN(SECCOMP_RET_ALLOW),
	};
	char *args[] = { self, what, NULL };

	INSTALL(by_syscall, filter);
	execve(self, args, environ);
	return 1;
}

static void outlives_exec(void)
{
	is(run(exec_strict, (char[]){ "creates" }), 42, "exec under a strict filter: a file is made, converted, touched, punched");
	is(run(exec_empty_environment, (char[]){ "creates" }), 42, "... with an empty environment, too");
	is(run(exec_strict, (char[]){ "forbidden" }), -SIGSYS, "... what it forbids kills the new image");
	is(run(exec_strict, (char[]){ "execs" }), 42, "... and the one after it works");
	is(run(exec_strict, (char[]){ "filters" }), 42, "... and another filter can be put on top");
	is(run(exec_denying_commands, (char[]){ "denied" }), 42, "a command that is denied is so after exec");
	is(run(exec_no_new_code, (char[]){ "creates" }), 42, "a filter against new code");
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		installer *how;
	} ways[] = { { "syscall(SYS_seccomp)", by_syscall },
		     { "prctl()", by_prctl },
		     { "syscall(SYS_prctl)", by_prctl_number },
		     { "TSYNC", by_tsync } };

	int inherited;

	/* Before a filter could object: the images get the name as their own. */
	if (argc > 1) {
		snprintf(self, sizeof(self), "%s", argv[0]);
		touch_init();
		_exit(image(argv[1]));
	}
	if (readlink("/proc/self/exe", self, sizeof(self) - 1) < 0)
		die("own name");
	/* A container's filter is there before any of ours. */
	inherited = prctl(PR_GET_SECCOMP);
	setvbuf(stdout, NULL, _IOLBF, 0);
	kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (kvm < 0)
		skip_all("/dev/kvm: %s", strerror(errno));
	vm = vm_new(kvm, 0);
	if (!(ioctl(vm, KVM_CHECK_EXTENSION, KVM_CAP_GUEST_MEMFD_FLAGS) & GUEST_MEMFD_FLAG_MMAP))
		skip_all("this kernel cannot map a guest_memfd");
	close(vm);
	vm = ioctl(kvm, KVM_CREATE_VM, 1);
	converts = vm >= 0 && ioctl(vm, KVM_CHECK_EXTENSION, KVM_CAP_GUEST_MEMFD_MEMORY_ATTRIBUTES) > 0;
	touch_init();
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		void *how = (void *)(uintptr_t)ways[i].how;

		is(run(uses_everything, how), 42, "%s: what the program does is all that its filter must allow",
		   ways[i].name);
		is(run(calls_forbidden, how), -SIGSYS, "%s: a forbidden syscall() kills", ways[i].name);
		is(run(calls_forbidden_libc, how), -SIGSYS, "%s: a forbidden call of libc kills", ways[i].name);
		is(run(opens_forbidden, how), -SIGSYS, "%s: opening /dev/kvm is forbidden as well", ways[i].name);
	}
	for (size_t i = 0; i < sizeof(denials) / sizeof(denials[0]); i++)
		is(run(denied, NR(denials[i].nr)), 42, "a filter that denies %s is obeyed on KVM's objects", denials[i].name);
	is(run(command_words, NULL), 42, "a filter on ioctl commands is obeyed");
	is(run(traps, NULL), 42, "SECCOMP_RET_TRAP reaches the program's handler");
	is(run(stacked, NULL), 42, "a filter in a child");
	is(run(stacked_both, NULL), 42, "filters on top of each other");
	is(run(other_thread, NULL), 42, "another thread of the program");
	outlives_exec();
	is(run(bad_arguments, &inherited), 42, "what is no filter is refused as the kernel does");
	return done_testing();
}
