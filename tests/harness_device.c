// SPDX-License-Identifier: MIT
/*
 * tests/harness_device.c - an emulated /dev/kvm as a stream of operations: ioctls with anything in them, guests with any code
 *
 * Two bytes choose the profile, the engine and the machine; then each operation is a byte and its arguments:
 *
 *	fill, patch	the argument of ioctls, which stays: what one reads another can write back, changed
 *	call		an ioctl of device/ioctl.def on an object of its kind, or of another
 *	raw		any number on any object
 *	run		KVM_RUN, for some milliseconds, from where the vCPU is or from the start of its code
 *	poke		bytes of the guest's memory, or of the pages that a vCPU shares with the program
 *	host		mmap and the like, touches, holes, pins, memory errors
 *	close		a descriptor
 *
 * What must hold, beside the silence of sanitizers:
 *
 *  1. what the program sets, by ioctl or in kvm_run, never harms its process;
 *  2. whatever it has set, a vCPU's state can be read, and KVM_RUN answers by an exit that there is or an error;
 *  3. the audit of all views finds what the states of the pages say;
 *  4. with its descriptors all is gone.
 */
#include <linux/falloc.h>

#define HARNESS "device"
#include "tests/harness_device_world.h"

static const struct row {
	enum dev_kind kind;
	u32 cmd;
} rows[] = {
#define IOCTL(kind, name, copy, gate, real, handler) { DEV_##kind, name },
#include "device/ioctl.def"
#undef IOCTL
};

/* --- what an argument may say ---------------------------------------------------------------- */

/* Addresses of this process that KVM will use: within the reservation, or where nobody has anything. */
static u64 tame_address(u64 value)
{
	return value < 0x10000 || value > 0x7ffffffff000 ? value : (u64)(uintptr_t)region + value % (2 * VIEWS);
}

/* A size is small, or too large to be had: what is between takes memory or time, and rightly so. */
static u64 tame_size(u64 value)
{
	return value < 1ULL << 44 ? value % SLOT_BYTES : value;
}

static u32 tame_fd(u32 value, const int *fds, unsigned count)
{
	return value < 64 ? (u32)fds[value % count] : value;
}

static void tame_argument(u32 cmd)
{
	struct kvm_userspace_memory_region2 *slot = (void *)arg;
	struct kvm_create_guest_memfd *file = (void *)arg;
	struct kvm_memory_attributes *attributes = (void *)arg;
	struct kvm_pre_fault_memory *range = (void *)arg;
	struct kvm_irqfd *irqfd = (void *)arg;

	switch (cmd) {
	case KVM_SET_USER_MEMORY_REGION2:
		slot->guest_memfd = tame_fd(slot->guest_memfd, world.fd[DEV_GMEM], NR_EACH);
		/* fall through */
	case KVM_SET_USER_MEMORY_REGION:
		slot->userspace_addr = tame_address(slot->userspace_addr);
		slot->memory_size = tame_size(slot->memory_size);
		break;
	case KVM_CREATE_GUEST_MEMFD:
		file->size = tame_size(file->size);
		break;
	case KVM_SET_MEMORY_ATTRIBUTES:
		attributes->size = attributes->size >> 62 ? attributes->size : attributes->size % SLOT_BYTES;
		break;
	case KVM_PRE_FAULT_MEMORY:
		range->size %= SLOT_BYTES;
		break;
	case KVM_GET_DIRTY_LOG:
		((struct kvm_dirty_log *)arg)->padding2 = (u64)(uintptr_t)arg + PG;
		break;
	case KVM_CLEAR_DIRTY_LOG:
		((struct kvm_clear_dirty_log *)arg)->padding2 = (u64)(uintptr_t)arg + PG;
		break;
	case KVM_SET_DEVICE_ATTR:
	case KVM_GET_DEVICE_ATTR:
	case KVM_HAS_DEVICE_ATTR:
		((struct kvm_device_attr *)arg)->addr = (u64)(uintptr_t)arg + PG;
		break;
	case KVM_X86_SET_MSR_FILTER:
		for (unsigned i = 0; i < KVM_MSR_FILTER_MAX_RANGES; i++)
			((struct kvm_msr_filter *)arg)->ranges[i].bitmap = (u64)(uintptr_t)arg + PG;
		break;
	case KVM_IRQFD:
		irqfd->fd = tame_fd(irqfd->fd, world.event, 2);
		irqfd->resamplefd = tame_fd(irqfd->resamplefd, world.event, 2);
		break;
	case KVM_IOEVENTFD:
		((struct kvm_ioeventfd *)arg)->fd = (s32)tame_fd((u32)((struct kvm_ioeventfd *)arg)->fd, world.event, 2);
		break;
	}
}

/* Where the argument lies, or a value that is no address of anything. */
static u64 argument_of(struct input *in, unsigned how)
{
	static const u64 odd[] = { 0, 8, ~0ULL, 1ULL << 63, 0x7ffffffff000, 0x800000000000 };
	u64 value = how ? input_take(in, 2) : 0;

	switch (how & 3) {
	case 0: return (u64)(uintptr_t)arg;
	case 1: return (u64)(uintptr_t)arg + ARG_BYTES - value % 512;
	case 2: return value;
	default: return odd[value % RT_ARRAY_SIZE(odd)];
	}
}

/* --- operations --------------------------------------------------------------------------------- */

static bool makes(u32 cmd, enum dev_kind *kind)
{
	*kind = cmd == KVM_CREATE_VM	      ? DEV_VM
		: cmd == KVM_CREATE_VCPU      ? DEV_VCPU
		: cmd == KVM_CREATE_GUEST_MEMFD ? DEV_GMEM
						: DEV_NONE;
	return *kind != DEV_NONE;
}

static void call(int fd, u32 cmd, u64 value)
{
	struct core_err err;
	enum dev_kind made;
	long ret;

	if (fd < 0 || cmd == KVM_RUN || (makes(cmd, &made) && !has_room(made)) ||
	    (cmd == KVM_GET_STATS_FD && world.next_stats == NR_EACH))
		return;
	tame_argument(cmd);
	ret = device_request(fd, cmd, value, &err);
	HOLDS(ret >= 0 || ret > -4096);
	HOLDS(ret < 0 || err.rule == RULE_NONE);
	if (ret < 0)
		return;
	if (makes(cmd, &made))
		keep_fd(made, (int)ret);
	else if (cmd == KVM_GET_STATS_FD)
		world.stats[world.next_stats++] = (int)ret;
}

/* The vCPU's whole state can be read, and segments and registers are what can be set again. */
static void read_state(int vcpu)
{
	static const u32 get[] = { KVM_GET_REGS, KVM_GET_SREGS, KVM_GET_SREGS2, KVM_GET_FPU, KVM_GET_XSAVE, KVM_GET_XCRS,
				   KVM_GET_DEBUGREGS, KVM_GET_MP_STATE, KVM_GET_VCPU_EVENTS };
	static u8 state[PG];

	for (size_t i = 0; i < RT_ARRAY_SIZE(get); i++)
		HOLDS(device_call(vcpu, get[i], state) == 0);
}

static void run(unsigned n)
{
	const int vcpu = world.fd[DEV_VCPU][n];
	long ret;

	if (vcpu < 0 || world.runs++ >= RUNS)
		return;
	stopwatch_set(2000000);
	ret = device_call(vcpu, KVM_RUN, NULL);
	stopwatch_set(0);
	HOLDS(ret <= 0 && ret > -4096);
	HOLDS(ret < 0 || world.run[n]->exit_reason <= KVM_EXIT_MEMORY_FAULT);
	read_state(vcpu);
}

static void take_bytes(struct input *in, u8 *to, size_t room, unsigned count)
{
	for (size_t i = 0; i < count && i < room && in->p < in->end; i++)
		to[i] = *in->p++;
}

static void host_call(struct input *in, unsigned n)
{
	const unsigned what = (unsigned)input_take(in, 1), window = what >> 4 & 3;
	char *at = region + VIEWS + window * VIEW_BYTES + input_take(in, 1) % 64 * PG;
	const u64 size = (1 + input_take(in, 1) % 16) * PG, offset = input_take(in, 2) % 300 * PG;
	struct dev_object *obj = world.fd[DEV_GMEM][n] < 0 ? NULL : device_object(world.fd[DEV_GMEM][n]);
	struct core_err err = { .rule = RULE_NONE };

	if (!obj)
		return;
	switch (what & 15) {
	case 0:
	case 1:
		dev_gmem_mmap(dev_to_gmem(obj), at, size, what & 64 ? PROT_READ : PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
			      (s64)offset, &err);
		break;
	case 2: reserve_again(at, size); break;
	case 3: host_mprotect(at, size, offset >> 12 & 3, -1); break;
	case 4:
		/* Not the two that take the host's memory out of service. */
		if (offset >> 12 != MADV_HWPOISON && offset >> 12 != 101 /* MADV_SOFT_OFFLINE */)
			dev_madvise(at, size, (int)(offset >> 12), &err);
		break;
	case 5: touch(at, what & 64); break;
	case 6: dev_gmem_fallocate(dev_to_gmem(obj), FALLOC_FL_KEEP_SIZE, (s64)offset, (s64)size, &err); break;
	case 7:
		dev_gmem_fallocate(dev_to_gmem(obj), FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, (s64)offset, (s64)size, &err);
		break;
	case 8: dev_gmem_pin(dev_to_gmem(obj), offset, what & 64); break;
	case 9: dev_gmem_poison(dev_to_gmem(obj), offset, what & 64); break;
	case 10:
		if (host_mremap(at, size, size, MREMAP_MAYMOVE | MREMAP_FIXED,
				region + VIEWS + offset % (NR_VIEWS * VIEW_BYTES / 2)) >= 0)
			reserve_again(at, size);
		break;
	default: audit();
	}
	dev_put(obj);
}

static void close_one(enum dev_kind kind, unsigned n)
{
	int *fd = fd_place(kind, n);

	if (kind == DEV_SYSTEM || *fd < 0)
		return;
	close(*fd);
	*fd = -1;
	dev_reap();
}

static void step(struct input *in)
{
	const unsigned op = (unsigned)input_take(in, 1), n = op >> 3 & 3;
	enum dev_kind kind;
	const struct row *row;
	unsigned at;
	u64 value;

	switch (op & 7) {
	case 0:
		if (op & 0x80)
			memset(arg, 0, ARG_BYTES);
		take_bytes(in, arg, ARG_BYTES, (unsigned)input_take(in, 1));
		break;
	case 1:
		at = (unsigned)input_take(in, op & 0x80 ? 2 : 1) * 4 % (ARG_BYTES - 8);
		value = input_take(in, 1U << n);
		memcpy(arg + at, &value, 1U << n);
		break;
	case 2:
	case 3:
		row = &rows[input_take(in, 1) % RT_ARRAY_SIZE(rows)];
		kind = op & 0x80 ? (enum dev_kind)(1 + input_take(in, 1) % (DEV_KINDS - 1)) : row->kind;
		if (kind == DEV_VCPU)
			need_vcpu();
		value = argument_of(in, op >> 5 & 3);
		call(*fd_place(kind, n), row->cmd, value);
		break;
	case 4:
		need_vcpu();
		if (op & 0x80 && world.fd[DEV_VCPU][n] >= 0)
			set_mode(world.fd[DEV_VCPU][n], op & 0x40 ? world.mode : op >> 5 & 1 ? 2 : 1);
		run(n);
		break;
	case 5:
		at = (unsigned)input_take(in, 2);
		if (!(op & 0x80))
			take_bytes(in, (u8 *)region + at % (RAM_PAGES * PG - 256), 256, (unsigned)input_take(in, 1));
		else if (world.run[n])
			take_bytes(in, (u8 *)world.run[n] + at % (DEV_VCPU_PAGES * PG - 256), 256, (unsigned)input_take(in, 1));
		break;
	case 6:
		if (op & 0x80)
			close_one((enum dev_kind)(1 + (op >> 5 & 3)), n);
		else
			host_call(in, n);
		break;
	default:
		kind = (enum dev_kind)(1 + (op >> 5 & 3));
		at = (unsigned)input_take(in, 4);
		call(*fd_place(kind, n), at, argument_of(in, op >> 7 ? 3 : 0));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, data + size };
	static bool ready;

	if (!ready)
		world_init();
	ready = true;
	world_begin(&in);
	for (unsigned n = 0; n < 200 && in.p < in.end; n++)
		step(&in);
	world_end();
	return 0;
}
