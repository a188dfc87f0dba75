//! Where an instance or a staging goes. Pure: (advertisements, need, a random number) → a DEA or why none.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

/// How many of the roomiest stagers take turns.
const STAGER_CANDIDATES: usize = 5;

/// What a DEA last advertised, as placement sees it. Memory and disk in MB.
#[derive(Debug, Clone, PartialEq)]
pub struct Offer {
    /// DEA id.
    pub id: String,
    /// Stack names it can run.
    pub stacks: Vec<String>,
    /// May be negative.
    pub available_memory: i64,
    /// Absent counts as enough.
    pub available_disk: Option<i64>,
    /// Instances per app guid.
    pub app_counts: BTreeMap<String, u32>,
    /// Zone.
    pub zone: String,
}

/// What is to be placed. Memory and disk in MB.
#[derive(Debug, Clone, Copy)]
pub struct Need<'a> {
    /// Process guid, to spread its instances.
    pub process: &'a str,
    /// Stack name.
    pub stack: &'a str,
    /// Memory.
    pub memory: i64,
    /// Disk.
    pub disk: i64,
}

/// Why nothing fits: the scarce resource, the need and the best candidate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shortage {
    /// Nobody advertises at all.
    Nobody,
    /// Nobody offers the stack.
    Stack {
        /// The stack asked for.
        wanted: String,
        /// Stacks on offer.
        offered: Vec<String>,
    },
    /// Too little of something.
    Resource {
        /// `memory` or `disk`.
        what: &'static str,
        /// MB needed.
        need: i64,
        /// Candidates looked at.
        candidates: usize,
        /// The best candidate's id.
        best: String,
        /// MB the best candidate has.
        has: i64,
    },
}

impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Shortage::Nobody => write!(
                f,
                "none has advertised itself; is a DEA running and connected to the bus?"
            ),
            Shortage::Stack { wanted, offered } => {
                write!(
                    f,
                    "none offers the stack {wanted} (on offer: {})",
                    offered.join(", ")
                )
            }
            Shortage::Resource {
                what,
                need,
                candidates,
                best,
                has,
            } => {
                let short: String = best.chars().take(6).collect();
                write!(
                    f,
                    "need {need} MB {what}, the best of {candidates} ({short}…) has {has} MB"
                )
            }
        }
    }
}

/// Chooses a DEA for one instance: enough room, then the emptiest zone, then the fewest instances of
/// the process, then the roomier half, then by `random`.
///
/// # Errors
/// [`Shortage`].
pub fn choose_dea<'a>(
    offers: &'a [Offer],
    need: Need<'_>,
    random: u64,
) -> Result<&'a Offer, Shortage> {
    let mut fit = fitting(offers, need)?;
    let zones = zone_counts(offers, need.process);
    let in_zone = |offer: &Offer| zones.get(offer.zone.as_str()).copied().unwrap_or(0);
    keep_least(&mut fit, in_zone);
    keep_least(&mut fit, |offer| {
        offer.app_counts.get(need.process).copied().unwrap_or(0)
    });
    let mut memory: Vec<i64> = fit.iter().map(|offer| offer.available_memory).collect();
    memory.sort_unstable();
    let median = memory[memory.len() / 2];
    fit.retain(|offer| offer.available_memory >= median);
    Ok(fit[(random % fit.len() as u64) as usize])
}

/// Chooses a stager: one of the five with most memory, by `random`.
///
/// # Errors
/// [`Shortage`].
pub fn choose_stager<'a>(
    offers: &'a [Offer],
    need: Need<'_>,
    random: u64,
) -> Result<&'a Offer, Shortage> {
    let mut fit = fitting(offers, need)?;
    fit.sort_by(|a, b| {
        b.available_memory
            .cmp(&a.available_memory)
            .then_with(|| a.id.cmp(&b.id))
    });
    fit.truncate(STAGER_CANDIDATES);
    Ok(fit[(random % fit.len() as u64) as usize])
}

/// The offers that have the stack, the memory and the disk; never empty.
fn fitting<'a>(offers: &'a [Offer], need: Need<'_>) -> Result<Vec<&'a Offer>, Shortage> {
    if offers.is_empty() {
        return Err(Shortage::Nobody);
    }
    let stacked: Vec<&Offer> = offers
        .iter()
        .filter(|o| o.stacks.iter().any(|s| s == need.stack))
        .collect();
    if stacked.is_empty() {
        let mut offered: Vec<String> = offers.iter().flat_map(|o| o.stacks.clone()).collect();
        offered.sort();
        offered.dedup();
        return Err(Shortage::Stack {
            wanted: need.stack.to_owned(),
            offered,
        });
    }
    let roomy = enough("memory", &stacked, need.memory, |o| o.available_memory)?;
    enough("disk", &roomy, need.disk, |o| {
        o.available_disk.unwrap_or(i64::MAX)
    })
}

fn enough<'a>(
    what: &'static str,
    from: &[&'a Offer],
    need: i64,
    has: impl Fn(&Offer) -> i64,
) -> Result<Vec<&'a Offer>, Shortage> {
    let fit: Vec<&Offer> = from.iter().copied().filter(|o| has(o) >= need).collect();
    if !fit.is_empty() {
        return Ok(fit);
    }
    let best = from.iter().max_by_key(|o| has(o)).ok_or(Shortage::Nobody)?;
    Err(Shortage::Resource {
        what,
        need,
        candidates: from.len(),
        best: best.id.clone(),
        has: has(best),
    })
}

fn zone_counts<'a>(offers: &'a [Offer], process: &str) -> HashMap<&'a str, u32> {
    let mut zones: HashMap<&str, u32> = HashMap::new();
    for offer in offers {
        *zones.entry(&offer.zone).or_default() +=
            offer.app_counts.get(process).copied().unwrap_or(0);
    }
    zones
}

fn keep_least(fit: &mut Vec<&Offer>, count: impl Fn(&Offer) -> u32) {
    if let Some(least) = fit.iter().map(|offer| count(offer)).min() {
        fit.retain(|offer| count(offer) == least);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn offer(id: &str, memory: i64, zone: &str, count: u32) -> Offer {
        Offer {
            id: id.into(),
            stacks: vec!["host".into()],
            available_memory: memory,
            available_disk: Some(4096),
            app_counts: if count > 0 {
                BTreeMap::from([("p".to_string(), count)])
            } else {
                BTreeMap::new()
            },
            zone: zone.into(),
        }
    }

    fn need(memory: i64) -> Need<'static> {
        Need {
            process: "p",
            stack: "host",
            memory,
            disk: 1024,
        }
    }

    #[test]
    fn a_shortage_names_resource_need_and_best_candidate() {
        let offers = [offer("0-abcdef01", 512, "z", 0), offer("0-99", 256, "z", 0)];
        let shortage = choose_stager(&offers, need(1024), 0).unwrap_err();
        assert_eq!(
            shortage.to_string(),
            "need 1024 MB memory, the best of 2 (0-abcd…) has 512 MB"
        );
        let disk = Need {
            disk: 9999,
            ..need(1)
        };
        assert!(
            choose_dea(&offers, disk, 0)
                .unwrap_err()
                .to_string()
                .starts_with("need 9999 MB disk")
        );
        let stack = Need {
            stack: "debian12",
            ..need(1)
        };
        assert!(
            choose_dea(&offers, stack, 0)
                .unwrap_err()
                .to_string()
                .contains("on offer: host")
        );
        assert_eq!(choose_dea(&[], need(1), 0).unwrap_err(), Shortage::Nobody);
    }

    #[test]
    fn the_emptiest_zone_wins_over_the_roomiest_dea() {
        let offers = [
            offer("a", 9000, "z1", 1),
            offer("b", 1000, "z2", 0),
            offer("c", 8000, "z1", 0),
        ];
        for random in 0..7 {
            assert_eq!(choose_dea(&offers, need(64), random).unwrap().id, "b");
        }
    }

    #[test]
    fn within_a_zone_the_dea_with_fewest_instances_wins() {
        let offers = [offer("a", 9000, "z", 2), offer("b", 1000, "z", 1)];
        assert_eq!(choose_dea(&offers, need(64), 5).unwrap().id, "b");
    }

    #[test]
    fn only_the_roomier_half_takes_turns() {
        let offers: Vec<Offer> = (0..4)
            .map(|i| offer(&format!("d{i}"), 1000 + i * 100, "z", 0))
            .collect();
        let mut seen: Vec<String> = (0..8)
            .map(|r| choose_dea(&offers, need(64), r).unwrap().id.clone())
            .collect();
        seen.sort();
        seen.dedup();
        assert_eq!(seen, ["d2", "d3"]);
    }

    #[test]
    fn five_roomiest_stagers_take_turns() {
        let offers: Vec<Offer> = (0..8)
            .map(|i| offer(&format!("s{i}"), 2000 + i * 100, "z", 0))
            .collect();
        let mut seen: Vec<String> = (0..20)
            .map(|r| choose_stager(&offers, need(64), r).unwrap().id.clone())
            .collect();
        seen.sort();
        seen.dedup();
        assert_eq!(seen, ["s3", "s4", "s5", "s6", "s7"]);
    }
}
