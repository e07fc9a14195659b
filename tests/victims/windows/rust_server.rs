//! A server as Rust makes it: listens on the address that it is given, and says what came of it.

use std::net::TcpListener;

fn main() {
    let address = std::env::args().nth(1).expect("an address");
    match TcpListener::bind(&address) {
        Ok(_) => println!("listening"),
        Err(error) => println!("error {:?}", error.raw_os_error()),
    }
}
