//! Linux: which two sockets with overlapping addresses may have one port, by their options, users
//! and states.
//!
//! TCP: `inet_bind_conflict` (net/ipv4/inet_connection_sock.c, Linux 6.18), which decides a bind and
//! is asked once more by listen. UDP: `udp_lib_lport_inuse` (net/ipv4/udp.c). What a socket's options
//! are is not always to be seen, so that an answer may be `None`: it depends on what is not known.

use crate::facts::SocketState;

/// What a socket says of sharing its port; `None` is what is not known. A connection that was
/// accepted has the options of its listener, and so has its TIME_WAIT.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sharing {
    /// `SO_REUSEADDR` (socket(7)).
    pub reuseaddr: Option<bool>,
    /// `SO_REUSEPORT` (socket(7)).
    pub reuseport: Option<bool>,
    /// The user who made the socket; the kernel forgets that of a TIME_WAIT.
    pub uid: Option<u32>,
}

impl Sharing {
    /// Whether a socket in `state` gives way to one that has SO_REUSEADDR: it has the option too, and
    /// does not listen. Users play no part.
    #[must_use]
    pub fn gives_way(&self, state: SocketState) -> Option<bool> {
        and(self.reuseaddr, Some(state != SocketState::Listen))
    }

    /// Whether both have SO_REUSEPORT and are of one user, whom a TIME_WAIT no longer has.
    fn shares(&self, holder: &Self, state: SocketState) -> Option<bool> {
        let same_user = match (self.uid, holder.uid) {
            _ if state == SocketState::TimeWait => Some(true),
            (Some(ours), Some(theirs)) => Some(ours == theirs),
            _ => None,
        };
        and(and(self.reuseport, holder.reuseport), same_user)
    }

    /// Whether `holder`, in `state`, keeps this socket off a port that both want at overlapping
    /// addresses ([`Reach::overlaps`](super::Reach::overlaps)): in bind, and for TCP in listen.
    #[must_use]
    pub fn is_refused_by(&self, holder: &Self, state: SocketState) -> Option<bool> {
        let reuses = and(self.reuseaddr, holder.gives_way(state));
        and(not(reuses), not(self.shares(holder, state)))
    }

    /// The same where the kernel is to choose a port (port 0), and looks at one that `holder` has
    /// (`inet_csk_find_open_port`): then TCP shares nothing, unless the sysctl
    /// `net.ipv4.ip_autobind_reuse` is on, no port is free without, and SO_REUSEADDR alone would
    /// share it. UDP makes no difference.
    #[must_use]
    pub fn is_not_chosen_beside(
        &self,
        holder: &Self,
        state: SocketState,
        autobind_reuse: bool,
    ) -> Option<bool> {
        if state == SocketState::Udp {
            return self.is_refused_by(holder, state);
        }
        let reuses = and(self.reuseaddr, holder.gives_way(state));
        let alone = and(reuses, not(self.shares(holder, state)));
        not(and(Some(autobind_reuse), alone))
    }
}

fn not(a: Option<bool>) -> Option<bool> {
    a.map(|a| !a)
}

/// What is not known matters only where the other one is true.
pub(crate) fn and(a: Option<bool>, b: Option<bool>) -> Option<bool> {
    match (a, b) {
        (Some(false), _) | (_, Some(false)) => Some(false),
        (Some(true), Some(true)) => Some(true),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::vec;
    use std::vec::Vec;

    use super::*;

    use SocketState::{Bound, Established, Listen, TimeWait, Udp};

    const OURS: u32 = 1000;

    /// Neither option, SO_REUSEADDR, SO_REUSEPORT, both.
    fn sharings(uid: u32) -> [Sharing; 4] {
        [(false, false), (true, false), (false, true), (true, true)].map(|(addr, port)| Sharing {
            reuseaddr: Some(addr),
            reuseport: Some(port),
            uid: Some(uid),
        })
    }

    /// Holders down, attempts across, both in the order of `sharings`; x: refused. The first row of
    /// tables is that of holders of the same user, the second that of others'.
    const RULES: [(SocketState, [[&str; 4]; 2]); 5] = [
        (Bound, [["xxxx", "x.x.", "xx..", "x..."], ["xxxx", "x.x.", "xxxx", "x.x."]]),
        (Established, [["xxxx", "x.x.", "xx..", "x..."], ["xxxx", "x.x.", "xxxx", "x.x."]]),
        (Listen, [["xxxx", "xxxx", "xx..", "xx.."], ["xxxx", "xxxx", "xxxx", "xxxx"]]),
        // Users play no part.
        (TimeWait, [["xxxx", "x.x.", "xx..", "x..."], ["xxxx", "x.x.", "xx..", "x..."]]),
        (Udp, [["xxxx", "x.x.", "xx..", "x..."], ["xxxx", "x.x.", "xxxx", "x.x."]]),
    ];

    /// All the rules as pairs, with what they say.
    fn cells() -> impl Iterator<Item = (Sharing, Sharing, SocketState, bool)> {
        RULES.into_iter().flat_map(|(state, tables)| {
            [OURS, 0].into_iter().zip(tables).flat_map(move |(uid, table)| {
                sharings(uid).into_iter().zip(table).flat_map(move |(holder, row)| {
                    let attempts = sharings(OURS).into_iter().zip(row.chars());
                    attempts.map(move |(asked, cell)| (asked, holder, state, cell == 'x'))
                })
            })
        })
    }

    #[test]
    fn every_pair_of_options_is_as_the_kernel_has_it() {
        assert_eq!(cells().count(), 5 * 2 * 4 * 4);
        for (asked, holder, state, refused) in cells() {
            let told = asked.is_refused_by(&holder, state);
            assert_eq!(told, Some(refused), "{asked:?} beside {holder:?}, {state:?}");
        }
    }

    #[test]
    fn what_is_not_known_is_unknown_only_where_it_decides() {
        for (asked, holder, state, refused) in cells() {
            for blurred in [
                Sharing { reuseaddr: None, ..holder },
                Sharing { reuseport: None, ..holder },
                Sharing { uid: None, ..holder },
                Sharing { reuseaddr: None, reuseport: None, uid: None },
            ] {
                // What an unknown may be, by trying all that it may be.
                let options = |known: Option<bool>| match known {
                    Some(known) => vec![known],
                    None => vec![false, true],
                };
                let users = blurred.uid.map_or(vec![OURS, 0], |uid| vec![uid]);
                let mut answers = Vec::new();
                for reuseaddr in options(blurred.reuseaddr) {
                    for reuseport in options(blurred.reuseport) {
                        for uid in &users {
                            let (reuseaddr, reuseport) = (Some(reuseaddr), Some(reuseport));
                            let holder = Sharing { reuseaddr, reuseport, uid: Some(*uid) };
                            answers.push(asked.is_refused_by(&holder, state).unwrap());
                        }
                    }
                }
                assert!(answers.contains(&refused));
                answers.dedup();
                let expected = if let [one] = answers[..] { Some(one) } else { None };
                let told = asked.is_refused_by(&blurred, state);
                assert_eq!(told, expected, "{asked:?} beside {blurred:?}, {state:?}");
            }
        }
    }

    #[test]
    fn a_port_of_the_kernels_choice_is_shared_less() {
        for (asked, holder, state, refused) in cells() {
            let beside = |reuse| asked.is_not_chosen_beside(&holder, state, reuse).unwrap();
            if state == Udp {
                assert_eq!((beside(false), beside(true)), (refused, refused));
                continue;
            }
            assert!(beside(false), "{asked:?} beside {holder:?}, {state:?}");
            let by_reuseaddr =
                asked.reuseaddr == Some(true) && holder.reuseaddr == Some(true) && state != Listen;
            let by_reuseport = asked.reuseport == Some(true)
                && holder.reuseport == Some(true)
                && (state == TimeWait || holder.uid == Some(OURS));
            let expected = !by_reuseaddr || by_reuseport;
            assert_eq!(beside(true), expected, "{asked:?} beside {holder:?}, {state:?}");
        }
    }
}
