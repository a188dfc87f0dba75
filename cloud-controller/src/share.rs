//! Staging places are shared between organizations. Stagings have no quota of their own (the original counted them nowhere), and one
//! that hangs holds its memory until its time is over: without shares, whoever starts enough of them keeps everybody else from
//! staging. An organization with one staging under way gets another one as long as it holds no more than half of what the others
//! leave; the rest waits in line. So each one that comes finds half of what is left, and always gets its first staging before
//! anybody's second half is used up.

use std::time::Duration;

use crate::controller::Ctl;
use crate::failure::Outcome;
use crate::staging::{failed, need_of, staging_error};
use crate::store::{AppRow, StagingFailure, StagingLoad, StagingTask};

/// Between two looks at the line.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// Whether a staging of `need` MB may begin while stagers offer `free` MB.
pub(crate) fn is_turn(load: &StagingLoad, need: i64, free: i64) -> bool {
    // With nobody to share with there is nothing to share.
    if load.organizations <= 1 {
        return true;
    }
    // What has just been asked for may be missing from the offers or not: it is left out of the whole, which errs towards waiting.
    let whole = free.max(0) + load.confirmed;
    load.before == 0 && (load.held == 0 || load.held + need <= whole / 2)
}

/// MB that stagers of the app's stack offer now.
pub(crate) async fn free(ctl: &crate::controller::Controller, app: &AppRow) -> Outcome<i64> {
    let stack = ctl.stack_of(app).await?.name;
    let offers = ctl.stagers().live(std::time::Instant::now());
    let of_stack = offers.iter().filter(|offer| offer.stacks.contains(&stack));
    Ok(of_stack.map(|offer| offer.available_memory.max(0)).sum())
}

/// What became of a look at the line.
enum Turn {
    /// This stager is to be asked.
    Now(String),
    /// So many stagings of the organization come first.
    After(i64),
    /// Nobody wants it any more.
    GivenUp,
}

/// Waits until the organization has room in its share, and a stager has room for the app. Its place in the line stands in the
/// app's log.
pub(crate) async fn wait_for_turn(
    ctl: &Ctl,
    app: &AppRow,
    task: &StagingTask,
    deadline: tokio::time::Instant,
) -> Result<String, StagingFailure> {
    let mut said = None;
    loop {
        match look(ctl, app, task).await {
            Ok(Turn::Now(stager)) => return Ok(stager),
            Ok(Turn::GivenUp) => return Err(staging_error("the staging was given up")),
            Ok(Turn::After(before)) if said != Some(before) => {
                said = Some(before);
                ctl.say(&app.guid, "STG", in_line(before));
            }
            Ok(Turn::After(_)) => {}
            Err(error) => {
                tracing::warn!(?error, task = %task.task_id, "the line for stagings was not seen; will retry")
            }
        }
        if tokio::time::Instant::now() >= deadline {
            return Err(failed("StagingTimeExpired", OVER));
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// How a staging ends whose turn never came.
pub(crate) const OVER: &str = "no staging place became free for the organization in time; end or stop the stagings it has under way, then push again";

fn in_line(before: i64) -> String {
    format!(
        "Waiting for a staging place: the organization has its share of them in use (position {} in its line)",
        before + 1
    )
}

async fn look(ctl: &Ctl, app: &AppRow, task: &StagingTask) -> Outcome<Turn> {
    let (need, free) = (need_of(ctl, app).0, free(ctl, app).await?);
    let load = ctl
        .store
        .staging_load(task, ctl.config.staging.minimum_memory_mb)
        .await?;
    if !is_turn(&load, need, free) {
        return Ok(Turn::After(load.before));
    }
    let Ok(stager) = ctl.find_stager(app, &[]).await? else {
        return Ok(Turn::After(load.before));
    };
    // Again with the write lock held: of two that see the last place, one gets it.
    let mut tx = ctl.store.begin().await?;
    let load = tx
        .staging_load(task, ctl.config.staging.minimum_memory_mb)
        .await?;
    if !is_turn(&load, need, free) {
        return Ok(Turn::After(load.before));
    }
    let is_wanted = tx.give_stager(&task.task_id, &stager).await?;
    tx.commit().await?;
    Ok(match is_wanted {
        true => Turn::Now(stager),
        false => Turn::GivenUp,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A platform with so many MB for stagings; who holds how many of them.
    struct Platform {
        free: i64,
        held: Vec<i64>,
    }

    impl Platform {
        fn new(memory: i64, organizations: usize) -> Self {
            Self {
                free: memory,
                held: vec![0; organizations],
            }
        }

        /// One more staging, which hangs. Whether it began.
        fn push(&mut self, org: usize, need: i64) -> bool {
            let load = StagingLoad {
                organizations: self.held.len() as i64,
                held: self.held[org],
                confirmed: self.held[org],
                before: 0,
            };
            let begins = need <= self.free && is_turn(&load, need, self.free);
            if begins {
                self.free -= need;
                self.held[org] += need;
            }
            begins
        }

        /// As many as the organization gets.
        fn flood(&mut self, org: usize, need: i64) -> usize {
            (0..100).filter(|_| self.push(org, need)).count()
        }
    }

    #[test]
    fn stagings_of_one_organization_that_hang_keep_no_other_out() {
        // memory, need, organizations that come one after the other, what each gets
        let table: [(i64, i64, &[usize]); 6] = [
            (4096, 1024, &[2, 1, 1]),
            (8192, 1024, &[4, 2, 1, 1]),
            (2048, 1024, &[1, 1]),
            (16_384, 1024, &[8, 4, 2, 1, 1]),
            (4096, 512, &[4, 2, 1, 1]),
            // Room for one only: nobody can share it.
            (1024, 1024, &[1, 0]),
        ];
        for (memory, need, expected) in table {
            let mut platform = Platform::new(memory, expected.len());
            let got: Vec<usize> = (0..expected.len())
                .map(|org| platform.flood(org, need))
                .collect();
            assert_eq!(got, expected, "{memory} MB, {need} each");
        }
    }

    #[test]
    fn whoever_is_alone_has_everything() {
        assert_eq!(Platform::new(4096, 1).flood(0, 1024), 4);
    }

    #[test]
    fn the_line_is_kept() {
        let load = |before, held| StagingLoad {
            organizations: 2,
            held,
            confirmed: held,
            before,
        };
        assert!(is_turn(&load(0, 0), 1024, 4096));
        assert!(
            !is_turn(&load(1, 0), 1024, 4096),
            "another one of it came first"
        );
        assert!(in_line(0).contains("position 1") && in_line(3).contains("position 4"));
    }

    /// Four that arrive at once: what is asked for and not confirmed counts for the organization, and not twice for the whole.
    #[test]
    fn a_burst_gets_no_more_than_its_share() {
        for seen in [0, 1024, 2048] {
            // Whether or not the offers have taken note of it.
            let load = StagingLoad {
                organizations: 2,
                held: 2048,
                confirmed: 0,
                before: 0,
            };
            assert!(!is_turn(&load, 1024, 4096 - seen), "{seen}");
        }
    }
}
