//! The abstract name is taken: it lives as long as its socket.

use crate::address::Address;
use crate::cause::Cause;
use crate::facts::{Fact, Why};
use crate::record::{Certainty, Diagnosis};

use super::super::Case;
use super::super::tell::{fix, fix_by, found, say};
use super::taken::Owner;

pub(super) fn taken(
    case: &Case<'_>,
    address: &Address,
    name: &str,
    diagnosis: &mut Diagnosis,
) -> bool {
    match case.facts.path.used {
        Fact::Known(Some(_)) => {}
        Fact::Known(None) => {
            say!(diagnosis.summary, "{address} was taken when bind was called, and is free by now");
            return false;
        }
        Fact::Unknown(Why::Failed) if name.contains("\\x") => {
            say!(
                diagnosis.summary,
                "{address} is taken; by whom is unknown: not all of its bytes are printable, so that other names look the same"
            );
            return false;
        }
        Fact::Unknown(why) => {
            say!(diagnosis.summary, "{address} is taken; by whom is unknown: {}", why.phrase());
            return false;
        }
    }
    let socket = case.facts.sockets.first();
    let owner = socket.and_then(|socket| socket.owner.known());
    found(diagnosis, Cause::AbstractNameTaken, Certainty::Certain);
    say!(diagnosis.summary, "{} already has the abstract name {address}", Owner(socket));
    diagnosis.retry_cures = match owner {
        Some(owner) if owner.is_own => Some(false),
        Some(owner) if owner.exiting => Some(true),
        _ => None,
    };
    if let Some(owner) = owner.filter(|owner| !owner.is_own && owner.pid > 1) {
        fix_by(
            diagnosis,
            format_args!("stop it if you do not need it; its name goes with it"),
            format_args!("kill {}", owner.pid),
        );
    }
    fix(diagnosis, format_args!("give one of the two another name"));
    true
}
