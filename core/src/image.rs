//! What a file is that is about to be executed, by its first bytes (execve(2), elf(5)).

use arrayvec::ArrayVec;

/// What the kernel looks at to know a file's format, and so the longest line that names an
/// interpreter (`BINPRM_BUF_SIZE`, include/uapi/linux/binfmts.h).
pub const BEGINNING: usize = 256;

/// How many scripts may be run by one another (`exec_binprm`, fs/exec.c).
pub const MAX_SCRIPTS: usize = 5;

/// A path that a file names.
pub type Named = ArrayVec<u8, BEGINNING>;

/// An executable file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Image {
    /// A program for this machine that asks for this dynamic linker.
    Dynamic(Named),
    /// A program for this machine without a dynamic linker.
    Static,
    /// A 32-bit program.
    Bits32,
    /// A program for another machine.
    Foreign,
    /// A script for this interpreter.
    Script(Named),
    /// Nothing that the kernel itself knows.
    Other,
}

/// The machine that we are made for (`e_machine`).
const MACHINE: u16 = if cfg!(target_arch = "aarch64") { 183 } else { 62 };

const ELF_HEADER: usize = 64;
const PROGRAM_HEADER: usize = 56;

/// The kernel takes no more than 64 KiB of program headers (`load_elf_phdrs`, fs/binfmt_elf.c).
const MAX_PROGRAM_HEADERS: u16 = (65_536 / PROGRAM_HEADER) as u16;

/// Looks at a file by `read`, which fills a buffer from an offset of it and says how many bytes it
/// got.
pub fn look(mut read: impl FnMut(&mut [u8], u64) -> usize) -> Image {
    let mut beginning = [0; BEGINNING];
    let length = read(&mut beginning, 0).min(BEGINNING);
    let beginning = &beginning[..length];
    match interpreter(beginning) {
        Some(interpreter) => Image::Script(named(interpreter)),
        None => program(beginning, read).unwrap_or(Image::Other),
    }
}

/// The interpreter that a script's first line names (execve(2), "Interpreter scripts").
fn interpreter(beginning: &[u8]) -> Option<&[u8]> {
    let line = beginning.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    let word = line.trim_ascii_start().split(|byte| *byte == b' ' || *byte == b'\t').next()?;
    (!word.is_empty()).then_some(word)
}

fn program(beginning: &[u8], mut read: impl FnMut(&mut [u8], u64) -> usize) -> Option<Image> {
    const CLASS_64: u8 = 2;
    const LITTLE_ENDIAN: u8 = 1;
    let [0x7f, b'E', b'L', b'F', class, data, ..] = *beginning else { return None };
    if class != CLASS_64 {
        return Some(Image::Bits32);
    }
    let header: &[u8; ELF_HEADER] = beginning.first_chunk()?;
    let [kind, machine, size, count] = [16, 18, 54, 56].map(|at| half(header, at));
    if data != LITTLE_ENDIAN || machine != MACHINE {
        return Some(Image::Foreign);
    }
    // ET_EXEC and ET_DYN.
    if !matches!(kind, 2 | 3) || usize::from(size) != PROGRAM_HEADER || count > MAX_PROGRAM_HEADERS
    {
        return None;
    }
    let mut at = word(header, 32);
    for _ in 0..count {
        let mut entry = [0; PROGRAM_HEADER];
        if read(&mut entry, at) < PROGRAM_HEADER {
            return None;
        }
        const PT_INTERP: u64 = 3;
        if word(&entry, 0) & 0xffff_ffff == PT_INTERP {
            let mut path = [0; BEGINNING];
            let length = read(&mut path, word(&entry, 8)).min(BEGINNING);
            let path = path[..length].split(|byte| *byte == 0).next().unwrap_or_default();
            return Some(Image::Dynamic(named(path)));
        }
        at = at.checked_add(PROGRAM_HEADER as u64)?;
    }
    Some(Image::Static)
}

fn named(path: &[u8]) -> Named {
    path.iter().copied().take(BEGINNING).collect()
}

fn half(bytes: &[u8; ELF_HEADER], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn word(bytes: &[u8], at: usize) -> u64 {
    bytes[at..at + 8].iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    fn looked_at(bytes: &[u8]) -> Image {
        look(|buffer, at| {
            let rest = usize::try_from(at).ok().and_then(|at| bytes.get(at..)).unwrap_or_default();
            let length = rest.len().min(buffer.len());
            buffer[..length].copy_from_slice(&rest[..length]);
            length
        })
    }

    fn path(text: &str) -> Named {
        named(text.as_bytes())
    }

    /// An ELF file with program headers of these types, and a path for those that name one.
    fn elf(types: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::from(*b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0");
        bytes.extend(MACHINE.to_le_bytes());
        bytes.resize(ELF_HEADER, 0);
        bytes[32] = ELF_HEADER as u8;
        bytes[54] = PROGRAM_HEADER as u8;
        bytes[56] = types.len() as u8;
        for kind in types {
            let mut entry = [0; PROGRAM_HEADER];
            entry[0] = *kind;
            entry[8..10].copy_from_slice(&1000_u16.to_le_bytes());
            bytes.extend(entry);
        }
        bytes.resize(1000, 0);
        bytes.extend(*b"/lib/ld.so\0junk");
        bytes
    }

    #[test]
    fn programs_are_told_apart() {
        let patched = |at: usize, value: u8| {
            let mut bytes = elf(&[6, 3, 1]);
            bytes[at] = value;
            bytes
        };
        for (bytes, image) in [
            (elf(&[6, 3, 1]), Image::Dynamic(path("/lib/ld.so"))),
            (elf(&[1, 1, 2]), Image::Static),
            (elf(&[]), Image::Static),
            (patched(4, 1), Image::Bits32),
            (patched(5, 2), Image::Foreign),
            (patched(18, 8), Image::Foreign),
            (patched(16, 1), Image::Other),
            (patched(54, 55), Image::Other),
            (patched(57, 255), Image::Other),
            (patched(39, 255), Image::Other),
            (elf(&[6, 3])[..40].to_vec(), Image::Other),
            (elf(&[6, 3])[..150].to_vec(), Image::Other),
            (elf(&[6, 3])[..1000].to_vec(), Image::Dynamic(path(""))),
        ] {
            assert_eq!(looked_at(&bytes), image);
        }
    }

    #[test]
    fn the_first_line_names_the_interpreter() {
        let long = [b"#!/".as_slice(), &[b'x'; 300]].concat();
        for (bytes, image) in [
            (&b"#!/bin/sh\n"[..], Image::Script(path("/bin/sh"))),
            (b"#! \t/usr/bin/env python3\n", Image::Script(path("/usr/bin/env"))),
            (b"#!/bin/sh\r\n", Image::Script(path("/bin/sh\r"))),
            (b"#!/bin/sh", Image::Script(path("/bin/sh"))),
            (&long, Image::Script(named(&long[2..256]))),
            (b"#!\n/bin/sh", Image::Other),
            (b"\x7fELF", Image::Other),
            (b"", Image::Other),
        ] {
            assert_eq!(looked_at(bytes), image, "{bytes:?}");
        }
    }
}
