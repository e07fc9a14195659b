//! What a program file says of itself (Microsoft, "PE Format").

use std::fs::File;
use std::path::Path;

use object::LittleEndian as LE;
use object::pe::{
    COMIMAGE_FLAGS_32BITREQUIRED, COMIMAGE_FLAGS_ILONLY, IMAGE_DIRECTORY_ENTRY_COM_DESCRIPTOR,
    IMAGE_FILE_DLL, IMAGE_FILE_MACHINE_AMD64, IMAGE_FILE_MACHINE_I386, ImageCor20Header,
    ImageNtHeaders32, ImageNtHeaders64, Machine,
};
use object::read::pe::{ImageNtHeaders, PeFile};
use object::read::{ReadCache, ReadRef};

/// A file that the system can be asked to run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pe {
    /// A program that runs as a 64-bit process of this kind of processor.
    Native,
    /// A program that runs as a 32-bit process.
    Bits32 {
        /// Whether it is one for .NET that only asks for it, and could do without.
        by_choice: bool,
    },
    /// A program for another kind of processor.
    Foreign,
    /// A library.
    Library,
}

/// Reads the headers of a file, and no more of it than that. `None` where it is no PE file, or a
/// broken one.
#[must_use]
pub fn read_file(path: &Path) -> Option<Pe> {
    read(&ReadCache::new(File::open(path).ok()?))
}

/// Reads the headers in `bytes`.
pub fn read<'b>(bytes: impl ReadRef<'b>) -> Option<Pe> {
    if let Ok(file) = PeFile::<ImageNtHeaders64, _>::parse(bytes) {
        return Some(kind(&file, bytes));
    }
    let file = PeFile::<ImageNtHeaders32, _>::parse(bytes).ok()?;
    Some(kind(&file, bytes))
}

fn kind<'b, H: ImageNtHeaders, R: ReadRef<'b>>(file: &PeFile<'b, H, R>, bytes: R) -> Pe {
    let header = file.nt_headers().file_header();
    if header.characteristics.get(LE).contains(IMAGE_FILE_DLL) {
        return Pe::Library;
    }
    match header.machine.get(LE) {
        IMAGE_FILE_MACHINE_AMD64 => Pe::Native,
        IMAGE_FILE_MACHINE_I386 => {
            net_flags(file, bytes).map_or(Pe::Bits32 { by_choice: false }, |(il_only, required)| {
                match (il_only, required) {
                    (true, false) => Pe::Native,
                    (il_only, _) => Pe::Bits32 { by_choice: il_only },
                }
            })
        }
        Machine(_) => Pe::Foreign,
    }
}

/// Of a program for .NET: whether it holds no machine code, and whether it asks to run as a 32-bit
/// process (ECMA-335, II.25.3.3 "CLI header"; one that prefers 32 bits has both flags). Where it
/// holds none and does not ask, a 64-bit system runs it as a 64-bit process, whatever machine its
/// header names.
fn net_flags<'b, H: ImageNtHeaders, R: ReadRef<'b>>(
    file: &PeFile<'b, H, R>,
    bytes: R,
) -> Option<(bool, bool)> {
    let directory = file.data_directory(IMAGE_DIRECTORY_ENTRY_COM_DESCRIPTOR)?;
    let (offset, _) = directory.file_range(&file.section_table()).ok()?;
    let header = bytes.read_at::<ImageCor20Header>(offset.into()).ok()?;
    let flags = header.flags.get(LE);
    Some((flags.contains(COMIMAGE_FLAGS_ILONLY), flags.contains(COMIMAGE_FLAGS_32BITREQUIRED)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const AMD64: u16 = 0x8664;
    const I386: u16 = 0x14c;
    const ARM64: u16 = 0xaa64;
    const DLL: u16 = 0x2000;

    /// A PE file of one section, with a CLI header in it if it is a .NET program.
    fn image(machine: u16, characteristics: u16, net: Option<u32>) -> Vec<u8> {
        const HEADERS: usize = 0x200;
        const SECTION_ADDRESS: u32 = 0x1000;
        let wide = machine != I386;
        let mut bytes = vec![0; 2 * HEADERS];
        let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
        let file_header = 0x44;
        let optional = file_header + 20;
        let directories = optional + if wide { 112 } else { 96 };
        let optional_size = (directories - optional + 16 * 8) as u16;
        put(0, b"MZ");
        put(0x3c, &0x40u32.to_le_bytes());
        put(0x40, b"PE\0\0");
        put(file_header, &machine.to_le_bytes());
        put(file_header + 2, &1u16.to_le_bytes());
        put(file_header + 16, &optional_size.to_le_bytes());
        put(file_header + 18, &characteristics.to_le_bytes());
        put(optional, &if wide { 0x20bu16 } else { 0x10b }.to_le_bytes());
        put(directories - 4, &16u32.to_le_bytes());
        if let Some(flags) = net {
            put(directories + 14 * 8, &SECTION_ADDRESS.to_le_bytes());
            put(directories + 14 * 8 + 4, &72u32.to_le_bytes());
            put(HEADERS + 16, &flags.to_le_bytes());
        }
        let section = optional + usize::from(optional_size);
        put(section + 8, &(HEADERS as u32).to_le_bytes());
        put(section + 12, &SECTION_ADDRESS.to_le_bytes());
        put(section + 16, &(HEADERS as u32).to_le_bytes());
        put(section + 20, &(HEADERS as u32).to_le_bytes());
        bytes
    }

    #[test]
    fn headers_tell_what_a_process_will_be() {
        for (machine, characteristics, net, expected) in [
            (AMD64, 0, None, Pe::Native),
            (AMD64, 0, Some(1), Pe::Native),
            (AMD64, DLL, None, Pe::Library),
            (I386, DLL, None, Pe::Library),
            (ARM64, 0, None, Pe::Foreign),
            (I386, 0, None, Pe::Bits32 { by_choice: false }),
            // .NET: for any processor, for x86, one that prefers 32 bits, and with machine code.
            (I386, 0, Some(1), Pe::Native),
            (I386, 0, Some(3), Pe::Bits32 { by_choice: true }),
            (I386, 0, Some(0x2_0003), Pe::Bits32 { by_choice: true }),
            (I386, 0, Some(0x10), Pe::Bits32 { by_choice: false }),
        ] {
            let bytes = image(machine, characteristics, net);
            assert_eq!(read(&*bytes), Some(expected), "{machine:#x} {net:?}");
        }
    }

    #[test]
    fn broken_files_are_no_programs() {
        let whole = image(I386, 0, Some(1));
        for length in [0, 1, 2, 0x40, 0x50, 0x100] {
            assert_eq!(read(&whole[..length]), None, "{length} bytes");
        }
        assert_eq!(read(&b"#!/bin/sh\n"[..]), None);
    }
}
