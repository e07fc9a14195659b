//! The record: what one line of the log says, and in which order.

mod line;
mod time;

use arrayvec::ArrayVec;
use serde::Serialize;

use crate::address::Address;
use crate::attempt::{Attempt, Outcome};
use crate::cause::Cause;
use crate::facts::{SocketState, Why};
use crate::text::Text;

pub use line::{AttemptLine, NoticeLine};
pub use time::Timestamp;

/// The version of the record. New keys do not raise it; a changed or removed key does.
pub const VERSION: u32 = 1;

/// The longest line, in bytes, with its newline.
pub const MAX_LINE: usize = 4096;

/// How many holders a diagnosis lists.
pub const MAX_HOLDERS: usize = 8;

/// The process that made an attempt, as all its records name it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Identity {
    /// The host's name.
    pub host: Text<64>,
    /// Parent's process id, when the process wrote its first line.
    pub ppid: u32,
    /// Start of the process in clock ticks since boot (/proc/pid/stat, field 22); on Windows in
    /// 100 ns since 1601 (GetProcessTimes).
    pub start: Option<u64>,
    /// The file that it runs.
    pub program: Option<Text<256>>,
    /// What it runs, if it is an interpreter.
    pub script: Option<Text<64>>,
}

/// What begins every line: when, who, and how many lines are missing before it.
#[derive(Clone, Copy, Debug)]
pub struct Envelope<'a> {
    /// Wall clock, nanoseconds since 1970-01-01 UTC.
    pub unix_ns: u64,
    /// Monotonic clock, nanoseconds.
    pub mono_ns: u64,
    /// The id of one launch, inherited by children.
    pub run: Option<&'a str>,
    /// Number of this line among those of the process, from 1; 0 from a `vfork` child, which
    /// shares its parent's memory and must not count there.
    pub seq: u64,
    /// How many lines of this process were lost since the last one that was written.
    pub dropped: u64,
    /// Process id.
    pub pid: u32,
    /// Thread id.
    pub tid: u32,
    /// Effective user id; `None` where users have no numbers (Windows).
    pub uid: Option<u32>,
    /// What does not change while the process lives.
    pub identity: &'a Identity,
}

/// An attempt and what came of it, ready to be told.
#[derive(Clone, Copy, Debug)]
pub struct Event<'a> {
    /// What was asked.
    pub attempt: &'a Attempt,
    /// What the program sees.
    pub outcome: Outcome,
    /// Whether a success is dangerous or surprising.
    pub warning: bool,
    /// Time in the real calls alone, microseconds.
    pub duration_us: u64,
    /// Time for the diagnosis, microseconds; `None` where there was none.
    pub diagnosis_us: Option<u64>,
    /// How often the real call was made.
    pub attempts: u32,
    /// Time spent waiting between them, milliseconds.
    pub waited_ms: u64,
    /// Whatever was altered.
    pub actions: &'a [Action],
    /// Why it failed, or why a success is a warning.
    pub diagnosis: Option<&'a Diagnosis>,
}

/// Something that was done to the program's call.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "did", rename_all = "snake_case")]
pub enum Action {
    /// SO_REUSEADDR was set before bind.
    SetReuseaddr {
        /// Whether it is known that no other process holds the port bound but not listening.
        checked: bool,
        /// Whether the option was put back, because bind failed all the same.
        undone: bool,
    },
    /// SO_EXCLUSIVEADDRUSE was set before bind.
    SetExclusive {
        /// Whether the option was put back, because bind failed all the same.
        undone: bool,
    },
    /// The socket was tied to a persistent port reservation before bind, which Windows cannot undo.
    UsedReservation {
        /// The reservation's first port.
        first: u16,
        /// Its last port.
        last: u16,
    },
    /// The call was made again.
    Retried {
        /// How often.
        times: u32,
    },
}

/// How sure a diagnosis is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Certainty {
    /// The facts leave no other cause.
    Certain,
    /// The facts fit, and another cause would be unusual.
    Probable,
    /// The facts do not speak against it.
    Possible,
}

/// Who holds the port.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Holder {
    /// Its process id, or `null` with the reason in `unknown`.
    pub pid: Option<u32>,
    /// The file that it runs.
    pub program: Option<Text<256>>,
    /// What an interpreter runs.
    pub script: Option<Text<64>>,
    /// Its effective user id.
    pub uid: Option<u32>,
    /// That user's name.
    pub user: Option<Text<32>>,
    /// The state of its socket.
    pub state: SocketState,
    /// Its address.
    pub address: Option<Address>,
    /// Its peer.
    pub remote: Option<Address>,
    /// Its socket's cookie.
    #[serde(serialize_with = "crate::attempt::cookie")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<std::string::String>"))]
    pub cookie: Option<u64>,
    /// Its socket's inode.
    pub inode: Option<u32>,
    /// Time until the kernel drops the socket, milliseconds.
    pub expires_ms: Option<u64>,
    /// Why pid or program are missing.
    pub unknown: Option<Why>,
}

impl Holder {
    /// Nobody yet.
    pub(crate) const NONE: Self = Self {
        pid: None,
        program: None,
        script: None,
        uid: None,
        user: None,
        state: SocketState::Close,
        address: None,
        remote: None,
        cookie: None,
        inode: None,
        expires_ms: None,
        unknown: None,
    };
}

/// Something that helps.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Fix {
    /// In words.
    pub say: Text<192>,
    /// The command that does it.
    pub run: Option<Text<160>>,
}

/// A fact that is missing, and why.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Missing {
    /// The fact.
    pub what: &'static str,
    /// The reason.
    pub why: Why,
}

/// Why a call failed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Diagnosis {
    /// Who or what holds the port, or what refused.
    pub cause: Cause,
    /// Why that conflicts, and a second obstacle behind the first.
    #[cfg_attr(feature = "schema", schemars(with = "std::vec::Vec<Cause>"))]
    pub also: ArrayVec<Cause, 3>,
    /// How sure this is.
    pub certainty: Certainty,
    /// One sentence for a person.
    pub summary: Text<384>,
    /// Who holds the port.
    #[cfg_attr(feature = "schema", schemars(with = "std::vec::Vec<Holder>"))]
    pub holders: ArrayVec<Holder, MAX_HOLDERS>,
    /// How many there are, also those that are not listed.
    pub holders_total: u32,
    /// Whether SO_REUSEADDR on the new socket would have cured it; `null`: may, or not known.
    pub reuseaddr_cures: Option<bool>,
    /// Whether waiting cures it; `null`: may, or not known.
    pub retry_cures: Option<bool>,
    /// When it will work, in milliseconds from now, where that is known.
    pub retry_after_ms: Option<u64>,
    /// What helps, best first.
    #[cfg_attr(feature = "schema", schemars(with = "std::vec::Vec<Fix>"))]
    pub fixes: ArrayVec<Fix, 4>,
    /// Facts that are missing, and why.
    #[cfg_attr(feature = "schema", schemars(with = "std::vec::Vec<Missing>"))]
    pub unknown: ArrayVec<Missing, 6>,
}

impl Diagnosis {
    /// Nothing known.
    pub const NONE: Self = Self {
        cause: Cause::Unknown,
        also: ArrayVec::new_const(),
        certainty: Certainty::Possible,
        summary: Text::EMPTY,
        holders: ArrayVec::new_const(),
        holders_total: 0,
        reuseaddr_cures: None,
        retry_cures: None,
        retry_after_ms: None,
        fixes: ArrayVec::new_const(),
        unknown: ArrayVec::new_const(),
    };
}

/// What is left out of a line that would be too long, in this order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Cut {
    /// Nothing.
    Nothing,
    /// Programs keep their last 128 bytes.
    Programs,
    /// And fixes go.
    Fixes,
    /// And holders beyond three.
    Holders,
    /// And the summary.
    Summary,
    /// And all holders: three whose names are of characters that JSON escapes are too long.
    AllHolders,
}

impl Cut {
    /// The steps, mildest first.
    pub const STEPS: [Self; 6] = [
        Self::Nothing,
        Self::Programs,
        Self::Fixes,
        Self::Holders,
        Self::Summary,
        Self::AllHolders,
    ];

    /// Cuts `diagnosis` as this step says.
    pub fn apply(self, diagnosis: &mut Diagnosis) {
        if self >= Self::Programs {
            for program in diagnosis.holders.iter_mut().filter_map(|h| h.program.as_mut()) {
                *program = Text::from(program.last(128));
            }
        }
        if self >= Self::Fixes {
            diagnosis.fixes.clear();
        }
        if self >= Self::Holders {
            diagnosis.holders.truncate(3);
        }
        if self >= Self::Summary {
            diagnosis.summary.clear();
        }
        if self >= Self::AllHolders {
            diagnosis.holders.clear();
        }
    }
}
