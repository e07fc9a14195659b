//! The JSON Schema of a record, made from the record's own types.

use bindshim_core::record::{AttemptLine, NoticeLine, VERSION};
use schemars::Schema;
use schemars::generate::SchemaSettings;
use serde::Serialize;
use serde_json::{Value, json};

/// The schema of one line of a log: an attempt or a notice.
///
/// Every key that a line has today is required. Others may come without a new version, so a line
/// with more keys is valid too.
#[must_use]
pub fn document() -> Value {
    let mut generator = SchemaSettings::draft2020_12().for_serialize().into_generator();
    let lines =
        [generator.subschema_for::<AttemptLine<'_>>(), generator.subschema_for::<NoticeLine<'_>>()];
    let mut definitions = generator.take_definitions(true);
    for (name, title, kinds, description) in [
        (
            "AttemptLine",
            "attempt",
            &["attempt", "answer"][..],
            "One call of a program and what came of it, or what bindshim why answers.",
        ),
        (
            "NoticeLine",
            "notice",
            &["notice"],
            "What is not about one call: a bad setting, lines that were lost, a child that is not \
             covered.",
        ),
    ] {
        let line = &mut definitions[name];
        line["title"] = json!(title);
        line["description"] = json!(description);
        set_values(line, "v", &[VERSION]);
        set_values(line, "kind", kinds);
    }
    definitions.retain(|name, _| !name.ends_with("Kind"));
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": format!("bindshim record, version {VERSION}"),
        "description": "One line of a bindshim log. A reader must accept keys that it does not \
                        know.",
        "oneOf": lines.map(Schema::to_value),
        "$defs": definitions,
    })
}

/// Says that `key` always has one of these values: it tells one kind of line from another.
fn set_values(line: &mut Value, key: &str, values: &[impl Serialize]) {
    let property = &mut line["properties"][key];
    let description = property["description"].take();
    *property = json!({"description": description, "enum": values});
}

#[cfg(test)]
mod tests {
    use arrayvec::ArrayVec;
    use bindshim_core::address::{Address, Families};
    use bindshim_core::attempt::{Attempt, Function, OptionValue, SocketOption};
    use bindshim_core::code::{self, Code};
    use bindshim_core::facts::SocketState;
    use bindshim_core::record::{
        Action, Cut, Diagnosis, Envelope, Event, Fix, Holder, Identity, Missing,
    };
    use bindshim_core::{cause::Cause, facts::Why};

    use super::*;

    fn identity() -> Identity {
        Identity {
            host: "web-3".into(),
            ppid: 1,
            start: Some(812_345),
            program: None,
            script: None,
        }
    }

    fn envelope(identity: &Identity) -> Envelope<'_> {
        Envelope {
            unix_ns: 1_795_227_660_123_456_789,
            mono_ns: 8_123_456_789,
            run: Some("9f2c1e0b7a44d310"),
            seq: 7,
            dropped: 0,
            pid: 4312,
            tid: 4312,
            uid: Some(33),
            identity,
        }
    }

    fn errors(line: &Value) -> Vec<String> {
        let validator = jsonschema::draft202012::new(&document()).unwrap();
        validator.iter_errors(line).map(|error| error.to_string()).collect()
    }

    fn value(line: &impl Serialize) -> Value {
        serde_json::to_value(line).unwrap()
    }

    fn success(identity: &Identity) -> Value {
        let mut attempt = Attempt::new(Function::Setsockopt, 6);
        let option = OptionValue::Unreadable;
        attempt.option =
            Some(SocketOption { level: "SOL_SOCKET", name: "SO_REUSEADDR", value: option });
        let event = Event {
            attempt: &attempt,
            outcome: Ok(()),
            warning: false,
            duration_us: 1,
            diagnosis_us: None,
            attempts: 1,
            waited_ms: 0,
            actions: &[],
            diagnosis: None,
        };
        value(&AttemptLine::new(&envelope(identity), &event, Cut::Nothing))
    }

    fn failure(identity: &Identity) -> Value {
        let sockaddr = [&2u16.to_ne_bytes()[..], &[0x1f, 0x90, 0, 0, 0, 0], &[0; 8]].concat();
        let address = Address::decode(&sockaddr, Families::LINUX);
        let mut attempt = Attempt::new(Function::Bind, 6);
        attempt.address = address.clone();
        let holder = Holder {
            pid: None,
            program: Some("/usr/bin/nginx".into()),
            script: None,
            uid: Some(0),
            user: None,
            state: SocketState::Listen,
            address,
            remote: None,
            cookie: Some(3071),
            inode: Some(26_698),
            expires_ms: None,
            unknown: Some(Why::Permission),
        };
        let diagnosis = Diagnosis {
            cause: Cause::OtherProgramListening,
            also: ArrayVec::from_iter([Cause::Unknown]),
            holders: ArrayVec::from_iter([holder]),
            fixes: ArrayVec::from_iter([Fix { say: "stop it".into(), run: None }]),
            unknown: ArrayVec::from_iter([Missing { what: "user", why: Why::Budget }]),
            ..Diagnosis::NONE
        };
        let event = Event {
            attempt: &attempt,
            outcome: Err(Code::linux(code::EADDRINUSE)),
            warning: false,
            duration_us: 3,
            diagnosis_us: Some(61),
            attempts: 2,
            waited_ms: 10,
            actions: &[Action::Retried { times: 1 }],
            diagnosis: Some(&diagnosis),
        };
        value(&AttemptLine::new(&envelope(identity), &event, Cut::Nothing))
    }

    #[test]
    fn lines_are_valid() {
        let identity = identity();
        let notice = NoticeLine::new(&envelope(&identity), "bad_setting", "x");
        let mut answer = failure(&identity);
        answer["kind"] = json!("answer");
        for line in [success(&identity), failure(&identity), answer, value(&notice)] {
            assert_eq!(errors(&line), Vec::<String>::new(), "{line}");
        }
    }

    #[test]
    fn every_key_is_required_and_more_are_allowed() {
        let line = failure(&identity());
        let keys: Vec<_> = line.as_object().unwrap().keys().cloned().collect();
        for key in keys {
            let mut shorter = line.clone();
            shorter.as_object_mut().unwrap().shift_remove(&key);
            assert_ne!(errors(&shorter), Vec::<String>::new(), "without {key}");
        }
        let mut shorter = line.clone();
        shorter["diagnosis"]["holders"][0].as_object_mut().unwrap().shift_remove("pid");
        assert_ne!(errors(&shorter), Vec::<String>::new());
        let mut longer = line;
        longer["later"] = json!(1);
        assert_eq!(errors(&longer), Vec::<String>::new());
    }
}
