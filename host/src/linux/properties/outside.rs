//! What users, programs and other commands give us.

use bindshim_core::address::{Address, Families, MAX_LENGTH};
use bindshim_core::code::System;
use bindshim_core::netsh;
use bindshim_core::options::{LogTarget, Origin, SETTINGS, Settings};
use bindshim_core::text::Text;

use super::is_one_line;

/// A `sockaddr`, as a program gives it to `bind`: what is decoded is what the bytes say, and turns
/// back into them.
pub fn address(bytes: &[u8]) {
    let bytes = &bytes[..bytes.len().min(MAX_LENGTH)];
    for families in [Families::LINUX, Families::WINDOWS] {
        let Some(address) = Address::decode(bytes, families) else {
            assert!(bytes.is_empty());
            continue;
        };
        assert!(is_one_line(&address.to_string()));
        let json = serde_json::to_value(&address).expect("an address is JSON");
        assert!(json.is_object());
        if let Some(port) = address.port() {
            assert_eq!(json["port"], port);
            assert_eq!(json["ip"], address.ip().expect("a port has an address").to_string());
        }
        let encoded = encode(&address, families, bytes);
        let common = encoded.len().min(bytes.len());
        assert_eq!(encoded[..common], bytes[..common]);
        assert_eq!(Address::decode(&encoded, families), Some(address));
    }
}

/// The shortest `sockaddr` of an address. What an address does not keep (the flow of IPv6, the
/// spelling of bytes that are no text) is taken from `original`.
fn encode(address: &Address, families: Families, original: &[u8]) -> Vec<u8> {
    let (family, rest) = match address {
        Address::V4 { ip, port } => {
            let unused = original[8..16].to_vec();
            (families.inet, [port.to_be_bytes().to_vec(), ip.octets().to_vec(), unused].concat())
        }
        Address::V6 { ip, port, scope } => {
            let flow = original[4..8].to_vec();
            let scope = if original.len() < 28 { vec![] } else { scope.to_ne_bytes().to_vec() };
            let rest = [port.to_be_bytes().to_vec(), flow, ip.octets().to_vec(), scope];
            (families.inet6, rest.concat())
        }
        Address::Path(path) => {
            let given = original[2..].split(|byte| *byte == 0).next().unwrap_or_default();
            (families.unix, spelled(path, given))
        }
        Address::Abstract(name) => {
            (families.unix, [vec![0], spelled(name, &original[3..])].concat())
        }
        Address::Raw { family, bytes } => (*family, bytes.to_vec()),
    };
    [&family.to_ne_bytes()[..], &rest].concat()
}

/// The bytes of a name: those of its text, where it needed no other spelling.
fn spelled(text: &Text<128>, given: &[u8]) -> Vec<u8> {
    let is_shown = |text: &str| Text::<128>::whole(format_args!("{text}")).is_some();
    let is_plain = std::str::from_utf8(given).is_ok_and(is_shown);
    if is_plain { text.as_str().as_bytes() } else { given }.to_vec()
}

/// An environment as in `/proc/PID/environ`, and each of our settings with all of it as its value:
/// what is refused is told in one line and changes nothing, what is taken is taken as it was given.
pub fn settings(bytes: &[u8]) {
    for system in [System::Linux, System::Windows] {
        let find = |name: &str| {
            let entries = bytes.split(|byte| *byte == 0);
            let values = entries.filter_map(|entry| entry.strip_prefix(name.as_bytes()));
            values.filter_map(|value| value.strip_prefix(b"=")).next()
        };
        Settings::read(system, find, |error| assert!(is_one_line(&error.to_string())));
    }
    for setting in &SETTINGS {
        let mut settings = Settings::PRELOADED;
        match setting.apply(Origin::Variable(setting.variable), bytes, &mut settings) {
            Ok(()) => {
                taken_as_given(bytes, &settings);
                time_is_read_back(&settings);
            }
            Err(error) => {
                let message = error.to_string();
                assert!(is_one_line(&message) && message.starts_with(setting.variable));
                assert_eq!(settings, Settings::PRELOADED);
            }
        }
    }
}

fn taken_as_given(value: &[u8], settings: &Settings) {
    match &settings.log {
        LogTarget::File(path) => assert_eq!(path[..], *value),
        LogTarget::Socket(path) => assert_eq!([b"unix:", &path[..]].concat(), value),
        LogTarget::Stderr | LogTarget::None => {}
    }
    for names in [&settings.only, &settings.skip] {
        if !names.is_empty() {
            let given = value.split(|byte| *byte == b',').filter(|name| !name.is_empty());
            given.for_each(|name| assert!(names.contains(name)));
        }
    }
}

fn time_is_read_back(settings: &Settings) {
    let retry = SETTINGS.iter().find(|setting| setting.variable == "BINDSHIM_RETRY");
    if let (Some(time), Some(retry)) = (settings.retry_ns, retry) {
        let written = format!("{}ms", time / 1_000_000);
        let mut again = Settings::PRELOADED;
        let name = Origin::Variable(retry.variable);
        assert_eq!(retry.apply(name, written.as_bytes(), &mut again), Ok(()));
        assert_eq!(again.retry_ns, Some(time));
    }
}

/// What `netsh` prints: ranges are ranges, and the rows that are found are found again where
/// nothing else is printed.
pub fn netsh(bytes: &[u8]) {
    let rows: Vec<_> = netsh::excluded(bytes).collect();
    let mut printed = String::new();
    for row in &rows {
        assert!(row.range.first <= row.range.last);
        let star = if row.administered { "*" } else { "" };
        printed += &format!("{:>10}  {:>10}     {star}\r\n", row.range.first, row.range.last);
        let covering = netsh::covering(bytes, row.range.last);
        let found = if row.administered { covering.administered } else { covering.owned };
        assert!(found.is_some_and(|found| found.count() <= row.range.count()));
    }
    assert!(netsh::excluded(printed.as_bytes()).eq(rows.iter().copied()));
    if let Some(range) = netsh::dynamic_range(bytes) {
        assert!(0 < range.first && range.first <= range.last);
        let printed =
            format!("Start Port      : {}\r\nNumber of Ports : {}", range.first, range.count());
        assert_eq!(netsh::dynamic_range(printed.as_bytes()), Some(range));
    }
}
