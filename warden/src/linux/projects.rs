//! Project numbers of one depot. Pure: whether the kernel knows a number is told.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// Numbers per depot; no depot has as many containers.
const COUNT: u32 = 4096;
/// Below are the numbers that people and other programs choose.
const FIRST: u32 = 1 << 30;
/// As many depots have ranges of their own.
const RANGES: u32 = 1 << 18;

/// The numbers of one depot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Range {
    first: u32,
}

impl Range {
    /// The range of a tag; `None` if one of the other depots on this host has
    /// the same one, which would then remove what is ours.
    pub(crate) fn of(tag: &str, others: impl IntoIterator<Item = impl AsRef<str>>) -> Option<Self> {
        let range = Self::by_tag(tag);
        let taken = others
            .into_iter()
            .any(|other| other.as_ref() != tag && Self::by_tag(other.as_ref()) == range);
        (!taken).then_some(range)
    }

    fn by_tag(tag: &str) -> Self {
        // A tag is six hex digits.
        let number = u32::from_str_radix(tag, 16).unwrap_or(0) % RANGES;
        Self {
            first: FIRST + number * COUNT,
        }
    }

    /// Its lowest number; no container gets it, it is for trials.
    pub(crate) fn first(self) -> u32 {
        self.first
    }

    /// Whether a number is one of this depot's.
    pub(crate) fn contains(self, project: u32) -> bool {
        (self.first..self.first + COUNT).contains(&project)
    }
}

/// Numbers in use.
#[derive(Debug)]
pub(crate) struct Projects {
    range: Range,
    held: BTreeSet<u32>,
    next: u32,
}

impl Projects {
    pub(crate) fn new(range: Range) -> Self {
        Self {
            range,
            held: BTreeSet::new(),
            next: 1,
        }
    }

    /// A number that nobody holds and that the kernel knows nothing of (what is
    /// still being removed counts); goes round, so that one is used again late.
    pub(crate) fn take(&mut self, unknown: impl Fn(u32) -> bool) -> Option<u32> {
        for step in 0..COUNT - 1 {
            let offset = (self.next - 1 + step) % (COUNT - 1) + 1;
            let project = self.range.first + offset;
            if !self.held.contains(&project) && unknown(project) {
                self.next = offset % (COUNT - 1) + 1;
                self.held.insert(project);
                return Some(project);
            }
        }
        None
    }

    /// Marks an adopted container's number.
    pub(crate) fn adopt(&mut self, project: u32) {
        self.held.insert(project);
    }

    /// Gives a number back.
    pub(crate) fn free(&mut self, project: u32) {
        self.held.remove(&project);
    }

    /// Numbers in use.
    pub(crate) fn held(&self) -> &BTreeSet<u32> {
        &self.held
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn range(tag: &str) -> Range {
        Range::of(tag, [""; 0]).unwrap()
    }

    #[test]
    fn ranges_of_different_tags_are_apart() {
        let (low, high) = (range("000000"), range("03ffff"));
        assert_eq!(low.first(), 1 << 30);
        assert_eq!(high.first(), (1 << 31) - COUNT);
        assert!(!range("000001").contains(low.first() + COUNT - 1));
        assert!(range("000001").contains(low.first() + COUNT));
    }

    #[test]
    fn a_depot_whose_range_is_another_ones_has_none() {
        assert_eq!(Range::of("000001", ["000002", "040001"]), None);
        assert!(Range::of("000001", ["000001", "000002"]).is_some());
    }

    #[test]
    fn a_number_is_given_once_and_only_if_the_kernel_knows_nothing_of_it() {
        let mut projects = Projects::new(range("000000"));
        let known = (1 << 30) + 2;
        let mut take = || projects.take(|project| project != known);
        let first: Vec<u32> = (0..3).map(|_| take().unwrap()).collect();
        assert_eq!(first, [1, 3, 4].map(|n| (1 << 30) + n));
        let rest = std::iter::from_fn(take).count();
        assert_eq!(rest as u32, COUNT - 1 - 4);
    }

    #[test]
    fn a_freed_number_is_used_again_as_late_as_possible() {
        let mut projects = Projects::new(range("000000"));
        let all: Vec<u32> = std::iter::from_fn(|| projects.take(|_| true)).collect();
        assert_eq!(all.len() as u32, COUNT - 1);
        projects.free(all[7]);
        projects.free(all[5]);
        projects.adopt(all[5]);
        assert_eq!(projects.take(|_| true), Some(all[7]));
        assert_eq!(projects.take(|_| true), None);
    }
}
