//! The sockets on a port: rows of the tables, and what was seen of this process's own.

use arrayvec::ArrayVec;
use bindshim_core::address::Address;
use bindshim_core::facts::{MAX_SOCKETS, SocketState};

use super::seen::Known;
use super::tables::Row;

/// The rows that are told, the most telling first.
#[derive(Default)]
pub(super) struct Found {
    pub(super) rows: ArrayVec<(Row, Option<Known>), MAX_SOCKETS>,
    pub(super) total: u32,
}

impl Found {
    pub(super) fn add(&mut self, row: Row) {
        self.total += 1;
        let at = self.rows.iter().position(|(other, _)| rank(other.state) > rank(row.state));
        let at = at.unwrap_or(self.rows.len());
        if self.rows.is_full() {
            if at == self.rows.len() {
                return;
            }
            self.rows.pop();
        }
        self.rows.insert(at, (row, None));
    }

    /// Adds a socket of this process, or says of its row that it is one.
    pub(super) fn add_own(&mut self, pid: u32, known: &Known) {
        let Some(local) = &known.bound else { return };
        let state = match (known.is_udp, known.listens) {
            (true, _) => SocketState::Udp,
            (_, true) => SocketState::Listen,
            _ => SocketState::Bound,
        };
        let row = self.rows.iter_mut().find(|(row, taken)| {
            taken.is_none()
                && row.state == state
                && row.local == *local
                && (row.pid == pid || row.pid == 0)
        });
        match row {
            Some((row, place)) => {
                row.pid = pid;
                *place = Some(known.clone());
            }
            None => {
                self.add(Row { state, local: local.clone(), remote: None, pid });
                let new = self.rows.iter_mut().find(|(row, taken)| {
                    taken.is_none() && row.state == state && row.local == *local && row.pid == pid
                });
                if let Some((_, place)) = new {
                    *place = Some(known.clone());
                }
            }
        }
    }

    /// Leaves out the row of the socket that was just bound itself: a table shows it, too.
    pub(super) fn forget_one(&mut self, pid: u32, local: Option<&Address>, is_udp: bool) {
        let own = self.rows.iter().position(|(row, taken)| {
            taken.is_none()
                && (row.pid == pid || row.pid == 0)
                && Some(&row.local) == local
                && matches!(row.state, SocketState::Udp | SocketState::Bound)
                && (row.state == SocketState::Udp) == is_udp
        });
        if let Some(own) = own {
            self.rows.remove(own);
            self.total -= 1;
        }
    }
}

/// How little a state tells of who holds a port.
fn rank(state: SocketState) -> u8 {
    match state {
        SocketState::Listen => 0,
        SocketState::Bound | SocketState::Udp => 1,
        SocketState::TimeWait => 3,
        _ => 2,
    }
}
