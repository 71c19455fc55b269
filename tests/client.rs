// SPDX-License-Identifier: MIT
//
// tests/client.rs - a client in Rust: the standard library's files and threads, the C library's ioctl and mmap
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::raw::{c_int, c_ulong, c_void};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::io::{AsRawFd, FromRawFd};

extern "C" {
    fn ioctl(fd: c_int, request: c_ulong, ...) -> c_int;
    fn mmap(addr: *mut c_void, len: usize, prot: c_int, flags: c_int, fd: c_int, off: i64) -> *mut c_void;
}

const PG: usize = 4096;
const PRIVATE: u64 = 1 << 3;

fn ok(points: &mut u32, good: bool, text: &str) {
    *points += 1;
    println!("{} {} - {}", if good { "ok" } else { "not ok" }, points, text);
}

fn set_attributes(fd: c_int, offset: usize, attributes: u64) -> c_int {
    let mut arg = [0u64; 16];
    arg[0] = offset as u64;
    arg[1] = PG as u64;
    arg[2] = attributes;
    unsafe { ioctl(fd, 0xC080AED2, arg.as_mut_ptr()) }
}

fn main() {
    let mut n = 0;
    let meta = fs::metadata("/dev/kvm");
    ok(&mut n, meta.map_or(false, |m| m.file_type().is_char_device()), "fs::metadata of /dev/kvm");
    ok(&mut n, fs::symlink_metadata("/dev/kvm").is_ok(), "fs::symlink_metadata");
    let kvm = OpenOptions::new().read(true).write(true).open("/dev/kvm").expect("/dev/kvm");
    ok(&mut n, unsafe { ioctl(kvm.as_raw_fd(), 0xAE00, 0) } == 12, "KVM_GET_API_VERSION");
    let vm = unsafe { File::from_raw_fd(ioctl(kvm.as_raw_fd(), 0xAE01, 1)) };
    let mut arg = [0u64; 8];
    arg[0] = 4 * PG as u64;
    arg[1] = 3;
    let mut file = unsafe { File::from_raw_fd(ioctl(vm.as_raw_fd(), 0xC040AED4, arg.as_mut_ptr())) };
    let fd = file.as_raw_fd();
    ok(&mut n, file.metadata().map_or(0, |m| m.size()) == 4 * PG as u64, "File::metadata says its size");
    ok(&mut n, file.read(&mut [0u8; 4]).map_err(|e| e.raw_os_error()) == Err(Some(22)), "File::read is EINVAL");
    ok(&mut n, file.set_len(0).map_err(|e| e.raw_os_error()) == Err(Some(22)), "File::set_len is EINVAL");
    ok(&mut n, file.sync_all().map_err(|e| e.raw_os_error()) == Err(Some(22)), "File::sync_all is EINVAL");
    let again = File::open(format!("/proc/self/fd/{}", fd));
    ok(&mut n, again.map(|_| ()).map_err(|e| e.raw_os_error()) == Err(Some(6)), "File::open of it is ENXIO");
    let memory = unsafe { mmap(std::ptr::null_mut(), 4 * PG, 3, 1, fd, 0) } as *mut u8;
    unsafe { *memory = 7 };
    ok(&mut n, set_attributes(fd, PG, PRIVATE) == 0, "a page to private");
    let path = format!("/dev/shm/gmem-client-{}", std::process::id());
    let mut sink = File::create(&path).expect("/dev/shm");
    fs::remove_file(&path).expect("/dev/shm");
    let slice = unsafe { std::slice::from_raw_parts(memory.add(PG), 16) };
    ok(&mut n, sink.write(slice).map_err(|e| e.raw_os_error()) == Err(Some(14)), "File::write from it is EFAULT");
    let copy = file.try_clone().unwrap();
    let address = memory as usize;
    let thread = std::thread::spawn(move || {
        let done = set_attributes(copy.as_raw_fd(), PG, 0);
        unsafe { *((address + PG) as *mut u8) = 9 };
        done
    });
    ok(&mut n, thread.join().unwrap() == 0, "to shared, by another thread and descriptor");
    ok(&mut n, unsafe { *memory == 7 && *memory.add(PG) == 9 }, "both pages");
    println!("1..{}", n);
}
