//! Finding the programs that a test needs.

use std::path::PathBuf;

/// The Debian packages of the programs that the tests start.
const PACKAGES: &[(&str, &str)] = &[
    ("cc", "gcc"),
    ("python3", "python3"),
    ("nginx", "nginx"),
    ("redis-server", "redis-server"),
    ("haproxy", "haproxy"),
    ("node", "nodejs"),
    ("ruby", "ruby"),
    ("perl", "perl"),
    ("java", "default-jdk-headless"),
    ("ncat", "ncat"),
    ("nc", "netcat-openbsd"),
    ("socat", "socat"),
    ("strace", "strace"),
    ("ss", "iproute2"),
    ("sh", "dash"),
    ("wine", "wine64"),
    ("x86_64-w64-mingw32-gcc", "gcc-mingw-w64-x86-64"),
    ("i686-w64-mingw32-gcc", "gcc-mingw-w64-i686"),
    ("aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu"),
    ("qemu-aarch64", "qemu-user"),
    ("go", "golang-go"),
    ("script", "bsdutils"),
    ("setcap", "libcap2-bin"),
    ("ip", "iproute2"),
    ("mkfifo", "coreutils"),
];

/// The Debian packages of the libraries that the tests preload.
const LIBRARIES: &[(&str, &str)] = &[
    ("libasan.so.8", "libasan8"),
    ("libjemalloc.so.2", "libjemalloc2"),
    ("libtcmalloc_minimal.so.4", "libtcmalloc-minimal4"),
    ("libmimalloc.so.2", "libmimalloc2.0"),
    ("faketime/libfaketime.so.1", "libfaketime"),
    ("libsocket_wrapper.so", "libsocket-wrapper"),
    ("libproxychains.so.4", "libproxychains4"),
];

/// Where the library `name` is installed.
///
/// # Panics
/// If it is not installed, with the package to install.
#[must_use]
#[track_caller]
pub fn library(name: &str) -> PathBuf {
    let directory = format!("/usr/lib/{}-linux-gnu", std::env::consts::ARCH);
    let path = PathBuf::from(directory).join(name);
    let package = LIBRARIES.iter().find(|(library, _)| *library == name).map_or("?", |row| row.1);
    assert!(path.exists(), "{} is not there: apt-get install {package}", path.display());
    path
}

/// Where `name` is installed. The system's directories come first: what a version manager puts in
/// front of them is often a script in a directory that other users may not enter.
///
/// # Panics
/// If it is not installed, with the package to install.
#[must_use]
#[track_caller]
pub fn find(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/bin", "/usr/sbin", "/bin", "/sbin"].map(PathBuf::from);
    let found = system
        .into_iter()
        .chain(std::env::split_paths(&path))
        .map(|directory| directory.join(name))
        .find(|file| file.is_file());
    match (found, PACKAGES.iter().find(|(program, _)| *program == name)) {
        (Some(file), _) => file,
        (None, Some((_, package))) => {
            panic!("{name} is not installed: apt-get install {package}")
        }
        (None, None) => panic!("{name} is not installed"),
    }
}
