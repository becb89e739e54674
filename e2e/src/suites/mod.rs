//! The tests, by subject.

mod api;
mod bad_archives;
mod bad_guests;
mod brand;
mod build;
mod cli;
mod cli_input;
mod commit;
mod daemonless;
mod foreign;
mod image_rules;
mod images;
mod lifecycle;
mod programs;
mod python;
mod quickstart;
mod registry;
mod run;
mod terminals;

use crate::Test;

/// All tests, in the order in which they start: the long ones first, so that the end is not one of them alone.
pub(crate) fn all() -> Vec<Test> {
    [
        programs::TESTS,
        build::PROGRAM_TESTS,
        build::BASE_TESTS,
        bad_guests::TESTS,
        lifecycle::TESTS,
        images::TESTS,
        image_rules::TESTS,
        commit::TESTS,
        foreign::TESTS,
        python::TESTS,
        bad_archives::TESTS,
        registry::TESTS,
        brand::TESTS,
        terminals::TESTS,
        run::TESTS,
        api::TESTS,
        daemonless::TESTS,
        quickstart::TESTS,
        cli::TESTS,
        cli_input::TESTS,
    ]
    .concat()
}

/// A suite's list: `tests!("suite", 60; name, other; programs: third)`.
macro_rules! tests {
    ($suite:literal, $seconds:literal; $($name:ident),* $(,)?) => {
        &[$(crate::Test { suite: $suite, name: stringify!($name), seconds: $seconds, programs: false, run: $name }),*]
    };
}
pub(crate) use tests;
