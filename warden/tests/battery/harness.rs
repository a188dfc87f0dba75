//! As much of a test harness as cargo and nextest ask for.

use std::panic::catch_unwind;
use std::process::ExitCode;

/// One test.
pub(crate) struct Test {
    name: &'static str,
    run: fn(),
    ignored: bool,
}

impl Test {
    pub(crate) const fn new(name: &'static str, run: fn()) -> Self {
        Self {
            name,
            run,
            ignored: false,
        }
    }

    /// Runs only when asked for with `--ignored`.
    pub(crate) const fn ignored(name: &'static str, run: fn()) -> Self {
        Self {
            name,
            run,
            ignored: true,
        }
    }

    fn chosen(&self, args: &Args) -> bool {
        let named = |filter: &String| match args.exact {
            true => self.name == filter,
            false => self.name.contains(filter.as_str()),
        };
        self.ignored == args.ignored && (args.filters.is_empty() || args.filters.iter().any(named))
    }
}

#[derive(Default)]
struct Args {
    list: bool,
    exact: bool,
    ignored: bool,
    filters: Vec<String>,
}

impl Args {
    fn parse(words: &[String]) -> Self {
        let mut args = Self::default();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            match word.as_str() {
                "--list" => args.list = true,
                "--exact" => args.exact = true,
                "--ignored" => args.ignored = true,
                // Options with a value that changes nothing here.
                "--format" | "--test-threads" | "--color" => drop(words.next()),
                word if word.starts_with('-') => {}
                filter => args.filters.push(filter.to_owned()),
            }
        }
        args
    }
}

/// Lists or runs the chosen tests, one after the other.
pub(crate) fn main(tests: &[Test], words: &[String]) -> ExitCode {
    let args = Args::parse(words);
    let chosen = tests.iter().filter(|test| test.chosen(&args));
    if args.list {
        chosen.for_each(|test| println!("{}: test", test.name));
        return ExitCode::SUCCESS;
    }
    let mut failed = 0;
    for test in chosen {
        println!("test {} ...", test.name);
        let passed = catch_unwind(test.run).is_ok();
        println!(
            "test {} {}",
            test.name,
            if passed { "ok" } else { "FAILED" }
        );
        failed += u32::from(!passed);
    }
    ExitCode::from(u8::from(failed > 0))
}
