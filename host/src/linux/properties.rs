//! What holds for any bytes that come from outside: addresses, settings, answers of the kernel,
//! files of `/proc`, what `netsh` prints, and what all of that makes of a record.
//!
//! Each property takes bytes, and panics where it does not hold. The fast tests try some hundred
//! inputs and every seed in `fuzz/seeds`; the targets in `fuzz/` search for minutes.

mod netlink;
mod outside;
mod proc_files;
mod record;

pub use netlink::netlink;
pub use outside::{address, netsh, settings};
pub use proc_files::proc_files;
pub use record::record;

/// Whether a text is one line that a terminal may be shown.
fn is_one_line(text: &str) -> bool {
    !text.contains(char::is_control)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;
    use proptest::sample::Index;

    use super::*;

    type Property = fn(&[u8]);

    /// Each property with the directory of its seeds.
    const ALL: [(&str, Property); 6] = [
        ("address", address),
        ("netlink", netlink),
        ("netsh", netsh),
        ("proc_files", proc_files),
        ("record", record),
        ("settings", settings),
    ];

    fn seeds(name: &str) -> Vec<Vec<u8>> {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds").join(name);
        let files = std::fs::read_dir(directory).unwrap();
        let seeds: Vec<_> =
            files.map(|file| std::fs::read(file.unwrap().path()).unwrap()).collect();
        assert!(!seeds.is_empty(), "{name}");
        seeds
    }

    #[test]
    fn every_seed_holds() {
        for (name, property) in ALL {
            for seed in seeds(name) {
                property(&seed);
            }
        }
    }

    proptest! {
        #[test]
        fn any_bytes_hold(bytes in proptest::collection::vec(0u8.., 0..400)) {
            for (_, property) in ALL {
                property(&bytes);
            }
        }

        #[test]
        fn changed_seeds_hold(
            nth: Index,
            end: Index,
            changes in proptest::collection::vec((any::<Index>(), 0u8..), 0..6),
        ) {
            for (name, property) in ALL {
                let seeds = seeds(name);
                let mut bytes = nth.get(&seeds).clone();
                for (at, byte) in &changes {
                    if let Some(length @ 1..) = Some(bytes.len()) {
                        bytes[at.index(length)] = *byte;
                    }
                }
                property(&bytes);
                property(&bytes[..end.index(bytes.len() + 1)]);
            }
        }
    }
}
