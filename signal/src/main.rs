//! The program of a node as it is shipped: with the protocols' own handlers, and open to everybody.

use std::process::ExitCode;

use signal::node::Node;
use signal::program;

fn main() -> ExitCode {
    program::run(Node::builder)
}
