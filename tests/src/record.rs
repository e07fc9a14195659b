//! Records: read, checked against the published schema, and looked up.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use bindshim_core::attempt::Function;
use bindshim_core::catalogue;
use bindshim_core::cause::Cause;
use bindshim_core::code::{Code, System};
use bindshim_core::record::{Certainty, Diagnosis};
use jsonschema::Validator;
use serde_json::Value;

use crate::room;

/// The longest line, with its newline.
pub const MAX_LINE: usize = 4096;

/// The records of one log, in its order.
#[derive(Debug)]
pub struct Records(Vec<Value>);

impl Records {
    /// Reads a log. One that does not exist is empty.
    ///
    /// # Panics
    /// If a line is not whole, too long, not JSON, not as the schema says, or says of its cause
    /// what the catalogue does not.
    #[must_use]
    #[track_caller]
    pub fn read(log: &Path) -> Self {
        Self::parse(&fs::read(log).unwrap_or_default())
    }

    /// Reads a log whose last line may have no end, because the process was ended while it wrote it:
    /// that one is left out.
    ///
    /// # Panics
    /// As [`Records::read`].
    #[must_use]
    #[track_caller]
    pub fn read_whole_lines(log: &Path) -> Self {
        let content = fs::read(log).unwrap_or_default();
        let whole = content.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
        Self::parse(&content[..whole])
    }

    /// Parses the content of a log.
    ///
    /// # Panics
    /// As [`Records::read`].
    #[must_use]
    #[track_caller]
    pub fn parse(content: &[u8]) -> Self {
        let mut records = Vec::new();
        for line in content.split_inclusive(|byte| *byte == b'\n') {
            let shown = String::from_utf8_lossy(line);
            assert!(line.ends_with(b"\n"), "a line without an end: {shown}");
            assert!(line.len() <= MAX_LINE, "a line of {} bytes: {shown}", line.len());
            let record = serde_json::from_slice(line).unwrap_or_else(|e| panic!("{e}: {shown}"));
            if let Err(error) = schema().validate(&record) {
                panic!("{error} at {}: {shown}", error.instance_path());
            }
            if let Some(what) = contradiction(&record) {
                panic!("the catalogue says otherwise ({what}): {shown}");
            }
            records.push(record);
        }
        Self(records)
    }

    /// All of them.
    #[must_use]
    pub fn all(&self) -> &[Value] {
        &self.0
    }

    /// The attempts to make this call.
    #[must_use]
    pub fn calls(&self, call: &str) -> Vec<&Value> {
        self.0.iter().filter(|record| record["call"] == call).collect()
    }

    /// The notices.
    #[must_use]
    pub fn notices(&self) -> Vec<&Value> {
        self.0.iter().filter(|record| record["kind"] == "notice").collect()
    }

    /// The only attempt to make this call.
    ///
    /// # Panics
    /// If there is none, or more than one.
    #[must_use]
    #[track_caller]
    pub fn only(&self, call: &str) -> &Value {
        match self.calls(call).as_slice() {
            [record] => record,
            records => panic!("{} records of {call}, not one: {self}", records.len()),
        }
    }

    /// The only attempt that failed.
    ///
    /// # Panics
    /// If there is none, or more than one.
    #[must_use]
    #[track_caller]
    pub fn failed(&self) -> &Value {
        let failed: Vec<_> = self.0.iter().filter(|r| r["outcome"] == "failed").collect();
        match failed.as_slice() {
            [record] => record,
            records => panic!("{} failures, not one: {self}", records.len()),
        }
    }

    /// How many attempts failed with the error of this name.
    #[must_use]
    pub fn failed_with(&self, error: &str) -> usize {
        self.0.iter().filter(|record| record["error"]["name"] == error).count()
    }

    /// Checks that each process counted its records from 1 without a gap, and lost none. The
    /// threads of a process may write in another order than they count. Children of vfork do not
    /// count, and a program that becomes another one begins anew.
    ///
    /// # Panics
    /// If one did not.
    #[track_caller]
    pub fn assert_gapless(&self) {
        let mut counts = BTreeMap::new();
        for record in self.0.iter().filter(|record| record["seq"] != 0) {
            let program = record["program"].as_str();
            let process = (record["pid"].as_u64(), record["start"].as_u64(), program);
            counts.entry(process).or_insert_with(Vec::new).push(record["seq"].as_u64());
            assert_eq!(record["dropped"], 0, "lines lost: {record}");
        }
        for (process, mut numbers) in counts {
            numbers.sort_unstable();
            let gapless = (1..=numbers.len() as u64).map(Some);
            assert!(numbers.iter().copied().eq(gapless), "{process:?} counted {numbers:?}");
        }
    }
}

impl std::fmt::Display for Records {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().take(50).try_for_each(|record| write!(f, "\n{record}"))
    }
}

/// What the catalogue says otherwise than the diagnosis of a record. A success after retries keeps
/// that of its first failure, whose error is not told.
fn contradiction(record: &Value) -> Option<&'static str> {
    let told = &record["diagnosis"];
    let is_warning = record["warning"] == true;
    if told.is_null() || (record["outcome"] == "ok" && !is_warning) {
        return None;
    }
    // A name on Linux may have a backslash, too, and one that is spelled has.
    let is_windows = match record["error"]["name"].as_str() {
        Some(error) => error.starts_with("WSA"),
        None => record["program"].as_str().is_some_and(|path| path.contains('\\')),
    };
    let code = Code {
        system: if is_windows { System::Windows } else { System::Linux },
        number: record["error"]["code"].as_i64().unwrap_or_default() as i32,
    };
    let call = match record["call"].as_str() {
        Some("bind") => Function::Bind,
        Some("listen") => Function::Listen,
        _ => Function::Setsockopt,
    };
    let certainty = match told["certainty"].as_str() {
        Some("certain") => Certainty::Certain,
        Some("probable") => Certainty::Probable,
        _ => Certainty::Possible,
    };
    let cause = Cause::ALL.iter().copied().find(|cause| told["cause"] == cause.name());
    let diagnosis = Diagnosis {
        cause: cause?,
        certainty,
        reuseaddr_cures: told["reuseaddr_cures"].as_bool(),
        retry_cures: told["retry_cures"].as_bool(),
        ..Diagnosis::NONE
    };
    catalogue::contradiction(call, code, &diagnosis)
}

/// The schema that `bindshim schema` prints.
///
/// # Panics
/// If it prints none.
pub fn schema() -> &'static Validator {
    static SCHEMA: OnceLock<Validator> = OnceLock::new();
    SCHEMA.get_or_init(|| {
        let program = room::under_test_directory().join("bindshim");
        let output = Command::new(&program)
            .arg("schema")
            .output()
            .unwrap_or_else(|e| panic!("{} schema: {e}", program.display()));
        assert!(output.status.success(), "{} schema: {output:?}", program.display());
        let schema = serde_json::from_slice(&output.stdout).expect("a schema is JSON");
        jsonschema::validator_for(&schema).expect("it is a JSON Schema")
    })
}
