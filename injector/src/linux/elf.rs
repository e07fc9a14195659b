//! What an ELF file says of itself (elf(5)).

use std::fs::File;
use std::path::Path;

use object::elf::{
    DT_NEEDED, ELFCLASS64, ELFDATA2LSB, EM_AARCH64, EM_X86_64, ET_DYN, ET_EXEC, FileHeader64,
    Machine, PT_INTERP,
};
use object::read::ReadCache;
use object::read::elf::{Dyn, FileHeader, ProgramHeader};
use object::{Endianness, ReadRef};

/// The machine that this launcher, and so its library, is made for.
const MACHINE: Machine = if cfg!(target_arch = "x86_64") { EM_X86_64 } else { EM_AARCH64 };

/// A program or library.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Elf {
    /// Made for this machine.
    Native {
        /// The dynamic linker that it asks for; `None` where it is static.
        interpreter: Option<String>,
        /// The libraries that it needs.
        needed: Vec<String>,
    },
    /// A 32-bit one.
    Bits32,
    /// Made for another machine.
    Foreign,
}

/// Reads the headers of a file, and no more of it than that: programs can be large. `None` where it
/// is no ELF file, or a broken one.
pub(super) fn read_file(path: &Path) -> Option<Elf> {
    read(&ReadCache::new(File::open(path).ok()?))
}

/// Reads the headers in `bytes`.
pub(super) fn read<'b>(bytes: impl ReadRef<'b>) -> Option<Elf> {
    let [0x7f, b'E', b'L', b'F', class, data] = bytes.read_bytes_at(0, 6).ok()? else {
        return None;
    };
    if *class != ELFCLASS64.0 {
        return Some(Elf::Bits32);
    }
    if *data != ELFDATA2LSB.0 {
        return Some(Elf::Foreign);
    }
    let header = FileHeader64::<Endianness>::parse(bytes).ok()?;
    let endian = header.endian().ok()?;
    if header.e_machine(endian) != MACHINE {
        return Some(Elf::Foreign);
    }
    if !matches!(header.e_type(endian), ET_EXEC | ET_DYN) {
        return None;
    }
    let mut interpreter = None;
    for segment in header.program_headers(endian, bytes).ok()? {
        if segment.p_type(endian) == PT_INTERP {
            let path = segment.data(endian, bytes).ok()?;
            let path = path.split(|byte| *byte == 0).next().unwrap_or_default();
            interpreter = Some(String::from_utf8_lossy(path).into_owned());
        }
    }
    let needed = needed(header, endian, bytes).unwrap_or_default();
    Some(Elf::Native { interpreter, needed })
}

/// The names that DT_NEEDED entries give.
fn needed<'b>(
    header: &FileHeader64<Endianness>,
    endian: Endianness,
    bytes: impl ReadRef<'b>,
) -> Option<Vec<String>> {
    let sections = header.sections(endian, bytes).ok()?;
    let (entries, strings) = sections.dynamic(endian, bytes).ok()??;
    let strings = sections.strings(endian, bytes, strings).ok()?;
    let mut names = Vec::new();
    for entry in entries {
        if entry.tag(endian) == DT_NEEDED {
            let name = entry.string(endian, strings).ok()?;
            names.push(String::from_utf8_lossy(name).into_owned());
        }
    }
    Some(names)
}
