//! Loop devices: a file as a block device, for as long as something has it open or mounted.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::{Path, PathBuf};

const CONTROL: &str = "/dev/loop-control";
/// `LOOP_CTL_GET_FREE`, `LOOP_CONFIGURE` of `linux/loop.h`.
const GET_FREE: libc::c_ulong = 0x4c82;
const CONFIGURE: libc::c_ulong = 0x4c0a;
const AUTOCLEAR: u32 = 4;

/// Another process may take the free device between the two calls; so often we ask for a new one.
const ATTEMPTS: usize = 64;

/// `struct loop_info64`.
#[repr(C)]
struct Info {
    device: u64,
    inode: u64,
    rdevice: u64,
    offset: u64,
    size_limit: u64,
    number: u32,
    encrypt_type: u32,
    encrypt_key_size: u32,
    flags: u32,
    file_name: [u8; 64],
    crypt_name: [u8; 64],
    encrypt_key: [u8; 32],
    init: [u64; 2],
}

/// `struct loop_config`.
#[repr(C)]
struct Config {
    fd: u32,
    block_size: u32,
    info: Info,
    reserved: [u64; 8],
}

/// An attached device. It detaches by itself (`LO_FLAGS_AUTOCLEAR`) when this is dropped and nothing has it
/// mounted any more, so a killed process leaves none behind.
#[derive(Debug)]
pub struct LoopDevice {
    _open: File,
    path: PathBuf,
}

impl LoopDevice {
    /// Attaches `backing`, which must be open for reading and writing, to a free device.
    pub fn attach(backing: BorrowedFd<'_>) -> io::Result<Self> {
        let control = OpenOptions::new().read(true).write(true).open(CONTROL)?;
        let mut last = io::Error::from(io::ErrorKind::ResourceBusy);
        for _ in 0..ATTEMPTS {
            // SAFETY: LOOP_CTL_GET_FREE takes no argument and writes no memory.
            let number = unsafe { libc::ioctl(control.as_fd().as_raw_fd(), GET_FREE) };
            if number < 0 {
                return Err(io::Error::last_os_error());
            }
            let path = PathBuf::from(format!("/dev/loop{number}"));
            let device = OpenOptions::new().read(true).write(true).open(&path)?;
            match configure(&device, backing) {
                Ok(()) => return Ok(Self { _open: device, path }),
                Err(error) if error.kind() == io::ErrorKind::ResourceBusy => last = error,
                Err(error) => return Err(error),
            }
        }
        Err(last)
    }

    /// Its node in `/dev`.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn configure(device: &File, backing: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: both structures consist of integers and arrays of them; all zeroes is a valid value.
    let mut config: Config = unsafe { std::mem::zeroed() };
    config.fd = backing.as_raw_fd().cast_unsigned();
    config.block_size = 4096;
    config.info.flags = AUTOCLEAR;
    // SAFETY: `config` is a live `struct loop_config` that the kernel only reads.
    let result = unsafe { libc::ioctl(device.as_raw_fd(), CONFIGURE, &raw const config) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
