//! Files and links of `/proc`, and `/etc/passwd`.

use bindshim_core::facts::Fact;
use bindshim_core::text::Text;
use rustix::fs::{MemfdFlags, SeekFrom, memfd_create, seek};
use rustix::io::write;

use super::is_one_line;
use crate::linux::descriptor::Descriptor;
use crate::linux::facts::{self, Scratch, rights};
use crate::linux::limits::Limits;
use crate::linux::namespaces::{self, Search, Socket};
use crate::linux::owner::names;
use crate::linux::procfs::{Stat, Status};
use crate::linux::{files, ports, script, unit, users};
use crate::memory::Mapped;

/// The size of buffer that the files are read with besides a large one.
const SMALL: usize = 160;

/// Any bytes as each of the files: they are read to their end, and what is found is in them.
pub fn proc_files(bytes: &[u8]) {
    if let Some(stat) = Stat::parse(bytes) {
        assert!(stat.name.len() < bytes.len());
    }
    if let Some(service) = unit::service(bytes) {
        assert!(service.len() <= 64 && service.ends_with(b".service"));
        assert!(!service.iter().any(|byte| b" $`;&|<>'\"\\/\n".contains(byte)));
    }
    command_line(bytes);
    if let Fact::Known((first, last)) = facts::two_ports(bytes) {
        let text = format!("{first}\t{last}\n");
        assert_eq!(facts::two_ports(text.as_bytes()), Fact::Known((first, last)));
    }
    if let Some(inode) = names::inode_of(bytes) {
        assert_eq!(names::inode_of(format!("socket:[{inode}]").as_bytes()), Some(inode));
    }
    if let Some(profile) = rights::profile(bytes) {
        assert!(is_one_line(profile.as_str()));
    }
    let _ = ports::is_at_least_6_8(bytes);
    if let Some(file) = file_of(bytes) {
        read_in_pieces(&file, bytes);
    }
}

/// The bytes as the command line of every interpreter.
fn command_line(bytes: &[u8]) {
    let _ = script::rules_of(bytes);
    for rules in script::RULES {
        if let Some(shown) = script::find(rules, bytes).shown() {
            assert!(!shown.contains(&0) && shown.len() <= bytes.len());
        }
    }
}

fn file_of(bytes: &[u8]) -> Option<Descriptor> {
    let file = memfd_create(c"property", MemfdFlags::CLOEXEC).ok()?;
    (write(&file, bytes) == Ok(bytes.len())).then_some(())?;
    Descriptor::high(file).ok()
}

/// What is read in small pieces is what is read at once, but for lines that are longer than a
/// piece.
fn read_in_pieces(file: &Descriptor, bytes: &[u8]) {
    rewind(file);
    assert!(Status::read_from(file).is_ok());
    rewind(file);
    let mut piece = [0; SMALL];
    let mut name = Text::EMPTY;
    let found = users::name_in(file, 0, &mut piece, &mut name);
    let mut lines = bytes.split(|byte| *byte == b'\n').filter(|line| line.len() < SMALL);
    let wanted = lines.find_map(|line| {
        let mut fields = line.trim_ascii_end().split(|byte| *byte == b':');
        let name = fields.next()?;
        (files::number(fields.nth(1)?) == Some(0)).then_some(name)
    });
    assert_eq!(found.then_some(name), wanted.map(Text::from_bytes));

    let small = sockets_in(file, &mut [0; SMALL]);
    let large = sockets_in(file, &mut [0; 8192]);
    if bytes.split(|byte| *byte == b'\n').all(|line| line.len() < SMALL) {
        assert_eq!(small, large);
    }
}

/// How many sockets a table shows at a path, and whether one more may be.
fn sockets_in(file: &Descriptor, buffer: &mut [u8]) -> Option<(u32, bool)> {
    rewind(file);
    let mut scratch = Mapped::<Scratch>::new()?;
    let mut search = Search::new(b"/run/app.sock");
    let limits = Limits { deadline_ns: u64::MAX };
    let mut see = |socket: &Socket<'_>| search.see(socket, &mut scratch.holders);
    let read = namespaces::each_socket(file, buffer, limits, &mut see);
    assert_eq!(read, Ok(()));
    Some((scratch.holders.total, search.has_doubt))
}

fn rewind(file: &Descriptor) {
    let _ = seek(file, SeekFrom::Start(0));
}
