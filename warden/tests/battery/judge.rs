//! Runs the rows and compares. Three claims per row:
//!
//! 1. behind all walls the attempt ends with the outcome the row names;
//! 2. with all of the row's walls down, and only these, it succeeds;
//! 3. with all but one of them down it fails: that one wall holds alone. So a
//!    wall that is removed from the product is noticed even where another one
//!    stands behind it.

use std::collections::BTreeSet;

use warden::User;
use warden::wshd::Guard;

use crate::lab::Lab;
use crate::row::{Row, is_one_of};
use crate::rows;
use crate::walls::{Down, Wall};

/// Fewer named attempts than this are no battery.
const AT_LEAST: usize = 60;

pub(crate) fn the_table_is_whole() {
    let names: BTreeSet<&str> = rows::all().map(|row| row.name).collect();
    assert_eq!(
        names.len(),
        rows::all().count(),
        "two rows have the same name"
    );
    assert!(names.len() >= AT_LEAST, "{} attempts", names.len());
    for guard in Guard::ALL {
        let wall = Wall::Keeper(guard);
        let tried = rows::all().any(|row| row.walls.contains(&wall));
        assert!(tried, "no attempt needs {guard:?} down");
    }
    for row in rows::all() {
        assert!(!row.walls.is_empty(), "{} names no wall", row.name);
        assert!(
            !row.root.is_empty() || !row.vcap.is_empty(),
            "nobody tries {}",
            row.name
        );
    }
}

pub(crate) fn attempts_fail_behind_their_walls_and_succeed_without() {
    let Some(mut lab) = Lab::new() else { return };
    let only = std::env::var("BLOOMERY_BATTERY").unwrap_or_default();
    let mut rows: Vec<&Row> = rows::all().filter(|row| row.name.contains(&only)).collect();
    // Those come last whose control takes down what all containers share.
    rows.sort_by_key(|row| row.walls.contains(&Wall::Firewall));
    let held = rows
        .iter()
        .map(|row| behind_all_walls(&mut lab, row))
        .collect::<Vec<_>>();
    let mut wrong = Vec::new();
    for (row, mut line) in rows.iter().zip(held) {
        if row.has_control_here() {
            without_walls(&mut lab, row, &mut line);
        }
        println!("{}", line.text(row));
        wrong.append(&mut line.wrong);
    }
    println!("{} attempts", rows.len());
    assert!(wrong.is_empty(), "the battery found:\n{}", wrong.join("\n"));
}

/// What was seen of one row.
#[derive(Default)]
struct Line {
    root: String,
    vcap: String,
    control: String,
    alone: Vec<String>,
    wrong: Vec<String>,
}

impl Line {
    fn text(&self, row: &Row) -> String {
        let control = if self.control.is_empty() {
            "in the VM"
        } else {
            &self.control
        };
        // Where the walls were not tried one by one, at least their names.
        let names = || row.walls.iter().map(|wall| short(*wall)).collect();
        let walls: Vec<String> = if self.alone.is_empty() {
            names()
        } else {
            self.alone.clone()
        };
        let walls = walls.join(" ");
        format!(
            "{:<18} root {:<13} vcap {:<13} control {:<10} {}",
            row.name, self.root, self.vcap, control, walls
        )
    }

    fn expect(&mut self, what: String, seen: &str, wanted: &str) {
        if !is_one_of(seen, wanted) {
            self.wrong
                .push(format!("{what}: expected {wanted}, seen {seen}"));
        }
    }
}

/// The same limits as its control has, so that nothing else differs.
pub(crate) fn down(row: &Row, walls: &[Wall]) -> Down {
    let has_disk = row
        .walls
        .iter()
        .any(|wall| matches!(wall, Wall::Disk | Wall::Inodes));
    Down::new(walls, has_disk)
}

fn behind_all_walls(lab: &mut Lab, row: &Row) -> Line {
    let mut line = Line::default();
    if !row.root.is_empty() {
        line.root = lab.attempt(row, User::Root, down(row, &[]));
        let seen = line.root.clone();
        line.expect(
            format!("{} as root ({})", row.name, row.tries),
            &seen,
            row.root,
        );
    }
    if !row.vcap.is_empty() {
        line.vcap = lab.attempt(row, User::Vcap, down(row, &[]));
        let seen = line.vcap.clone();
        line.expect(
            format!("{} as vcap ({})", row.name, row.tries),
            &seen,
            row.vcap,
        );
    }
    line
}

fn without_walls(lab: &mut Lab, row: &Row, line: &mut Line) {
    let user = if row.root.is_empty() {
        User::Vcap
    } else {
        User::Root
    };
    line.control = lab.attempt(row, user, down(row, row.walls));
    let seen = line.control.clone();
    line.expect(
        format!("{} without {:?}", row.name, row.walls),
        &seen,
        row.succeeds,
    );
    if row.walls.len() == 1 {
        return;
    }
    for wall in row.walls {
        let others: Vec<Wall> = row.walls.iter().filter(|w| *w != wall).copied().collect();
        let seen = lab.attempt(row, user, down(row, &others));
        let what = short(*wall);
        if is_one_of(&seen, row.succeeds) || seen.contains(' ') {
            line.wrong.push(format!(
                "{}: {what} alone should hold, seen {seen}",
                row.name
            ));
        }
        line.alone.push(format!("{what}={seen}"));
    }
}

/// A wall's name in the table.
pub(crate) fn short(wall: Wall) -> String {
    match wall {
        Wall::Keeper(guard) => format!("{guard:?}"),
        other => format!("{other:?}"),
    }
}
