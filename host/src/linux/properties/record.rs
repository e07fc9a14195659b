//! The record of an attempt, and its explanation, of whatever was found out.

use arbitrary::{Arbitrary, Result, Unstructured};
use arrayvec::ArrayVec;
use bindshim_core::address::{Address, Families};
use bindshim_core::attempt::{
    Attempt, Family, Function, OptionValue, Protocol, Socket, SocketOption, SocketType,
};
use bindshim_core::cause::Cause;
use bindshim_core::code::{Code, System};
use bindshim_core::engine::{Answer, Command, Engine};
use bindshim_core::explain::{Style, explain};
use bindshim_core::facts::{Fact, Facts, SocketState, Why};
use bindshim_core::policy::Policy;
use bindshim_core::record::{
    Certainty, Diagnosis, Envelope, Fix, Holder, Identity, MAX_LINE, Missing, NoticeLine,
};
use bindshim_core::text::Text;

use super::is_one_line;
use crate::line::Line;

static NO_FACTS: Facts = Facts::NONE;

/// A record is always one line of JSON that fits, and its explanation at most eight lines.
pub fn record(bytes: &[u8]) {
    let mut source = Source(Unstructured::new(bytes));
    // Where the bytes are at their end, numbers are 0 and texts empty: there is always a record.
    source.check().expect("the end of the bytes is no error");
}

struct Source<'a>(Unstructured<'a>);

impl<'a> Source<'a> {
    fn any<T: Arbitrary<'a>>(&mut self) -> Result<T> {
        self.0.arbitrary()
    }

    fn one_of<T: Copy>(&mut self, all: &[T]) -> Result<T> {
        Ok(all[usize::from(self.any::<u8>()?) % all.len()])
    }

    /// Bytes as they come, or one byte many times: what is long is found fast.
    fn bytes(&mut self, most: usize) -> Result<Vec<u8>> {
        let wanted = usize::from(self.any::<u16>()?) % (most + 1);
        if self.any()? {
            Ok(vec![self.any()?; wanted])
        } else {
            Ok(self.0.bytes(wanted.min(self.0.len()))?.to_vec())
        }
    }

    fn text<const N: usize>(&mut self) -> Result<Text<N>> {
        Ok(Text::from_bytes(&self.bytes(N + 4)?))
    }

    fn maybe<T>(&mut self, make: impl FnOnce(&mut Self) -> Result<T>) -> Result<Option<T>> {
        if self.any()? { make(self).map(Some) } else { Ok(None) }
    }

    fn list<T, const N: usize>(
        &mut self,
        mut make: impl FnMut(&mut Self) -> Result<T>,
    ) -> Result<ArrayVec<T, N>> {
        let length = usize::from(self.any::<u8>()?) % (N + 1);
        (0..length).map(|_| make(self)).collect()
    }

    fn address(&mut self) -> Result<Option<Address>> {
        Ok(Address::decode(&self.bytes(128)?, Families::LINUX))
    }

    fn check(&mut self) -> Result<()> {
        let identity = Identity {
            host: self.text()?,
            ppid: self.any()?,
            start: self.any()?,
            program: self.maybe(Self::text)?,
            script: self.maybe(Self::text)?,
        };
        let run: Option<Text<16>> = self.maybe(Self::text)?;
        let envelope = Envelope {
            unix_ns: self.any()?,
            mono_ns: self.any()?,
            run: run.as_ref().map(Text::as_str),
            seq: self.any()?,
            dropped: self.any()?,
            pid: self.any()?,
            tid: self.any()?,
            uid: self.any()?,
            identity: &identity,
        };
        let attempt = self.attempt()?;
        let mut diagnosis = self.maybe(Self::diagnosis)?;
        let engine = self.engine(&attempt)?;
        let mut explanation = String::new();
        let event = engine.event(&attempt, diagnosis.as_ref());
        let explained = explain(&mut explanation, Style::Plain, &envelope, &event);
        assert!(explained.is_ok() && explanation.ends_with('\n'));
        assert!(explanation.lines().all(is_one_line) && explanation.lines().count() <= 8);

        let mut buffer = [0; MAX_LINE];
        let mut line = Line::new(&mut buffer);
        assert!(line.put_attempt(&envelope, &engine, &attempt, diagnosis.as_mut()), "it fits");
        is_one_record(line.as_bytes());

        let message: Text<512> = self.text()?;
        assert!(line.put(&NoticeLine::new(&envelope, "bad_setting", message.as_str())));
        is_one_record(line.as_bytes());
        Ok(())
    }

    fn attempt(&mut self) -> Result<Attempt> {
        let call = self.one_of(&[Function::Bind, Function::Listen, Function::Setsockopt])?;
        let names = ["SO_REUSEADDR", "IP_BIND_ADDRESS_NO_PORT", "SO_BINDTODEVICE"];
        Ok(Attempt {
            address: self.address()?,
            address_length: self.any()?,
            actual: self.address()?,
            option: self.maybe(|source| {
                let value = match source.maybe(Self::text)? {
                    Some(name) => OptionValue::Name(name),
                    None => source
                        .any::<Option<i64>>()?
                        .map_or(OptionValue::Unreadable, OptionValue::Number),
                };
                Ok(SocketOption { level: "SOL_SOCKET", name: source.one_of(&names)?, value })
            })?,
            backlog: self.any()?,
            socket: self.socket()?,
            ..Attempt::new(call, self.any()?)
        })
    }

    fn socket(&mut self) -> Result<Socket> {
        let number = self.any()?;
        let families = [Family::Inet, Family::Inet6, Family::Unix, Family::Other(number)];
        let kinds = [SocketType::Stream, SocketType::Datagram, SocketType::Other(number)];
        let protocols = [Protocol::Tcp, Protocol::Udp, Protocol::Mptcp, Protocol::Other(number)];
        Ok(Socket {
            cookie: self.any()?,
            family: self.maybe(|source| source.one_of(&families))?,
            kind: self.maybe(|source| source.one_of(&kinds))?,
            protocol: self.maybe(|source| source.one_of(&protocols))?,
            reuseaddr: self.any()?,
            reuseport: self.any()?,
            v6only: self.any()?,
        })
    }

    fn why(&mut self) -> Result<Why> {
        self.one_of(&[Why::NotAsked, Why::Permission, Why::Seccomp, Why::NoResources, Why::Failed])
    }

    fn holder(&mut self) -> Result<Holder> {
        Ok(Holder {
            pid: self.any()?,
            program: self.maybe(Self::text)?,
            script: self.maybe(Self::text)?,
            uid: self.any()?,
            user: self.maybe(Self::text)?,
            state: self.one_of(&[SocketState::Listen, SocketState::TimeWait, SocketState::Unix])?,
            address: self.address()?,
            remote: self.address()?,
            cookie: self.any()?,
            inode: self.any()?,
            expires_ms: self.any()?,
            unknown: self.maybe(Self::why)?,
        })
    }

    fn diagnosis(&mut self) -> Result<Diagnosis> {
        let certainties = [Certainty::Certain, Certainty::Probable, Certainty::Possible];
        Ok(Diagnosis {
            cause: self.one_of(Cause::ALL)?,
            also: self.list(|source| source.one_of(Cause::ALL))?,
            certainty: self.one_of(&certainties)?,
            summary: self.text()?,
            holders: self.list(Self::holder)?,
            holders_total: self.any()?,
            reuseaddr_cures: self.any()?,
            retry_cures: self.any()?,
            retry_after_ms: self.any()?,
            fixes: self
                .list(|source| Ok(Fix { say: source.text()?, run: source.maybe(Self::text)? }))?,
            unknown: self.list(|source| {
                Ok(Missing { what: "bound sockets without a listener", why: source.why()? })
            })?,
        })
    }

    /// An engine that is about to tell the attempt: a few rounds of whatever can happen before.
    fn engine(&mut self, attempt: &Attempt) -> Result<Engine> {
        let policy = Policy {
            reuseaddr: self.any()?,
            exclusive: self.any()?,
            reservation: self.any()?,
            retry_ns: self.any::<Option<u32>>()?.map(u64::from),
        };
        let mut diagnosis = Diagnosis::NONE;
        let mut engine = Engine::new(policy).looking_at_successes(System::Linux);
        let mut now_ns = u64::from(self.any::<u32>()?);
        let mut command = engine.step(Answer::Begin);
        for _ in 0..64 {
            let took_ns = u64::from(self.any::<u32>()?);
            now_ns += took_ns;
            let yes = self.any()?;
            command = engine.step(match command {
                Command::Describe => Answer::Described { attempt, program_cleared_reuseaddr: yes },
                Command::AskBoundElsewhere => Answer::BoundElsewhere(Fact::Known(yes)),
                Command::AskExclusive => Answer::Exclusive(Fact::Known(yes)),
                Command::SetReuseaddr(_) | Command::SetExclusive(_) => Answer::OptionSet(yes),
                Command::UseReservation => Answer::Reserved(None),
                Command::Call => {
                    let number = i32::from(self.any::<u8>()?);
                    let outcome = if yes { Ok(()) } else { Err(Code::linux(number)) };
                    Answer::Returned { outcome, took_ns, now_ns }
                }
                Command::Ask if yes => Answer::NoFacts,
                Command::Ask => {
                    let facts = &NO_FACTS;
                    let diagnosis = &mut diagnosis;
                    Answer::Facts { attempt, facts, diagnosis, took_ns, now_ns }
                }
                Command::WaitUntil(_) => Answer::Woke { now_ns, interrupted: yes },
                Command::Emit | Command::Return(_) => break,
            });
        }
        Ok(engine)
    }
}

fn is_one_record(line: &[u8]) {
    assert!(line.len() <= MAX_LINE);
    let text = std::str::from_utf8(line).expect("a record is UTF-8");
    let record = text.strip_suffix('\n').expect("a record ends in a newline");
    assert!(is_one_line(record));
    let value: serde_json::Value = serde_json::from_str(record).expect("a record is JSON");
    assert!(value.is_object());
}
