# SPDX-License-Identifier: MIT
#
# tests/client.py - a client in Python: fcntl.ioctl and mmap of the standard library, private pages by signal
import ctypes
import errno
import fcntl
import mmap
import os
import signal
import struct
import sys

PG = 4096
KVM_GET_API_VERSION = 0xAE00
KVM_CREATE_VM = 0xAE01
KVM_CHECK_EXTENSION = 0xAE03
KVM_CREATE_GUEST_MEMFD = 0xC040AED4
KVM_SET_MEMORY_ATTRIBUTES2 = 0xC080AED2
PRIVATE = 1 << 3

points = 0
failed = 0


def ok(good, text):
    global points, failed
    points += 1
    failed += not good
    print("ok" if good else "not ok", points, "-", text, flush=True)


def refused(call, want, text):
    try:
        call()
        ok(False, text)
    except OSError as e:
        ok(e.errno == want, text)


def dies_of(signo, fn):
    pid = os.fork()
    if pid == 0:
        fn()
        os._exit(0)
    return os.WTERMSIG(os.waitpid(pid, 0)[1]) == signo


def set_attributes(fd, offset, size, attributes):
    fcntl.ioctl(fd, KVM_SET_MEMORY_ATTRIBUTES2, struct.pack("QQQ104x", offset, size, attributes))


ok(os.path.exists("/dev/kvm") and os.stat("/dev/kvm").st_rdev == os.makedev(10, 232), "/dev/kvm is there")
kvm = open("/dev/kvm", "r+b", buffering=0)
ok(fcntl.ioctl(kvm, KVM_GET_API_VERSION, 0) == 12, "fcntl.ioctl of a file object")
ok(fcntl.ioctl(kvm, KVM_CHECK_EXTENSION, 234) == 1, "KVM_CAP_GUEST_MEMFD")
vm = fcntl.ioctl(kvm, KVM_CREATE_VM, 1)
fd = fcntl.ioctl(vm, KVM_CREATE_GUEST_MEMFD, struct.pack("QQ48x", 4 * PG, 3))
if isinstance(fd, bytes):
    # Given a buffer, fcntl.ioctl returns the buffer: the C library has the result.
    arg = ctypes.create_string_buffer(struct.pack("QQ48x", 4 * PG, 3))
    libc = ctypes.CDLL(None, use_errno=True)
    fd = libc.ioctl(vm, ctypes.c_ulong(KVM_CREATE_GUEST_MEMFD), arg)
ok(fd > 0, "a guest_memfd")
ok(os.fstat(fd).st_size == 4 * PG, "os.fstat says its size")
ok(os.readlink("/proc/self/fd/%d" % fd) != "", "os.readlink")
refused(lambda: os.pread(fd, 1, 0), errno.ESPIPE, "os.pread")
refused(lambda: os.open("/proc/self/fd/%d" % fd, os.O_RDWR), errno.ENXIO, "opening it again")
refused(lambda: os.sendfile(1, fd, None, 10), errno.EINVAL, "os.sendfile")
memory = mmap.mmap(fd, 4 * PG)
memory[0:4] = b"data"
ok(memory[0:4] == b"data", "mmap.mmap")
set_attributes(fd, PG, PG, PRIVATE)
ok(dies_of(signal.SIGBUS, lambda: memory[PG]), "a private page is SIGBUS")
memory[0:4] = b"left"
ok(memory[0:4] == b"left", "the page beside it")
refused(lambda: os.write(os.open("/dev/shm", os.O_TMPFILE | os.O_RDWR), memory[0:1] and memoryview(memory)[PG : PG + 8]),
        errno.EFAULT, "os.write from it")
set_attributes(fd, PG, PG, 0)
ok(memory[PG] == 0, "shared again")
memory.madvise(mmap.MADV_REMOVE, 0, PG)
ok(memory[0] == 0, "mmap.madvise")
if hasattr(os, "posix_spawn"):
    pid = os.posix_spawn(sys.executable, [sys.executable, "-c", "open('/dev/kvm')"], {})
    ok(os.waitpid(pid, 0)[1] == 0, "os.posix_spawn with nothing in the environment")
print("1..%d" % points)
sys.exit(failed != 0)
