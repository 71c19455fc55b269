/* SPDX-License-Identifier: MIT */
/*
 * tests/vcpu_stress.h - four vCPUs convert, punch and touch one file, for a time
 *
 * Included by a KVM program (run_vcpu_stress.c) and by a test that calls device/ itself under the
 * thread sanitizer (unit_vcpu_stress.c).  Either defines, before it includes this,
 * stress_ioctl(), stress_punch(), stress_map() and stress_load().
 *
 * Each vCPU has every fourth page of the file to itself, so that pages in all states lie side by
 * side; page 0 is everybody's.  A guest asks by a port for a conversion or a hole,
 * and itself checks what it then finds:
 *
 *   attributes of the VM   INV-3: private and shared contents are two, and both survive;
 *                          a hole leaves nothing, and the state (the shared contents are untouched)
 *   in place (INV-1)       INV-3: one content survives both directions; at each conversion
 *                          the host's touch of a private page is refused, of a shared one not
 *
 * Meanwhile they write into pages of each other (at offsets of their own) and increment a
 * counter in page 0, which they convert as well: no increment may be lost.
 * The main thread moves a slot that nobody uses, which stops them again and again.
 */
#ifndef GMEM_TESTS_VCPU_STRESS_H
#define GMEM_TESTS_VCPU_STRESS_H

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "tests/tap.h"
#include "uapi/kvm_vcpu.h"

#define STRESS_VCPUS 4
#define STRESS_PAGES 1024
#define STRESS_PAGE  4096UL
#define STRESS_SIZE  (STRESS_PAGES * STRESS_PAGE)
#define STRESS_GPA   0x40000000UL
#define STRESS_CODE  0x1000UL

enum { PORT_PRIVATE = 0x10, PORT_SHARED, PORT_PUNCH, PORT_TICK, PORT_FAILED };

/*
 * EBX: the vCPU's number, ESI: random, EBP: increments, EDI: the page, EDX: another's.
 * EAX at an exit is the page's address; at PORT_FAILED the value found, ECX the step.
 */
__asm__(".section .rodata\n"
	".macro check value, step\n"
	"	mov $\\step, %ecx\n"
	"	mov (%edi), %eax\n"
	"	cmp \\value, %eax\n"
	"	jne 9f\n"
	".endm\n"
	".macro ask port\n"
	"	mov %edi, %eax\n"
	"	out %eax, $\\port\n"
	"	mov %ebp, 64(%edx, %ebx, 4)\n"
	".endm\n"
	".macro choose\n"
	"	lock incl 0x40000000\n"
	"	inc %ebp\n"
	"	mov $0x40000000, %eax\n"
	"	out %eax, $0x13\n"
	"	imul $1664525, %esi, %esi\n"
	"	add $1013904223, %esi\n"
	"	mov %esi, %edi\n"
	"	shr $16, %edi\n"
	"	mov %edi, %edx\n"
	"	and $0xff, %edi\n"
	"	shl $2, %edi\n"
	"	add %ebx, %edi\n"
	"	jz 1b\n" /* page 0 */
	"	shl $12, %edi\n"
	"	add $0x40000000, %edi\n"
	"	and $0x3ff, %edx\n"
	"	shl $12, %edx\n"
	"	add $0x40000000, %edx\n"
	".endm\n"
	".macro common\n" /* page 0 to the one or the other */
	"	mov $0x40000000, %eax\n"
	"	test $0x1000000, %esi\n"
	"	jz 3f\n"
	"	out %eax, $0x10\n"
	"	jmp 1b\n"
	"3:	out %eax, $0x11\n"
	"	jmp 1b\n"
	"9:	out %eax, $0x14\n"
	"	hlt\n"
	".endm\n"
	".code32\n"
	".globl stress_of_vm, stress_in_place, stress_end\n"
	"stress_of_vm:\n"
	"1:	choose\n"
	"	ask 0x10\n"
	"	ask 0x12\n"
	"	check $0, 1\n"
	"	lea 0x80000000(%ebp), %eax\n"
	"	mov %eax, (%edi)\n"
	"	ask 0x11\n"
	"	mov %ebp, (%edi)\n"
	"	check %ebp, 2\n"
	"	ask 0x10\n"
	"	lea 0x80000000(%ebp), %eax\n"
	"	mov $3, %ecx\n"
	"	cmp %eax, (%edi)\n"
	"	jne 9f\n"
	"	ask 0x12\n"
	"	check $0, 4\n"
	"	ask 0x11\n"
	"	check %ebp, 5\n"
	"	common\n"
	"stress_in_place:\n"
	"1:	choose\n"
	"	ask 0x12\n"
	"	check $0, 1\n"
	"	mov %ebp, (%edi)\n"
	"	ask 0x10\n"
	"	check %ebp, 2\n"
	"	incl (%edi)\n"
	"	ask 0x11\n"
	"	decl (%edi)\n"
	"	check %ebp, 3\n"
	"	ask 0x10\n"
	"	check %ebp, 4\n"
	"	ask 0x12\n"
	"	check $0, 5\n"
	"	ask 0x11\n"
	"	check $0, 6\n"
	"	common\n"
	"stress_end:\n"
	".code64\n"
	".text\n");
extern const char stress_of_vm[], stress_in_place[], stress_end[];

struct stress;
struct stress_vcpu {
	struct stress *s;
	unsigned number;
	int fd;
	struct kvm_run *run;
	uint32_t increments;
	long conversions, holes, spared, leaked;
	bool failed;
	char why[160];
};

struct stress {
	int kvm, vm, file;
	bool in_place;
	char *ram, *shared; /* shared: memory of the VM, or the file's view */
	struct stress_vcpu vcpu[STRESS_VCPUS];
};

static _Atomic bool stress_stop;

static double stress_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static bool stress_convert(const struct stress *s, uint32_t gpa, bool private)
{
	const uint64_t value = private ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0;
	struct kvm_memory_attributes of_vm = { .address = gpa, .size = STRESS_PAGE, .attributes = value };
	struct kvm_memory_attributes2 of_file = { .offset = gpa - STRESS_GPA, .size = STRESS_PAGE, .attributes = value };

	if (s->in_place)
		return stress_ioctl(s->file, KVM_SET_MEMORY_ATTRIBUTES2, &of_file) == 0;
	return stress_ioctl(s->vm, KVM_SET_MEMORY_ATTRIBUTES, &of_vm) == 0;
}

/* In place: the host's own touch of a page that nobody else converts. */
static void stress_touch(struct stress_vcpu *v, uint32_t gpa, bool private)
{
	int signo;

	if (!v->s->in_place || gpa == STRESS_GPA)
		return;
	signo = stress_load(v->s->shared + (gpa - STRESS_GPA));
	v->leaked += private && signo != SIGBUS;
	v->spared += !private && signo != 0;
}

static void stress_fail(struct stress_vcpu *v, const char *what)
{
	struct kvm_regs r = { 0 };

	stress_ioctl(v->fd, KVM_GET_REGS, &r);
	v->failed = true;
	snprintf(v->why, sizeof(v->why), "%s: exit %u, eax %#llx, step %llu, page %#llx, ebp %#llx", what,
		 v->run->exit_reason, (unsigned long long)r.rax, (unsigned long long)r.rcx, (unsigned long long)r.rdi,
		 (unsigned long long)r.rbp);
}

/* False when it is over. */
static bool stress_serve(struct stress_vcpu *v)
{
	uint32_t gpa;
	uint16_t port;

	if (v->run->exit_reason != KVM_EXIT_IO) {
		stress_fail(v, "unexpected exit");
		return false;
	}
	port = v->run->io.port;
	memcpy(&gpa, (char *)v->run + v->run->io.data_offset, sizeof(gpa));
	switch (port) {
	case PORT_PRIVATE:
	case PORT_SHARED:
		v->conversions++;
		if (!stress_convert(v->s, gpa, port == PORT_PRIVATE)) {
			stress_fail(v, "conversion");
			return false;
		}
		stress_touch(v, gpa, port == PORT_PRIVATE);
		return true;
	case PORT_PUNCH:
		v->holes++;
		if (stress_punch(v->s->file, gpa - STRESS_GPA, STRESS_PAGE)) {
			stress_fail(v, "hole");
			return false;
		}
		return true;
	case PORT_TICK:
		return !stress_stop;
	default:
		stress_fail(v, "contents");
		return false;
	}
}

static void *stress_thread(void *arg)
{
	struct stress_vcpu *v = arg;
	struct kvm_regs r = { 0 };

	do {
		if (stress_ioctl(v->fd, KVM_RUN, NULL)) {
			stress_fail(v, "KVM_RUN");
			break;
		}
	} while (stress_serve(v));
	stress_ioctl(v->fd, KVM_GET_REGS, &r);
	v->increments = (uint32_t)r.rbp;
	return NULL;
}

static void *stress_memory(size_t size)
{
	return mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static int stress_slot(const struct stress *s, uint32_t slot, uint64_t gpa, uint64_t size, void *memory, int file)
{
	struct kvm_userspace_memory_region2 region = { .slot = slot, .flags = file >= 0 ? KVM_MEM_GUEST_MEMFD : 0,
						       .guest_phys_addr = gpa, .memory_size = size,
						       .userspace_addr = (uintptr_t)memory,
						       .guest_memfd = file >= 0 ? (uint32_t)file : 0 };

	return (int)stress_ioctl(s->vm, KVM_SET_USER_MEMORY_REGION2, &region);
}

static struct kvm_segment stress_segment(uint8_t type, uint16_t selector)
{
	return (struct kvm_segment){ .limit = 0xffffffff, .selector = selector, .type = type, .present = 1, .s = 1,
				     .db = 1, .g = 1 };
}

static bool stress_vcpu(struct stress *s, unsigned number, size_t run_size)
{
	struct stress_vcpu *v = &s->vcpu[number];
	const char *code = s->in_place ? stress_in_place : stress_of_vm;
	struct kvm_regs r = { .rip = STRESS_CODE + (uint64_t)(code - stress_of_vm), .rflags = 2, .rbx = number,
			      .rsi = number * 77 + 5 };
	struct kvm_sregs sregs;

	*v = (struct stress_vcpu){ .s = s, .number = number };
	v->fd = (int)stress_ioctl(s->vm, KVM_CREATE_VCPU, (void *)(uintptr_t)number);
	if (v->fd < 0)
		return false;
	v->run = mmap(NULL, run_size, PROT_READ | PROT_WRITE, MAP_SHARED, v->fd, 0);
	if (v->run == MAP_FAILED || stress_ioctl(v->fd, KVM_GET_SREGS, &sregs))
		return false;
	sregs.cr0 |= 1;
	sregs.cs = stress_segment(11, 8);
	sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = stress_segment(3, 16);
	return !stress_ioctl(v->fd, KVM_SET_SREGS, &sregs) && !stress_ioctl(v->fd, KVM_SET_REGS, &r);
}

static bool stress_setup(struct stress *s, int kvm, bool in_place)
{
	const uint64_t flags = in_place ? GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED : 0;
	struct kvm_create_guest_memfd file = { .size = STRESS_SIZE, .flags = flags };
	const long run_size = stress_ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, NULL);

	*s = (struct stress){ .kvm = kvm, .in_place = in_place };
	s->vm = (int)stress_ioctl(kvm, KVM_CREATE_VM, (void *)(uintptr_t)KVM_X86_SW_PROTECTED_VM);
	if (s->vm < 0 || run_size <= 0)
		return false;
	s->file = (int)stress_ioctl(s->vm, KVM_CREATE_GUEST_MEMFD, &file);
	s->ram = stress_memory(4 * STRESS_PAGE);
	s->shared = in_place ? stress_map(s->file, STRESS_SIZE) : stress_memory(STRESS_SIZE);
	if (s->file < 0 || s->ram == MAP_FAILED || s->shared == MAP_FAILED)
		return false;
	memcpy(s->ram + STRESS_CODE, stress_of_vm, (size_t)(stress_end - stress_of_vm));
	if (stress_slot(s, 0, 0, 4 * STRESS_PAGE, s->ram, -1) ||
	    stress_slot(s, 1, STRESS_GPA, STRESS_SIZE, s->shared, s->file))
		return false;
	for (unsigned i = 0; i < STRESS_VCPUS; i++)
		if (!stress_vcpu(s, i, (size_t)run_size))
			return false;
	return true;
}

/* A slot that no guest uses, again and again. */
static void stress_main(const struct stress *s, double seconds)
{
	const double end = stress_now() + seconds;
	void *memory = stress_memory(STRESS_PAGE);

	while (stress_now() < end) {
		stress_slot(s, 2, 0x80000000UL, STRESS_PAGE, memory, -1);
		usleep(500);
		stress_slot(s, 2, 0x80000000UL, 0, memory, -1);
		usleep(500);
	}
	munmap(memory, STRESS_PAGE);
}

/* What page 0 has counted: in place one content, else two. */
static uint32_t stress_counted(const struct stress *s, bool private)
{
	uint32_t eax;
	static const unsigned char code[] = { 0xa1, 0, 0, 0, 0x40, 0xe7, PORT_TICK }; /* mov 0x40000000, %eax; out */
	struct kvm_regs r = { .rip = STRESS_CODE, .rflags = 2 };
	const struct stress_vcpu *v = &s->vcpu[0];

	stress_convert(s, STRESS_GPA, private);
	memcpy(s->ram + STRESS_CODE, code, sizeof(code));
	stress_ioctl(v->fd, KVM_SET_REGS, &r);
	stress_ioctl(v->fd, KVM_RUN, NULL); /* at most the last exit's completion */
	memcpy(&eax, (char *)v->run + v->run->io.data_offset, sizeof(eax));
	return eax;
}

static void stress(int kvm, bool in_place, const char *name, double seconds)
{
	static struct stress s;
	pthread_t threads[STRESS_VCPUS];
	long conversions = 0, holes = 0, leaked = 0, spared = 0, failed = 0;
	uint32_t increments = 0, counted;

	stress_stop = false;
	if (!stress_setup(&s, kvm, in_place)) {
		ok(0, "%s: the machine", name);
		return;
	}
	for (unsigned i = 0; i < STRESS_VCPUS; i++)
		if (pthread_create(&threads[i], NULL, stress_thread, &s.vcpu[i]))
			abort();
	stress_main(&s, seconds);
	stress_stop = true;
	for (unsigned i = 0; i < STRESS_VCPUS; i++) {
		const struct stress_vcpu *v = &s.vcpu[i];

		pthread_join(threads[i], NULL);
		conversions += v->conversions;
		holes += v->holes;
		leaked += v->leaked;
		spared += v->spared;
		failed += v->failed;
		increments += v->increments;
		if (v->failed)
			diag("vCPU %u: %s", i, v->why);
	}
	counted = stress_counted(&s, true);
	if (!in_place)
		counted += stress_counted(&s, false);
	diag("%s: %ld conversions, %ld holes, %u increments", name, conversions, holes, increments);
	is(failed, 0, "%s: every guest found what had to be there (INV-3)", name);
	ok(conversions > 100, "%s: there were conversions", name);
	is(counted, increments, "%s: no increment was lost", name);
	if (in_place) {
		is(leaked, 0, "%s: no private page could be touched (INV-1)", name);
		is(spared, 0, "%s: every shared page could", name);
	}
	munmap(s.shared, STRESS_SIZE);
	for (unsigned i = 0; i < STRESS_VCPUS; i++)
		close(s.vcpu[i].fd);
	close(s.file);
	close(s.vm);
}

static double stress_seconds(int argc, char **argv, double seconds)
{
	return argc == 3 && !strcmp(argv[1], "--seconds") ? atof(argv[2]) : seconds;
}

#endif
