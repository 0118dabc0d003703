//! `dondoc`: flags and exit code; everything else is the library's.

use std::process::ExitCode;

fn main() -> ExitCode {
    dondoc::cli::app::main()
}
