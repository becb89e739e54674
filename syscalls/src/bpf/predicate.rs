//! Predicates over the argument words of a call: what they mean, apart from how the filter computes it.
//!
//! A predicate is a disjunction of conjunctions of tests. A test takes one argument, cuts it to the width at which
//! the kernel looks at it, masks it, and asks whether the outcome is one of a set of values.
//!
//! The width matters twice. A test of 32 bits where the kernel takes 64 lets a guest hide in the upper half what the
//! test does not see. A test of 64 bits where the kernel takes an int sends honest calls to the supervisor, because
//! compilers leave anything they like in the upper half.

pub use crate::arg::Width;

/// One test of one argument.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Test {
    /// Which argument, from 0 to 5.
    pub arg: u8,
    /// How much of it is looked at.
    pub width: Width,
    /// Which bits of it.
    pub mask: u64,
    /// Whether the values are those for which the test holds (true) or those for which it fails.
    pub member: bool,
    /// The values.
    pub values: &'static [u64],
}

impl Test {
    /// A test of an int argument.
    pub(crate) const fn u32(arg: u8, mask: u64, member: bool, values: &'static [u64]) -> Self {
        let mut i = 0;
        while i < values.len() {
            assert!(values[i] <= u32::MAX as u64, "a value that an int cannot have");
            i += 1;
        }
        Self { arg, width: Width::Low32, mask: mask & u32::MAX as u64, member, values }
    }

    /// A test of a long or pointer argument.
    pub(crate) const fn u64(arg: u8, mask: u64, member: bool, values: &'static [u64]) -> Self {
        Self { arg, width: Width::Full64, mask, member, values }
    }

    /// Whether the test holds for these argument words.
    pub fn holds(&self, args: &[u64; 6]) -> bool {
        let word = args.get(usize::from(self.arg)).copied().unwrap_or(0);
        let seen = match self.width {
            Width::Low32 => word & u64::from(u32::MAX),
            Width::Full64 => word,
        };
        self.values.contains(&(seen & self.mask)) == self.member
    }
}

/// Alternatives, each of which is a list of tests that must all hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Predicate {
    /// The alternatives.
    pub any: &'static [&'static [Test]],
}

impl Predicate {
    /// Whether the predicate holds for these argument words.
    pub fn holds(&self, args: &[u64; 6]) -> bool {
        self.any.iter().any(|all| all.iter().all(|test| test.holds(args)))
    }
}
