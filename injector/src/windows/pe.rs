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
