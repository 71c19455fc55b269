// SPDX-License-Identifier: MIT
/*
 * check/run.c - runs cases, each in a child of its own, and writes what they saw
 *
 * Lines on the descriptor, fields parted by tabs:
 *   C id                  a case begins
 *   S label got w1 w2 ..  an observation, and what each generation would give; where one differs, also
 *   L file:line           its place in the source
 *   K ret text            each of the calls that led to it
 *   N id                  the target lacks what the case needs
 *   X text                the case could not go on
 *   E                     it ended
 */
#include "check/check.h"

#include <pthread.h>

#include "check/hooks.h"

#define CASE_SECONDS 30

struct check_target target;
static int out = -1;
static pthread_mutex_t out_lock = PTHREAD_MUTEX_INITIALIZER;

const struct check_case check_cases[] = {
#define CASE(section, name, needs, title, rules) { #section "." #name, title, rules, needs, case_##section##_##name },
#include "check/case.def"
#undef CASE
};
const unsigned check_case_count = sizeof(check_cases) / sizeof(*check_cases);

const struct check_need_words check_needs[] = {
	{ NEED_GMEM, "KVM_CREATE_GUEST_MEMFD" },
	{ NEED_SLOTS, "a VM type that takes KVM_MEM_GUEST_MEMFD" },
	{ NEED_MAP, "GUEST_MEMFD_FLAG_MMAP" },
	{ NEED_ATTRIBUTES, "KVM_SET_MEMORY_ATTRIBUTES" },
	{ NEED_CONVERSION, "KVM_SET_MEMORY_ATTRIBUTES2" },
	{ NEED_CPU, "a vCPU that executes guest code" },
	{ NEED_POISON, "--poison, and root in a kernel with CONFIG_MEMORY_FAILURE" },
	{ NEED_PRIVATE, "VM type KVM_X86_SW_PROTECTED_VM" },
};
const unsigned check_need_count = sizeof(check_needs) / sizeof(*check_needs);

bool check_holds(const struct traits *k, unsigned needs)
{
	bool private_types = (target.types & k->types & ~1U) != 0;

	return (!(needs & NEED_GMEM) || k_files(k)) && (!(needs & NEED_SLOTS) || (k_files(k) && (k->gmem_for_all || private_types))) &&
	       (!(needs & NEED_MAP) || k->mappable) && (!(needs & NEED_ATTRIBUTES) || k_has_attributes(k)) &&
	       (!(needs & NEED_CONVERSION) || k_converts(k)) &&
	       (!(needs & NEED_PRIVATE) || (target.types & k->types & 2 && (k_converts(k) || k_has_attributes(k)))) &&
	       /* Of the machine, not of a generation. */
	       !(needs & (NEED_CPU | NEED_POISON) & ~target.has);
}

static void write_line(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static void write_line(const char *fmt, ...)
{
	char line[1024];
	va_list ap;
	int len;

	va_start(ap, fmt);
	len = vsnprintf(line, sizeof(line) - 1, fmt, ap);
	va_end(ap);
	if (len >= (int)sizeof(line) - 1)
		len = sizeof(line) - 2;
	line[len++] = '\n';
	if (write(out, line, (size_t)len) != len)
		_exit(98);
}

static void write_call(const char *text, long ret)
{
	write_line("K\t%ld\t%s", ret, text);
}

void check_observe(const char *file, int line, long long got, const long long *wanted, const char *fmt, ...)
{
	char label[256], numbers[TRAITS_COUNT * 22 + 1];
	bool differs = false;
	size_t len = 0;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(label, sizeof(label), fmt, ap);
	va_end(ap);
	for (unsigned i = 0; i < TRAITS_COUNT; i++) {
		len += (size_t)snprintf(numbers + len, sizeof(numbers) - len, "\t%lld", wanted[i]);
		differs |= got != wanted[i];
	}
	pthread_mutex_lock(&out_lock);
	write_line("S\t%s\t%lld%s", label, got, numbers);
	if (differs)
		write_line("L\t%s:%d", file, line);
	trace_take(differs ? write_call : NULL);
	pthread_mutex_unlock(&out_lock);
}

void check_expect_signals(void)
{
	touch_init();
}

struct touch check_touch(char *at, int store)
{
	return touch(at, store);
}

static long as_number(struct touch t, const char *at, long value)
{
	if (!t.sig)
		return value;
	if (t.addr != (uintptr_t)at)
		return WRONG_ADDRESS;
	return t.sig == SIGBUS ? BUS(t.code) : SEGV(t.code);
}

long check_load(const char *at)
{
	struct touch t = touch((volatile char *)(uintptr_t)at, -1);

	return as_number(t, at, t.value);
}

long check_store(char *at, int value)
{
	return as_number(touch(at, value), at, 0);
}

bool check_copy(void *to, const void *from, size_t len)
{
	volatile char *at = (volatile char *)(uintptr_t)from;

	/* It is in one page or two. */
	if (touch(at, -1).sig || touch(at + len - 1, -1).sig)
		return false;
	memcpy(to, from, len);
	return true;
}

long check_residence(char *at, size_t pages)
{
	unsigned char vec[32] = { 0 };
	long bits = 0, ret = RET(mincore(at, pages * PG, vec));

	for (size_t i = 0; i < pages; i++)
		bits |= (long)(vec[i] & 1) << i;
	return ret < 0 ? ret : bits;
}

bool check_guards(void)
{
	int mfd = memfd_create("plain", 0);
	bool has;

	if (mfd < 0 || ftruncate(mfd, PG))
		die("a memfd");
	has = madvise(map_shared(mfd, PG, 0), PG, GUARD_INSTALL) == 0;
	close(mfd);
	return has;
}

/* In a child: a vCPU that does not run may not even come back. */
static bool has_vcpu(void)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		alarm(CASE_SECONDS);
		_exit(!check_vcpu());
	}
	return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* Without a length the advice is only looked at. */
static bool can_poison(bool wanted)
{
	return gmem_test_poison || (wanted && geteuid() == 0 && !(madvise)(map_anon(PG), 0, POISON));
}

static int ask(int fd, unsigned long cap)
{
	int value = ioctl(fd, KVM_CHECK_EXTENSION, cap);

	return value < 0 ? 0 : value;
}

/* What the target is, from its own answers; a profile of the ordinary shape is known beforehand. */
static void look(const struct check_request *request)
{
	const struct traits *k = request->literal ? traits_find(request->literal) : NULL;
	int kvm = kvm_open(), vm;

	if (k) {
		target = (struct check_target){
			.types = (k->types & 3) | request->more, .spaces = 2, .private_mem = k->typed, .pre_fault = true
		};
	} else {
		target.types = ask(kvm, KVM_CAP_VM_TYPES) ? (uint32_t)ask(kvm, KVM_CAP_VM_TYPES) : 1;
		target.spaces = ask(kvm, KVM_CAP_MULTI_ADDRESS_SPACE) ? (unsigned)ask(kvm, KVM_CAP_MULTI_ADDRESS_SPACE) : 1;
		target.private_mem = ask(kvm, KVM_CAP_MEMORY_ATTRIBUTES) || ask(kvm, KVM_CAP_GUEST_MEMFD_MEMORY_ATTRIBUTES);
		target.pre_fault = ask(kvm, KVM_CAP_PRE_FAULT_MEMORY);
	}
	target.plain = target.types & (k ? ~0U : 3);
	/* What can be run is asked in either case. */
	if (ask(kvm, KVM_CAP_GUEST_MEMFD))
		target.has |= NEED_GMEM;
	if (ask(kvm, KVM_CAP_GUEST_MEMFD_FLAGS) & GUEST_MEMFD_FLAG_MMAP)
		target.has |= NEED_MAP;
	if (ask(kvm, KVM_CAP_GUEST_MEMFD_MEMORY_ATTRIBUTES))
		target.has |= NEED_CONVERSION;
	if (target.types & 2)
		target.has |= NEED_PRIVATE;
	if (can_poison(request->poison))
		target.has |= NEED_POISON;
	if (has_vcpu())
		target.has |= NEED_CPU;
	for (unsigned t = 0; t < 2; t++) {
		vm = ioctl(kvm, KVM_CREATE_VM, t);
		if (vm < 0)
			continue;
		if (!(target.has & NEED_SLOTS) && ask(vm, KVM_CAP_GUEST_MEMFD)) {
			target.has |= NEED_SLOTS;
			target.bindable = t;
		}
		if (ioctl(vm, KVM_SET_MEMORY_ATTRIBUTES, BAD_PTR) < 0 && errno == EFAULT)
			target.has |= NEED_ATTRIBUTES;
		close(vm);
	}
	close(kvm);
}

static bool wanted(const struct check_case *c, char *const *ids, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		size_t len = strlen(ids[i]);

		/* A section names all of its cases. */
		if (!strcmp(c->id, ids[i]) || (!strncmp(c->id, ids[i], len) && c->id[len] == '.'))
			return true;
	}
	return count == 0;
}

static void run_case(const struct check_case *c)
{
	int status;
	pid_t pid;

	write_line("C\t%s", c->id);
	pid = fork();
	if (pid == 0) {
		trace_take(NULL);
		alarm(CASE_SECONDS);
		c->run();
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		write_line("X\tfork: %s", strerror(errno));
	else if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
		write_line("X\tdid not end within %d seconds", CASE_SECONDS);
	else if (WIFSIGNALED(status))
		write_line("X\tdied by signal %d", WTERMSIG(status));
	else if (WEXITSTATUS(status))
		write_line("X\tended with status %d", WEXITSTATUS(status));
	write_line("E");
}

int check_worker(const struct check_request *request, int fd)
{
	out = fd;
	touch_init();
	look(request);
	write_line("T\t%u\t%u\t%u\t%u\t%u", target.types, target.spaces, target.private_mem, target.pre_fault, target.has);
	for (unsigned i = 0; i < check_case_count; i++) {
		const struct check_case *c = &check_cases[i];

		if (!wanted(c, request->ids, request->count))
			continue;
		if (c->needs & ~target.has)
			write_line("N\t%s", c->id);
		else
			run_case(c);
	}
	return 0;
}
