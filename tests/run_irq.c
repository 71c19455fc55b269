// SPDX-License-Identifier: MIT
/*
 * tests/run_irq.c - interrupts of a guest: timers, lines, messages, eventfds, start of a second CPU
 *
 * An ordinary KVM program: what it asserts holds on a real kernel, too.
 */
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <time.h>

#include "tests/run_kvm.h"
#include "tests/tap.h"
#include "uapi/kvm_irq.h"

#define RAM_SIZE 0x100000UL
#define CODE	 0x1000UL
#define GDT	 0x800UL
#define IDT	 0x2000UL
#define COUNT	 0x4000UL /* interrupts seen */
#define AP_CODE	 0x9000UL
#define VECTOR	 0x40
#define PIC_BASE 0x30

/* The guest: 32-bit, flat, no paging; linked at CODE.  EBX says how many interrupts to wait for. */
extern const char guest_start[], guest_end[], guest_apic[], guest_spin[], guest_halt[], guest_out[], guest_deadline[],
	guest_init[], handler_apic[], handler_pic[], ap_start[], ap_end[];
__asm__(".section .rodata\n"
	".code32\n"
	"guest_start:\n"
	/* Local APIC timer: EDI to LVTT, ESI to the initial count. */
	"guest_apic:\n"
	"	movl $0x1ff, 0xfee000f0\n"
	"	movl $0xb, 0xfee003e0\n"
	"	movl %edi, 0xfee00320\n"
	"	movl %esi, 0xfee00380\n"
	"guest_halt:\n"
	"	sti\n"
	"	hlt\n"
	"	cli\n"
	"	cmpl %ebx, 0x4000\n"
	"	jb guest_halt\n"
	"	out %al, $0x10\n"
	"guest_spin:\n"
	"	sti\n"
	"	nop\n"
	"	cli\n"
	"	cmpl %ebx, 0x4000\n"
	"	jb guest_spin\n"
	"	out %al, $0x10\n"
	/* A write that may or may not be somebody's. */
	"guest_out:\n"
	"	mov $7, %eax\n"
	"	out %eax, $0x70\n"
	"	mov %eax, 0xd0000000\n"
	"	out %al, $0x10\n"
	"guest_deadline:\n"
	"	movl $0x1ff, 0xfee000f0\n"
	"	movl $0x40040, 0xfee00320\n"
	"	rdtsc\n"
	"	add $2000000, %eax\n"
	"	adc $0, %edx\n"
	"	mov $0x6e0, %ecx\n"
	"	wrmsr\n"
	"	jmp guest_halt\n"
	/* INIT and start-up of APIC id 1 at AP_CODE, then wait for what it writes. */
	"guest_init:\n"
	"	movl $0x1ff, 0xfee000f0\n"
	"	movl $0x01000000, 0xfee00310\n"
	"	movl $0x4500, 0xfee00300\n"
	"	movl $0x4609, 0xfee00300\n"
	"	jmp guest_spin\n"
	"handler_apic:\n"
	"	incl 0x4000\n"
	"	movl $0, 0xfee000b0\n"
	"	iret\n"
	"handler_pic:\n"
	"	incl 0x4000\n"
	"	push %eax\n"
	"	mov $0x20, %al\n"
	"	out %al, $0x20\n"
	"	pop %eax\n"
	"	iret\n"
	"guest_end:\n"
	".code16\n"
	"ap_start:\n"
	"	xor %ax, %ax\n"
	"	mov %ax, %ds\n"
	"	incw 0x4000\n"
	"1:	cli\n"
	"	hlt\n"
	"	jmp 1b\n"
	"ap_end:\n"
	".code64\n"
	".previous\n");

struct guest {
	int kvm, vm, vcpu;
	struct kvm_run *run;
	char *ram;
};

static volatile uint32_t *count_of(struct guest *g)
{
	return (volatile uint32_t *)(void *)(g->ram + COUNT);
}

static uint64_t address_of(const char *label)
{
	return CODE + (uint64_t)(label - guest_start);
}

static void set_gate(struct guest *g, unsigned vector, const char *handler)
{
	uint32_t *gate = (uint32_t *)(void *)(g->ram + IDT + 8 * vector);
	uint32_t at = (uint32_t)address_of(handler);

	gate[0] = 8 << 16 | (at & 0xffff);
	gate[1] = (at & 0xffff0000) | 0x8e00;
}

static struct kvm_segment flat(unsigned type, unsigned selector)
{
	return (struct kvm_segment){ .limit = 0xffffffff, .selector = selector, .type = type, .present = 1, .s = 1,
				     .db = 1, .g = 1 };
}

static void set_mode(struct guest *g)
{
	static const uint64_t gdt[] = { 0, 0x00cf9b000000ffff, 0x00cf93000000ffff };
	struct kvm_sregs s;

	memcpy(g->ram + GDT, gdt, sizeof(gdt));
	if (ioctl(g->vcpu, KVM_GET_SREGS, &s))
		die("KVM_GET_SREGS");
	s.cr0 |= 1;
	s.cs = flat(11, 8);
	s.ds = s.es = s.fs = s.gs = s.ss = flat(3, 16);
	s.gdt = (struct kvm_dtable){ .base = GDT, .limit = sizeof(gdt) - 1 };
	s.idt = (struct kvm_dtable){ .base = IDT, .limit = 256 * 8 - 1 };
	if (ioctl(g->vcpu, KVM_SET_SREGS, &s))
		die("KVM_SET_SREGS");
}

static struct kvm_run *map_run(int vcpu)
{
	struct kvm_run *run = mmap(NULL, 3 * PG, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);

	if (run == MAP_FAILED)
		die("mmap of a vCPU");
	return run;
}

static struct guest guest_make(bool with_pit, bool split)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_SPLIT_IRQCHIP, .args = { 24 } };
	struct kvm_pit_config pit = { .flags = KVM_PIT_SPEAKER_DUMMY };
	struct guest g = { .kvm = kvm_open() };
	static struct {
		struct kvm_cpuid2 head;
		struct kvm_cpuid_entry2 entries[200];
	} cpuid;

	g.vm = vm_new(g.kvm, 0);
	if (split ? ioctl(g.vm, KVM_ENABLE_CAP, &cap) : ioctl(g.vm, KVM_CREATE_IRQCHIP, 0))
		die("an interrupt controller");
	if (with_pit && ioctl(g.vm, KVM_CREATE_PIT2, &pit))
		die("KVM_CREATE_PIT2");
	g.ram = map_anon(RAM_SIZE);
	if (set_region1(g.vm, 0, 0, 0, RAM_SIZE, (uintptr_t)g.ram))
		die("slot 0");
	g.vcpu = ioctl(g.vm, KVM_CREATE_VCPU, 0);
	if (g.vcpu < 0)
		die("KVM_CREATE_VCPU");
	cpuid.head.nent = 200;
	if (ioctl(g.kvm, KVM_GET_SUPPORTED_CPUID, &cpuid) || ioctl(g.vcpu, KVM_SET_CPUID2, &cpuid))
		die("CPUID");
	g.run = map_run(g.vcpu);
	memcpy(g.ram + CODE, guest_start, (size_t)(guest_end - guest_start));
	memcpy(g.ram + AP_CODE, ap_start, (size_t)(ap_end - ap_start));
	set_gate(&g, VECTOR, handler_apic);
	for (unsigned i = 0; i < 8; i++)
		set_gate(&g, PIC_BASE + i, handler_pic);
	set_mode(&g);
	return g;
}

static struct guest guest_new(bool with_pit)
{
	return guest_make(with_pit, false);
}

static void guest_free(struct guest *g)
{
	munmap(g->run, 3 * PG);
	close(g->vcpu);
	close(g->vm);
	close(g->kvm);
	munmap(g->ram, RAM_SIZE);
}

/* From a label until the guest's OUT to port 0x10, or another exit. */
static bool run_from(struct guest *g, const char *label, uint32_t wanted, uint32_t lvtt, uint32_t initial)
{
	struct kvm_regs r = {
		.rip = address_of(label), .rsp = 0x8000, .rflags = 2, .rbx = wanted, .rdi = lvtt, .rsi = initial
	};

	*count_of(g) = 0;
	if (ioctl(g->vcpu, KVM_SET_REGS, &r))
		die("KVM_SET_REGS");
	if (ioctl(g->vcpu, KVM_RUN, 0))
		return false;
	return g->run->exit_reason == KVM_EXIT_IO && g->run->io.port == 0x10;
}

static double seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static double cpu_seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void test_apic_timer(void)
{
	struct guest g = guest_new(false);
	double t = seconds(), cpu = cpu_seconds();

	ok(run_from(&g, guest_apic, 50, 0x20000 | VECTOR, 4000000), "a periodic timer ends 50 halts");
	t = seconds() - t;
	/* Not earlier: later is what a busy machine makes of it. */
	ok(t > 0.19, "... one each 4 ms (%.3f s)", t);
	ok(cpu_seconds() - cpu < 0.1, "... and none busy (%.3f s)", cpu_seconds() - cpu);
	t = seconds();
	ok(run_from(&g, guest_halt, 20, 0, 0), "it goes on");
	ok(run_from(&g, guest_spin, 20, 0, 0), "... and interrupts a running guest");
	t = seconds() - t;
	ok(t > 0.15, "... each 4 ms (%.3f s)", t);
	ok(run_from(&g, guest_apic, 1, VECTOR, 20000000), "one shot");
	ok(run_from(&g, guest_deadline, 1, 0, 0), "TSC deadline");
	guest_free(&g);
}

/* What firmware does: the PIC's vectors, lines open or not. */
static void setup_pic(struct guest *g, unsigned masked)
{
	struct kvm_irqchip chip = { .chip_id = KVM_IRQCHIP_PIC_MASTER };

	if (ioctl(g->vm, KVM_GET_IRQCHIP, &chip))
		die("KVM_GET_IRQCHIP");
	chip.chip.pic.irq_base = PIC_BASE;
	chip.chip.pic.imr = (__u8)masked;
	is(ioctl(g->vm, KVM_SET_IRQCHIP, &chip), 0, "state of the PIC");
}

static void test_pit(void)
{
	struct guest g = guest_new(true);
	struct kvm_pit_state2 pit;
	double t;

	setup_pic(&g, 0);
	is(ioctl(g.vm, KVM_GET_PIT2, &pit), 0, "state of the timer");
	pit.channels[0].mode = 2;
	pit.channels[0].count = 5966; /* 5 ms */
	is(ioctl(g.vm, KVM_SET_PIT2, &pit), 0, "... set: 200 Hz");
	t = seconds();
	ok(run_from(&g, guest_halt, 40, 0, 0), "its ticks arrive through the PIC");
	t = seconds() - t;
	ok(t > 0.17 && t < 0.5, "... at 200 Hz (%.3f s)", t);
	guest_free(&g);
}

/* Ticks that fell due while the guest did not run come one after the other. */
static void test_pit_reinject(void)
{
	struct kvm_reinject_control control = { .pit_reinject = 1 };
	struct guest g = guest_new(true);
	struct kvm_pit_state2 pit;
	double t;

	is(ioctl(g.vm, KVM_CHECK_EXTENSION, KVM_CAP_REINJECT_CONTROL), 1, "KVM_CAP_REINJECT_CONTROL");
	is(ioctl(g.vm, KVM_REINJECT_CONTROL, &control), 0, "KVM_REINJECT_CONTROL");
	setup_pic(&g, 0);
	ioctl(g.vm, KVM_GET_PIT2, &pit);
	pit.channels[0].mode = 2;
	pit.channels[0].count = 5966; /* 5 ms */
	t = seconds();
	ioctl(g.vm, KVM_SET_PIT2, &pit);
	usleep(2000000);
	ok(run_from(&g, guest_spin, 400, 0, 0), "400 ticks of 5 ms, of which the guest slept through most");
	t = seconds() - t;
	ok(t < 3.5, "... are there in two seconds, not four (%.3f s)", t);
	guest_free(&g);
}

/* ---- from outside, while the guest is halted ---- */

struct later {
	struct guest *g;
	void (*act)(struct guest *g);
};

static void *act_later(void *arg)
{
	struct later *l = arg;

	for (int i = 0; i < 3; i++) {
		usleep(20000);
		l->act(l->g);
	}
	return NULL;
}

static bool run_while(struct guest *g, void (*act)(struct guest *g))
{
	struct later l = { g, act };
	pthread_t thread;
	bool ret;

	pthread_create(&thread, NULL, act_later, &l);
	/* The local APIC on, its timer off. */
	ret = run_from(g, guest_apic, 3, 0x10000, 0);
	pthread_join(thread, NULL);
	return ret;
}

static void pulse(struct guest *g)
{
	struct kvm_irq_level level = { .irq = 5, .level = 1 };

	ioctl(g->vm, KVM_IRQ_LINE, &level);
	level = (struct kvm_irq_level){ .irq = 5, .level = 0 };
	ioctl(g->vm, KVM_IRQ_LINE, &level);
}

static void message(struct guest *g)
{
	struct kvm_msi msi = { .address_lo = 0xfee00000, .data = VECTOR };

	ioctl(g->vm, KVM_SIGNAL_MSI, &msi);
}

static void set_ioapic(struct guest *g, unsigned pin, uint64_t entry)
{
	struct kvm_irqchip chip = { .chip_id = KVM_IRQCHIP_IOAPIC };

	if (ioctl(g->vm, KVM_GET_IRQCHIP, &chip))
		die("KVM_GET_IRQCHIP");
	chip.chip.ioapic.redirtbl[pin] = entry;
	if (ioctl(g->vm, KVM_SET_IRQCHIP, &chip))
		die("KVM_SET_IRQCHIP");
}

static void test_lines(void)
{
	struct guest g = guest_new(false);
	struct kvm_irq_level level = { .irq = 5, .level = 1 };

	setup_pic(&g, 0xff);
	set_ioapic(&g, 5, VECTOR);
	ok(run_while(&g, pulse), "edges of a line wake a halted CPU, through the I/O APIC");
	ok(run_while(&g, message), "messages do");
	is(ioctl(g.vm, KVM_IRQ_LINE_STATUS, &level), 0, "KVM_IRQ_LINE_STATUS");
	is(level.status, 1, "... one CPU took it");
	level = (struct kvm_irq_level){ .irq = 5, .level = 1 };
	ioctl(g.vm, KVM_IRQ_LINE_STATUS, &level);
	is(level.status, 0, "... the I/O APIC sees no second edge");
	set_ioapic(&g, 5, 0x10000);
	level = (struct kvm_irq_level){ .irq = 60, .level = 1 };
	ioctl(g.vm, KVM_IRQ_LINE_STATUS, &level);
	is(level.status, -1, "... and nobody has line 60");
	guest_free(&g);
}

static int kick_fd, resample_fd;

static void kick(struct guest *g)
{
	uint64_t one = 1;

	if (write(kick_fd, &one, sizeof(one)) != sizeof(one))
		die("eventfd");
}

static void test_irqfd(void)
{
	struct guest g = guest_new(false);
	struct {
		struct kvm_irq_routing head;
		struct kvm_irq_routing_entry entry[2];
	} routes = { .head = { .nr = 2 },
		     .entry = { { .gsi = 30, .type = KVM_IRQ_ROUTING_MSI, .u.msi = { 0xfee00000, 0, VECTOR, 0 } },
				{ .gsi = 10, .type = KVM_IRQ_ROUTING_IRQCHIP, .u.irqchip = { KVM_IRQCHIP_IOAPIC, 10 } } } };
	struct kvm_irqfd arg = { .gsi = 30 };
	uint64_t value;

	kick_fd = eventfd(0, EFD_CLOEXEC);
	resample_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	arg.fd = (uint32_t)kick_fd;
	is(ioctl(g.vm, KVM_SET_GSI_ROUTING, &routes), 0, "routes");
	is(ioctl(g.vm, KVM_IRQFD, &arg), 0, "an irqfd");
	ok(ioctl(g.vm, KVM_IRQFD, &arg) == -1 && errno == EBUSY, "an eventfd is one irqfd");
	ok(run_while(&g, kick), "a write to it wakes a halted CPU");
	arg.flags = KVM_IRQFD_FLAG_DEASSIGN;
	is(ioctl(g.vm, KVM_IRQFD, &arg), 0, "deassigned");
	arg = (struct kvm_irqfd){ .fd = (uint32_t)kick_fd, .gsi = 10, .flags = KVM_IRQFD_FLAG_RESAMPLE,
				  .resamplefd = (uint32_t)resample_fd };
	is(ioctl(g.vm, KVM_IRQFD, &arg), 0, "one with resampling");
	set_ioapic(&g, 10, 0x8000 | VECTOR);
	ok(run_while(&g, kick), "its level, which the end of the interrupt lowers");
	ok(read(resample_fd, &value, sizeof(value)) == sizeof(value) && value >= 2, "... and reports");
	arg = (struct kvm_irqfd){ .fd = (uint32_t)g.vm, .gsi = 10 };
	ok(ioctl(g.vm, KVM_IRQFD, &arg) == -1 && errno == EINVAL, "what is no eventfd");
	arg.fd = 9999;
	ok(ioctl(g.vm, KVM_IRQFD, &arg) == -1 && errno == EBADF, "... and no descriptor");
	close(kick_fd);
	close(resample_fd);
	guest_free(&g);
}

static void test_ioeventfd(void)
{
	struct guest g = guest_new(false);
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	struct kvm_ioeventfd arg = { .addr = 0x70, .len = 4, .fd = fd, .datamatch = 7,
				     .flags = KVM_IOEVENTFD_FLAG_PIO | KVM_IOEVENTFD_FLAG_DATAMATCH };
	struct kvm_ioeventfd mmio = { .addr = 0xd0000000, .fd = fd };
	uint64_t value = 0;

	ok(!run_from(&g, guest_out, 0, 0, 0) && g.run->exit_reason == KVM_EXIT_IO && g.run->io.port == 0x70,
	   "without an ioeventfd a write is an exit");
	is(ioctl(g.vm, KVM_IOEVENTFD, &arg), 0, "an ioeventfd of a port");
	is(ioctl(g.vm, KVM_IOEVENTFD, &mmio), 0, "and of an address, any length");
	ok(ioctl(g.vm, KVM_IOEVENTFD, &arg) == -1 && errno == EEXIST, "not twice");
	ok(run_from(&g, guest_out, 0, 0, 0), "writes are none any more");
	ok(read(fd, &value, sizeof(value)) == sizeof(value) && value == 2, "... but signals");
	arg.flags |= KVM_IOEVENTFD_FLAG_DEASSIGN;
	arg.datamatch = 8;
	ok(ioctl(g.vm, KVM_IOEVENTFD, &arg) == -1 && errno == ENOENT, "deassignment wants the same value");
	arg.datamatch = 7;
	is(ioctl(g.vm, KVM_IOEVENTFD, &arg), 0, "deassigned");
	ok(!run_from(&g, guest_out, 0, 0, 0) && g.run->io.port == 0x70, "an exit again");
	close(fd);
	guest_free(&g);
}

/* ---- a second CPU ---- */

static void *run_ap(void *arg)
{
	int fd = *(int *)arg;

	/* EAGAIN: it has just been started. */
	while (ioctl(fd, KVM_RUN, 0) == 0 || errno == EAGAIN)
		;
	return NULL;
}

static void on_signal(int sig)
{
}

static void test_startup(void)
{
	struct guest g = guest_new(false);
	struct kvm_mp_state mp = { 99 };
	int ap = ioctl(g.vm, KVM_CREATE_VCPU, 1);
	struct sigaction sa = { .sa_handler = on_signal };
	struct kvm_regs r;
	pthread_t thread;

	sigaction(SIGUSR1, &sa, NULL);
	is(ioctl(ap, KVM_GET_MP_STATE, &mp), 0, "a second vCPU");
	is(mp.mp_state, KVM_MP_STATE_UNINITIALIZED, "... waits to be started");
	mp.mp_state = KVM_MP_STATE_AP_RESET_HOLD;
	is(ioctl(ap, KVM_SET_MP_STATE, &mp), 0, "... can be held in reset");
	mp.mp_state = KVM_MP_STATE_AP_RESET_HOLD + 1;
	ok(ioctl(ap, KVM_SET_MP_STATE, &mp) == -1 && errno == EINVAL, "... is in no state that x86 has not");
	ioctl(ap, KVM_GET_MP_STATE, &mp);
	is(mp.mp_state, KVM_MP_STATE_AP_RESET_HOLD, "... and says so");
	mp.mp_state = KVM_MP_STATE_UNINITIALIZED;
	ioctl(ap, KVM_SET_MP_STATE, &mp);
	pthread_create(&thread, NULL, run_ap, &ap);
	ok(run_from(&g, guest_init, 1, 0, 0), "INIT and start-up IPIs: it runs its code");
	usleep(50000);
	pthread_kill(thread, SIGUSR1);
	pthread_join(thread, NULL);
	ioctl(ap, KVM_GET_MP_STATE, &mp);
	is(mp.mp_state, KVM_MP_STATE_HALTED, "... and halts");
	ioctl(ap, KVM_GET_REGS, &r);
	is(r.rip, 10, "... where it should");
	close(ap);
	guest_free(&g);
}

/* ---- refusals ---- */

static int error_of(int ret)
{
	return ret < 0 ? errno : 0;
}

static void test_refusals(void)
{
	int kvm = kvm_open(), vm = vm_new(kvm, 0), vcpu;
	struct kvm_enable_cap split = { .cap = KVM_CAP_SPLIT_IRQCHIP, .args = { 24 } };
	struct kvm_irq_level level = { .irq = 1, .level = 1 };
	struct kvm_pit_config pit = { .flags = 0 };
	struct kvm_irqchip chip = { .chip_id = 3 };
	struct kvm_irq_routing routing = { .nr = 4097 };
	struct kvm_lapic_state state;

	is(error_of(ioctl(vm, KVM_IRQ_LINE, &level)), ENXIO, "KVM_IRQ_LINE without a controller");
	is(error_of(ioctl(vm, KVM_CREATE_PIT2, &pit)), ENOENT, "KVM_CREATE_PIT2 likewise");
	is(error_of(ioctl(vm, KVM_GET_IRQCHIP, &chip)), ENXIO, "KVM_GET_IRQCHIP likewise");
	is(error_of(ioctl(vm, KVM_SET_GSI_ROUTING, &routing)), EINVAL, "KVM_SET_GSI_ROUTING likewise");
	vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
	is(error_of(ioctl(vcpu, KVM_GET_LAPIC, &state)), EINVAL, "KVM_GET_LAPIC likewise");
	is(error_of(ioctl(vm, KVM_CREATE_IRQCHIP, 0)), EINVAL, "too late for a controller");
	close(vcpu);
	close(vm);
	vm = vm_new(kvm, 0);
	is(error_of(ioctl(vm, KVM_ENABLE_CAP, &split)), 0, "a split controller");
	is(error_of(ioctl(vm, KVM_ENABLE_CAP, &split)), EEXIST, "... once");
	is(error_of(ioctl(vm, KVM_CREATE_IRQCHIP, 0)), EEXIST, "... and no other");
	is(error_of(ioctl(vm, KVM_GET_IRQCHIP, &chip)), ENXIO, "... has no I/O APIC");
	is(error_of(ioctl(vm, KVM_SET_GSI_ROUTING, &routing)), EINVAL, "too many routes");
	close(vm);
	vm = vm_new(kvm, 0);
	ioctl(vm, KVM_CREATE_IRQCHIP, 0);
	is(error_of(ioctl(vm, KVM_GET_IRQCHIP, &chip)), EINVAL, "no such chip");
	is(error_of(ioctl(vm, KVM_GET_PIT2, &chip)), ENXIO, "no timer");
	is(error_of(ioctl(vm, KVM_REINJECT_CONTROL, &chip)), ENXIO, "... whose ticks could come again");
	is(error_of(ioctl(vm, KVM_CREATE_PIT2, &pit)), 0, "a timer");
	is(error_of(ioctl(vm, KVM_CREATE_PIT2, &pit)), EEXIST, "... once");
	close(vm);
	close(kvm);
}

static int set_cycle(int vm, uint64_t ns)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_X86_APIC_BUS_CYCLES_NS, .args = { ns } };

	return error_of(ioctl(vm, KVM_ENABLE_CAP, &cap));
}

static void test_bus_cycle(void)
{
	int kvm = kvm_open(), vm = vm_new(kvm, 0), vcpu;

	is(ioctl(kvm, KVM_CHECK_EXTENSION, KVM_CAP_X86_APIC_BUS_CYCLES_NS), 1, "a bus cycle is 1 ns");
	is(set_cycle(vm, 0), EINVAL, "it cannot be 0");
	is(set_cycle(vm, 1ULL << 40), EINVAL, "nor so long that a count overflows");
	is(set_cycle(vm, 40), ENXIO, "nor set without an interrupt controller");
	ioctl(vm, KVM_CREATE_IRQCHIP, 0);
	is(set_cycle(vm, 40), 0, "with one it can");
	is(ioctl(vm, KVM_CHECK_EXTENSION, KVM_CAP_X86_APIC_BUS_CYCLES_NS), 40, "the VM says so");
	is(ioctl(kvm, KVM_CHECK_EXTENSION, KVM_CAP_X86_APIC_BUS_CYCLES_NS), 1, "for itself");
	vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
	is(set_cycle(vm, 10), EINVAL, "with a vCPU it is too late");
	close(vcpu);
	close(vm);
	close(kvm);
}

/* With a split controller the program is the PIC: its interrupt comes by LINT0. */
static void test_extint(void)
{
	struct kvm_interrupt irq = { .irq = VECTOR };
	struct guest full = guest_new(false), g = guest_make(false, true);
	struct kvm_lapic_state apic;

	is(error_of(ioctl(full.vcpu, KVM_INTERRUPT, &irq)), ENXIO, "KVM_INTERRUPT with a PIC in the kernel");
	guest_free(&full);
	ioctl(g.vcpu, KVM_GET_LAPIC, &apic);
	memcpy(apic.regs + 0x350, "\0\7\0", 4); /* LINT0: ExtINT, open */
	is(ioctl(g.vcpu, KVM_SET_LAPIC, &apic), 0, "LINT0 is open");
	is(ioctl(g.vcpu, KVM_INTERRUPT, &irq), 0, "with a split controller it is queued");
	is(error_of(ioctl(g.vcpu, KVM_INTERRUPT, &irq)), EEXIST, "... one");
	ok(run_from(&g, guest_halt, 1, 0, 0), "... and ends a halt");
	is(*count_of(&g), 1, "... once");
	g.run->request_interrupt_window = 1;
	ok(!run_from(&g, guest_spin, 1, 0, 0), "a window that is asked for");
	is(g.run->exit_reason, KVM_EXIT_IRQ_WINDOW_OPEN, "... opens");
	is(g.run->ready_for_interrupt_injection, 1, "... for an interrupt");
	is(*count_of(&g), 0, "that there is not yet");
	g.run->request_interrupt_window = 0;
	is(ioctl(g.vcpu, KVM_INTERRUPT, &irq), 0, "it comes");
	is(ioctl(g.vcpu, KVM_RUN, 0), 0, "the guest goes on");
	is(g.run->exit_reason, KVM_EXIT_IO, "... behind it");
	is(*count_of(&g), 1, "and has seen it");
	guest_free(&g);
}

int main(void)
{
	test_extint();
	test_bus_cycle();
	test_refusals();
	test_apic_timer();
	test_pit();
	test_pit_reinject();
	test_lines();
	test_irqfd();
	test_ioeventfd();
	test_startup();
	return done_testing();
}
