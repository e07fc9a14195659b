//! Persistent port reservations: made, and given back (Microsoft,
//! "CreatePersistentTcpPortReservation function" and "DeletePersistentTcpPortReservation function").

use std::fmt;
use std::str::FromStr;

/// Which of the two is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wish {
    /// To reserve.
    Reserve,
    /// To give back.
    Unreserve,
}

/// Ports of one protocol, written as `PORT`, `PORT-PORT` or either with `/udp` or `/tcp` behind it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ports {
    first: u16,
    last: u16,
    udp: bool,
}

impl FromStr for Ports {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const RIGHT: &str = "write a port, as 8080, or a range, as 8080-8089, and /udp behind it \
                             for UDP";
        let (range, udp) = match text.split_once('/') {
            None => (text, false),
            Some((range, "tcp")) => (range, false),
            Some((range, "udp")) => (range, true),
            Some(_) => return Err(RIGHT),
        };
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let port = |text: &str| {
            let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            text.parse::<u16>().ok().filter(|port| digits && *port > 0).ok_or(RIGHT)
        };
        let ports = Self { first: port(first)?, last: port(last)?, udp };
        if ports.first > ports.last {
            return Err("the first port of a range comes first");
        }
        Ok(ports)
    }
}

impl Ports {
    fn count(self) -> u16 {
        self.last - self.first + 1
    }

    fn protocol(self) -> &'static str {
        if self.udp { "udp" } else { "tcp" }
    }
}

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocol = self.protocol().to_uppercase();
        if self.first == self.last {
            write!(f, "{protocol} port {}", self.first)
        } else {
            write!(f, "{protocol} ports {}-{}", self.first, self.last)
        }
    }
}

/// The call of the system: from the first port, in network byte order, and the count, to an error
/// number.
pub type Call<'c> = &'c dyn Fn(u16, u16) -> u32;

/// Does it with `call`, which this system may lack. What to tell the user: that it is done, or why
/// not.
pub fn run(wish: Wish, ports: Ports, call: Option<Call<'_>>) -> Result<String, String> {
    let call = call.ok_or("this system has no persistent port reservations")?;
    let done = match wish {
        Wish::Reserve => "reserved",
        Wish::Unreserve => "no longer reserved",
    };
    match call(ports.first.to_be(), ports.count()) {
        0 => Ok(format!("{ports}: {done}")),
        error => Err(format!("{ports}: {}", reason(wish, ports, error))),
    }
}

fn reason(wish: Wish, ports: Ports, error: u32) -> String {
    const ACCESS_DENIED: u32 = 5;
    const SHARING_VIOLATION: u32 = 32;
    const INVALID_PARAMETER: u32 = 87;
    const NOT_FOUND: u32 = 1168;
    let list = format!(
        "'netsh interface ipv4 show excludedportrange protocol={}' lists them",
        ports.protocol()
    );
    match (error, wish) {
        (ACCESS_DENIED, _) => "this needs administrator rights; run it in a console that was \
                               opened with 'Run as administrator'"
            .into(),
        (SHARING_VIOLATION, _) => {
            format!("a port of these is in use, or in a reservation already; {list}")
        }
        (NOT_FOUND, Wish::Unreserve) => format!(
            "no reservation has exactly these ports; name its first and its last one; {list}"
        ),
        (INVALID_PARAMETER, _) => format!("Windows does not take these ports; {list}"),
        _ => format!("Windows refused it with error {error}"),
    }
}

/// The functions of this system, which Windows has since Vista.
#[cfg(windows)]
pub mod system {
    use std::mem::transmute;
    use std::ptr;

    use windows_sys::Win32::System::LibraryLoader::{GetProcAddress, LoadLibraryW};
    use windows_sys::w;

    use super::{Ports, Wish, run};

    type Unknown = unsafe extern "system" fn() -> isize;
    type Create = unsafe extern "system" fn(u16, u16, *mut u64) -> u32;
    type Delete = unsafe extern "system" fn(u16, u16) -> u32;

    /// Does it here.
    pub fn apply(wish: Wish, ports: Ports) -> Result<String, String> {
        let name = match (wish, ports.udp) {
            (Wish::Reserve, false) => c"CreatePersistentTcpPortReservation",
            (Wish::Reserve, true) => c"CreatePersistentUdpPortReservation",
            (Wish::Unreserve, false) => c"DeletePersistentTcpPortReservation",
            (Wish::Unreserve, true) => c"DeletePersistentUdpPortReservation",
        };
        // SAFETY: both names end in a NUL, and the module is never unloaded.
        let function = unsafe {
            let module = LoadLibraryW(w!("iphlpapi.dll"));
            if module.is_null() { None } else { GetProcAddress(module, name.as_ptr().cast()) }
        };
        let call = function.map(|function| {
            // SAFETY: the function of this name has this type, and the token is a live value.
            move |first, count| unsafe {
                match wish {
                    Wish::Reserve => {
                        let create = transmute::<Unknown, Create>(function);
                        create(first, count, ptr::from_mut(&mut 0))
                    }
                    Wish::Unreserve => {
                        let delete = transmute::<Unknown, Delete>(function);
                        delete(first, count)
                    }
                }
            }
        });
        run(wish, ports, call.as_ref().map(|call| call as super::Call<'_>))
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn ports_are_read() {
        for (text, shown) in [
            ("8080", "TCP port 8080"),
            ("8080-8089", "TCP ports 8080-8089"),
            ("1-65535/udp", "UDP ports 1-65535"),
            ("5/tcp", "TCP port 5"),
        ] {
            assert_eq!(text.parse::<Ports>().unwrap().to_string(), shown);
        }
        for text in ["", "0", "65536", "-1", "1-", "+1", "2-1", "1/sctp", "1-2-3", " 1"] {
            assert!(text.parse::<Ports>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_system_gets_network_order_and_a_count() {
        let got = Cell::new((0, 0));
        let call = |first, count| {
            got.set((first, count));
            0
        };
        let ports = "8080-8089".parse().unwrap();
        let told = run(Wish::Reserve, ports, Some(&call)).unwrap();
        assert_eq!(told, "TCP ports 8080-8089: reserved");
        assert_eq!(got.get(), (8080u16.to_be(), 10));
        let told = run(Wish::Unreserve, ports, Some(&call)).unwrap();
        assert_eq!(told, "TCP ports 8080-8089: no longer reserved");
    }

    #[test]
    fn refusals_say_what_helps() {
        let ports = "8080/udp".parse().unwrap();
        for (error, wish, words) in [
            (5, Wish::Reserve, "administrator rights"),
            (5, Wish::Unreserve, "administrator rights"),
            (32, Wish::Reserve, "in use, or in a reservation already"),
            (32, Wish::Reserve, "protocol=udp"),
            (1168, Wish::Unreserve, "exactly these ports"),
            (87, Wish::Reserve, "does not take these ports"),
            (1168, Wish::Reserve, "error 1168"),
        ] {
            let told = run(wish, ports, Some(&|_, _| error)).unwrap_err();
            assert!(told.starts_with("UDP port 8080: ") && told.contains(words), "{told}");
        }
        assert!(run(Wish::Reserve, ports, None).unwrap_err().contains("this system has no"));
    }
}
