// SPDX-License-Identifier: MIT
/*
 * cli/advice.c - what to do about a refusal
 *
 * One sentence or two for whoever got the errno: usually a mistake that
 * programs make, and the way out.
 */
#include "cli/advice.h"

#include <stddef.h>
#include <string.h>

#define REGION2_ORDER "The checks run in a fixed order, and this one is reported even if a later one would fail as well."

static const struct {
	const char *rule, *text;
} advice[] = {
	/* system and descriptors */
	{ "owner",
	  "A VM belongs to the address space that created it: after fork() the child must make its own. "
	  "The guest_memfd itself works in the child." },
	{ "ioctl-dev",
	  "Ask KVM_CHECK_EXTENSION for the capability that comes with the request." },
	{ "ioctl-vm",
	  "Ask KVM_CHECK_EXTENSION on the VM's descriptor; or the request was meant for another kind of "
	  "descriptor, or its structure has another size than this kernel's." },
	{ "ioctl-gmem",
	  "A guest_memfd knows KVM_SET_MEMORY_ATTRIBUTES2 at most; slots and VM attributes are set on "
	  "the VM's descriptor." },
	{ "argument-read",
	  "The structure must be readable in full, also behind the fields that are used: "
	  "KVM_SET_USER_MEMORY_REGION2 reads 160 bytes." },
	{ "argument-write",
	  "The structure must be writable: the kernel reports back through it." },
	{ "argument-zero",
	  "Pass 0 as the argument." },
	{ "no-fd",
	  "Close descriptors, or raise RLIMIT_NOFILE." },
	{ "no-memory",
	  "Free memory, or raise the limit of the memory cgroup." },
	{ "cpuid-room",
	  "Pass a larger nent and call again." },

	/* VMs */
	{ "vm-type",
	  "Choose a type whose bit KVM_CAP_VM_TYPES has; gmem run --vm-types adds sev, snp, tdx." },
	{ "enable-cap-flags",
	  "Set flags to 0." },
	{ "enable-cap-unknown",
	  "Many capabilities need no enabling: they only tell what is there." },
	{ "enable-cap-hypercall",
	  "Pass the mask that KVM_CHECK_EXTENSION(KVM_CAP_EXIT_HYPERCALL) returned, or part of it." },
	{ "nr-mmu-pages",
	  "Ask for 64 pages or more." },
	{ "vcpu-id",
	  "Use ids below KVM_CAP_MAX_VCPU_ID." },
	{ "vcpu-count",
	  "A VM has at most KVM_CAP_MAX_VCPUS of them; closing a descriptor does not free its place." },
	{ "vcpu-exists",
	  "Keep a vCPU's descriptor and reuse it: its id is taken until the VM is gone." },
	{ "ioctl-vcpu",
	  "Check the number, and that the structure's size is that of the kernel's own headers." },
	{ "sregs-legal",
	  "Set EFER.LMA with CR0.PG and EFER.LME, CR4.PAE with them, and no bit that CPUID does not offer." },
	{ "xsave-header",
	  "Start from what KVM_GET_XSAVE returned." },
	{ "xcrs-legal",
	  "Take the bits from CPUID leaf 0xd that KVM_GET_SUPPORTED_CPUID returns." },
	{ "debugregs-legal",
	  "Start from what KVM_GET_DEBUGREGS returned." },
	{ "events-legal",
	  "Start from what KVM_GET_VCPU_EVENTS returned; enable capabilities before using their flags." },
	{ "mp-state",
	  "Without KVM_CREATE_IRQCHIP use KVM_MP_STATE_RUNNABLE only." },
	{ "interrupt-nr",
	  "Vectors are 0 to 255." },
	{ "interrupt-chip",
	  "With an interrupt controller in the VM raise its lines instead: KVM_IRQ_LINE, KVM_SIGNAL_MSI." },
	{ "interrupt-pending",
	  "Wait for KVM_EXIT_IRQ_WINDOW_OPEN, or ready_for_interrupt_injection, before the next one." },
	{ "debug-busy",
	  "Run the vCPU until the pending exception is delivered." },
	{ "signal-mask",
	  "Pass the kernel's 8-byte set, not the C library's sigset_t." },
	{ "cpuid-legal",
	  "Set CPUID before the first KVM_RUN." },
	{ "msr-room",
	  "Ask with nmsrs = 0 for the size, and handle MSRs in groups of less than 256." },
	{ "tsc-rate",
	  "Leave the rate alone, or pass what KVM_GET_TSC_KHZ returned." },
	{ "pre-fault-range",
	  "Align gpa and size to pages; the call ends when size has become 0." },
	{ "pre-fault-slot",
	  "Create the memslot first; a range is populated up to its end." },
	{ "clock-flags",
	  "Clear the flags that KVM_GET_CLOCK set, except KVM_CLOCK_REALTIME." },
	{ "tss-addr",
	  "Choose an address below 0xffffd000 outside of guest memory." },
	{ "before-vcpus",
	  "Do it before the first KVM_CREATE_VCPU." },
	{ "zone-kind",
	  "Set pio to 1 for ports, else to 0; uninitialised padding is the usual cause." },
	{ "zone-room",
	  "Join neighbouring zones." },
	{ "dirty-ring-size",
	  "Enable KVM_CAP_DIRTY_LOG_RING once, before the first vCPU, with a power of two of bytes." },
	{ "dirty-ring-max",
	  "Ask for at most what KVM_CHECK_EXTENSION(KVM_CAP_DIRTY_LOG_RING) returns." },
	{ "enable-cap-mask",
	  "Pass the mask that KVM_CHECK_EXTENSION returned, or part of it." },
	{ "irqchip-exists",
	  "Create the interrupt controller once." },
	{ "irqchip-protected",
	  "Use the split interrupt controller (KVM_CAP_SPLIT_IRQCHIP) for this VM type." },
	{ "dirty-log-id",
	  "Use a slot id below KVM_CAP_NR_MEMSLOTS in an address space that the VM has." },
	{ "dirty-log-ring",
	  "Read the vCPUs' dirty rings, or do not enable KVM_CAP_DIRTY_LOG_RING." },
	{ "dirty-clear-range",
	  "Clear in steps of 64 pages; only the last step may be shorter." },
	{ "dirty-log-none",
	  "Create the slot with KVM_MEM_LOG_DIRTY_PAGES; slots with KVM_MEM_GUEST_MEMFD cannot log." },

	/* memslots */
	{ "slot-v1-flags",
	  "KVM_MEM_GUEST_MEMFD needs KVM_SET_USER_MEMORY_REGION2 (capability KVM_CAP_USER_MEMORY2)." },
	{ "slot-id",
	  "Keep slot ids below KVM_CAP_NR_MEMSLOTS; the high 16 bits are the address space." },
	{ "slot-flags",
	  "Ask KVM_CAP_GUEST_MEMFD on the VM's descriptor, not on /dev/kvm: before 6.18 a VM without "
	  "private memory takes no guest_memfd slots. Drop LOG_DIRTY_PAGES and READONLY from them." },
	{ "slot-size-align",
	  "Round memory_size to pages of 4096 bytes. " REGION2_ORDER },
	{ "slot-gpa-align",
	  "Align guest_phys_addr to pages of 4096 bytes. " REGION2_ORDER },
	{ "slot-hva",
	  "userspace_addr is checked although the guest's memory comes from the file, and on deletion too: "
	  "pass a page aligned user address, or 0. " REGION2_ORDER },
	{ "slot-offset",
	  "Align guest_memfd_offset to pages; it is checked on deletion too when "
	  "KVM_MEM_GUEST_MEMFD is given." },
	{ "slot-space",
	  "Ask KVM_CAP_MULTI_ADDRESS_SPACE on the VM's descriptor: VMs with private memory have one only." },
	{ "slot-gpa-wrap",
	  "The range must not wrap around the end of guest physical addresses." },
	{ "slot-pages",
	  "Divide the range into several slots; they may bind parts of one file." },
	{ "slot-delete-none",
	  "memory_size 0 deletes: that slot does not exist, or was deleted before." },
	{ "slot-immutable",
	  "Delete the slot (memory_size 0) and create it anew: the contents stay in the file." },
	{ "slot-modify",
	  "Delete the slot and create it anew; only the address (a move) and LOG_DIRTY_PAGES can change." },
	{ "slot-gpa-overlap",
	  "Delete the slot that lies there first; it is found before the file is looked at." },
	{ "slot-memory",
	  "Free memory; a slot costs some bytes a page." },
	{ "bind-fd",
	  "Pass the descriptor that KVM_CREATE_GUEST_MEMFD returned, still open." },
	{ "bind-kind",
	  "Pass a guest_memfd: memfds and other files cannot be bound." },
	{ "bind-vm",
	  "A file can be bound to the VM that created it, to no other." },
	{ "bind-offset",
	  "Use offsets below 2^63." },
	{ "bind-size",
	  "Make the file as large as the end of the range: guest_memfd never grows." },
	{ "bind-conflict",
	  "A page of a file is bound once at a time: delete the other slot, or bind another range." },
	{ "bind-memory",
	  "Free memory, or raise the limit of the memory cgroup." },
	{ "slot-gpa-limit",
	  "Stay below the guest physical addresses that CPUID 0x80000008 tells." },

	/* attributes of a VM */
	{ "attrs-flags",
	  "Set flags to 0." },
	{ "attrs-mask",
	  "Ask KVM_CAP_MEMORY_ATTRIBUTES on the VM's descriptor and pass only its bits; where it is 0, "
	  "attributes belong to the file (KVM_CAP_GUEST_MEMFD_MEMORY_ATTRIBUTES) or there are none." },
	{ "attrs-size",
	  "Pass a size above 0 and a range that does not wrap." },
	{ "attrs-align",
	  "Round address and size to pages of 4096 bytes." },
	{ "attrs-memory",
	  "Free memory, or change smaller ranges at a time." },

	/* files */
	{ "gmem-flags",
	  "KVM_CAP_GUEST_MEMFD_FLAGS, asked on the VM's descriptor, is exactly the mask that is taken: "
	  "pass no bit that it lacks. INIT_SHARED needs a VM without private memory, or in-place conversion." },
	{ "gmem-size",
	  "Pass a size above 0." },
	{ "gmem-size-align",
	  "Round the size to pages of 4096 bytes." },
	{ "fallocate-offset",
	  "Pass an offset of 0 or more." },
	{ "fallocate-length",
	  "Pass a length above 0." },
	{ "fallocate-mode",
	  "Use FALLOC_FL_KEEP_SIZE, with FALLOC_FL_PUNCH_HOLE to free pages." },
	{ "fallocate-wrap",
	  "Keep offset + len below 2^63." },
	{ "fallocate-kind",
	  "Add FALLOC_FL_KEEP_SIZE: guest_memfd never changes its size; posix_fallocate() cannot be used." },
	{ "fallocate-align",
	  "Round offset and len to pages of 4096 bytes: parts of a page cannot be freed." },
	{ "fallocate-end",
	  "Allocate within the file: it never grows." },
	{ "mmap-offset-align",
	  "Align the offset to pages of 4096 bytes." },
	{ "mmap-hugetlb",
	  "Drop MAP_HUGETLB." },
	{ "mmap-length",
	  "Map at least one byte." },
	{ "mmap-space",
	  "Map a part: files may be larger than the address space." },
	{ "mmap-range",
	  "Keep offset + length below 2^63." },
	{ "mmap-type",
	  "Pass MAP_SHARED." },
	{ "mmap-validate",
	  "Use MAP_SHARED, or drop the flags that the file system does not support (MAP_SYNC)." },
	{ "mmap-exec",
	  "Drop PROT_EXEC: guest memory cannot be executed by the host." },
	{ "mmap-support",
	  "Before 6.18 no guest_memfd can be mapped: the host keeps shared memory elsewhere "
	  "(userspace_addr). Ask KVM_CAP_GUEST_MEMFD_FLAGS for MMAP." },
	{ "mmap-growsdown",
	  "Drop MAP_GROWSDOWN." },
	{ "mmap-flag",
	  "Create the file with GUEST_MEMFD_FLAG_MMAP, where KVM_CAP_GUEST_MEMFD_FLAGS has it." },
	{ "mmap-shared",
	  "Pass MAP_SHARED: guest memory has no private copies." },
	{ "mprotect-exec",
	  "Drop PROT_EXEC: guest memory cannot be executed by the host." },
	{ "madvise-advice",
	  "Advice that wants merging, huge pages or other contents does not apply to guest_memfd." },
	{ "madvise-populate",
	  "Populate shared pages only: convert first, or leave private ranges out." },
	{ "file-call",
	  "guest_memfd has no read, write, truncate or seek: map it, or let the guest fill it." },
	{ "read-offset",
	  "Pass a position of 0 or more; guest_memfd cannot be read in any case: map it." },
	{ "read-seekable",
	  "Map the file instead of reading and writing it." },
	{ "lseek-whence",
	  "Pass a whence that lseek(2) knows." },
	{ "lseek-seekable",
	  "Take the size from fstat(2): guest_memfd has no position." },

	/* touches of the host */
	{ "host-private",
	  "The page belongs to the guest: convert it to shared first, "
	  "or do not touch it. Files without INIT_SHARED start private." },
	{ "host-beyond",
	  "Map and touch only what lies within the file's size." },

	/* conversion */
	{ "convert-switch",
	  "Ask KVM_CAP_GUEST_MEMFD_MEMORY_ATTRIBUTES: where it is 0, attributes are set on the VM "
	  "with KVM_SET_MEMORY_ATTRIBUTES." },
	{ "convert-flags",
	  "Set flags to 0." },
	{ "convert-reserved",
	  "Clear the whole structure before filling it." },
	{ "convert-type",
	  "Use a VM type with private memory (sw-protected, snp, tdx): ask "
	  "KVM_CAP_GUEST_MEMFD_MEMORY_ATTRIBUTES on the VM's descriptor." },
	{ "convert-mask",
	  "Pass KVM_MEMORY_ATTRIBUTE_PRIVATE for private, 0 for shared." },
	{ "convert-size",
	  "Pass a size above 0." },
	{ "convert-wrap",
	  "Pass a range that does not wrap." },
	{ "convert-align",
	  "Round offset and size to pages of 4096 bytes; offset counts bytes in the file, not guest addresses." },
	{ "convert-range",
	  "Convert within the file's size." },
	{ "convert-memory",
	  "Free memory, or convert smaller ranges; error_offset tells where it ended." },
	{ "convert-pinned",
	  "Let go of the page at error_offset (I/O under way, vmsplice, registered buffers), then repeat: "
	  "nothing has changed yet." },
};

const char *advice_for(const char *rule)
{
	for (size_t i = 0; i < sizeof(advice) / sizeof(advice[0]); i++) {
		if (!strcmp(advice[i].rule, rule))
			return advice[i].text;
	}
	return NULL;
}

const char *advice_rule(size_t n)
{
	return n < sizeof(advice) / sizeof(advice[0]) ? advice[n].rule : NULL;
}
