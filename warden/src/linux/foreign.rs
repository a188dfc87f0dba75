//! Chains of other programs that drop forwarded packets by policy, as dockerd
//! makes them. An accept of ours cannot overrule them from another table, so two
//! rules with our mark stand on their top.

use super::nft;
use crate::Result;

/// Where such chains are: family, table and name.
const CHAINS: [&str; 1] = ["ip filter FORWARD"];
/// The mark of every platform's rules begins like this.
const ANY_MARK: &str = "comment \"bloomery_";
/// One rule per direction.
const RULES: usize = 2;

/// Lets our links pass. Repeating it changes nothing, so that a dockerd that
/// starts, or starts anew, later is noticed too.
pub(crate) fn open(tag: &str) -> Result<()> {
    for chain in CHAINS {
        let Some(listing) = list(chain) else {
            continue;
        };
        if !drops(&listing) || on_top(&listing, &mark(tag)) {
            continue;
        }
        let mut script = removal(chain, &listing, tag);
        for direction in ["iifname", "oifname"] {
            script += &format!(
                "insert rule {chain} {direction} \"b{tag}*\" accept {}\n",
                mark(tag)
            );
        }
        nft::apply(&script)?;
    }
    Ok(())
}

/// Removes our rules again.
pub(crate) fn close(tag: &str) -> Result<()> {
    for chain in CHAINS {
        let script = list(chain).map(|listing| removal(chain, &listing, tag));
        if let Some(script) = script.filter(|script| !script.is_empty()) {
            nft::apply(&script)?;
        }
    }
    Ok(())
}

fn mark(tag: &str) -> String {
    format!("{ANY_MARK}{tag}\"")
}

/// `None` when there is no such chain.
fn list(chain: &str) -> Option<String> {
    let args: Vec<&str> = ["-a", "list", "chain"]
        .into_iter()
        .chain(chain.split(' '))
        .collect();
    nft::read(&args).ok()
}

fn drops(listing: &str) -> bool {
    listing.contains("hook forward") && listing.contains("policy drop")
}

/// Lines of a listing that are rules.
fn rules(listing: &str) -> impl Iterator<Item = &str> {
    listing
        .lines()
        .map(str::trim)
        .filter(|line| line.contains("# handle ") && !line.ends_with('{') && !line.contains("{ #"))
}

/// Whether nothing but rules of platforms stands above ours.
fn on_top(listing: &str, mark: &str) -> bool {
    let top = rules(listing).take_while(|rule| rule.contains(ANY_MARK));
    top.filter(|rule| rule.contains(mark)).count() >= RULES
}

fn removal(chain: &str, listing: &str, tag: &str) -> String {
    let mark = mark(tag);
    rules(listing)
        .filter(|rule| rule.contains(&mark))
        .filter_map(|rule| rule.rsplit_once("# handle "))
        .map(|(_, handle)| format!("delete rule {chain} handle {}\n", handle.trim()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(rules: &[&str]) -> String {
        let head = "table ip filter { # handle 1\n\tchain FORWARD { # handle 2\n\t\ttype filter hook forward priority filter; policy drop;\n";
        let rules: String = (10..)
            .zip(rules)
            .map(|(n, rule)| format!("\t\t{rule} # handle {n}\n"))
            .collect();
        format!("{head}{rules}\t}}\n}}\n")
    }

    const OURS: [&str; 2] = [
        "iifname \"babcdef*\" accept comment \"bloomery_abcdef\"",
        "oifname \"babcdef*\" accept comment \"bloomery_abcdef\"",
    ];

    #[test]
    fn rules_below_those_of_another_platform_stand_on_top() {
        let other = "iifname \"b123456*\" accept comment \"bloomery_123456\"";
        let listing = chain(&[other, OURS[0], OURS[1], "counter jump DOCKER-USER"]);
        assert!(drops(&listing) && on_top(&listing, &mark("abcdef")));
    }

    #[test]
    fn rules_below_a_strangers_are_taken_out_by_their_handles() {
        let listing = chain(&["counter jump DOCKER-USER", OURS[0], OURS[1]]);
        assert!(!on_top(&listing, &mark("abcdef")));
        assert!(
            !on_top(&chain(&[OURS[0]]), &mark("abcdef")),
            "one is missing"
        );
        assert_eq!(
            removal("ip filter FORWARD", &listing, "abcdef"),
            "delete rule ip filter FORWARD handle 11\ndelete rule ip filter FORWARD handle 12\n"
        );
        assert_eq!(removal("ip filter FORWARD", &listing, "123456"), "");
    }
}
