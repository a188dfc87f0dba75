//! What is measured.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::pump::{Load, Pumped, pump};
use crate::report::Report;
use crate::servers::{Pair, Server, Side};
use crate::wire::{Who, Wire};

/// The order of the visits: what the machine does meanwhile hits both alike.
const VISITS: [Side; 4] = [Side::Lite, Side::Original, Side::Original, Side::Lite];

/// Messages from one publisher to some subscribers.
pub(crate) struct Flow {
    name: &'static str,
    payload: usize,
    /// A header block goes with every message.
    header: bool,
    subjects: usize,
    readers: usize,
    /// What each reader subscribes to; `None` means every subject by itself.
    wildcard: Option<&'static str>,
    messages: usize,
    wanted: Option<f64>,
}

const PLAIN: Flow = Flow {
    name: "",
    payload: 128,
    header: false,
    subjects: 1,
    readers: 1,
    wildcard: None,
    messages: 1_000_000,
    wanted: None,
};

/// The flows of the table. CPU is per delivery, per message where nobody listens.
pub(crate) const FLOWS: [Flow; 7] = [
    Flow {
        name: "publish only, 128 B",
        readers: 0,
        messages: 3_000_000,
        wanted: Some(0.50),
        ..PLAIN
    },
    Flow {
        name: "1 to 1, 128 B",
        wanted: Some(0.40),
        ..PLAIN
    },
    Flow {
        name: "1 to 1, 128 B and a header (HPUB)",
        header: true,
        wanted: Some(0.40),
        ..PLAIN
    },
    Flow {
        name: "1 to 1 through a wildcard, 128 B",
        wildcard: Some("bench.*.x"),
        wanted: Some(0.40),
        ..PLAIN
    },
    Flow {
        name: "1 to 1, 4 KB",
        payload: 4096,
        messages: 150_000,
        wanted: Some(0.55),
        ..PLAIN
    },
    Flow {
        name: "1 to 10, 128 B, per delivery",
        readers: 10,
        messages: 300_000,
        wanted: Some(0.45),
        ..PLAIN
    },
    Flow {
        name: "1,000 subjects to 100, per delivery",
        subjects: 1000,
        readers: 100,
        messages: 30_000,
        ..PLAIN
    },
];

const HEADER: &str = "NATS/1.0\r\nTrace: 0123456789\r\n\r\n";

impl Flow {
    fn subject(number: usize) -> String {
        format!("bench.{number:04}.x")
    }

    fn subscriptions(&self) -> String {
        match self.wildcard {
            Some(subject) => format!("SUB {subject} 1000\r\n"),
            None => (0..self.subjects)
                .map(|n| format!("SUB {} {}\r\n", Self::subject(n), 1000 + n))
                .collect(),
        }
    }

    /// Whole messages, every subject once or many times, around 64 KB or more.
    fn piece(&self) -> (Vec<u8>, usize) {
        let sizes = match self.header {
            true => format!("{} {}", HEADER.len(), HEADER.len() + self.payload),
            false => self.payload.to_string(),
        };
        let (verb, header) = if self.header {
            ("HPUB", HEADER)
        } else {
            ("PUB", "")
        };
        let body = "x".repeat(self.payload);
        let message = |n: usize| {
            format!(
                "{verb} {} {sizes}\r\n{header}{body}\r\n",
                Self::subject(n % self.subjects)
            )
        };
        let count = (65_536 / message(0).len())
            .max(1)
            .next_multiple_of(self.subjects);
        (
            (0..count).flat_map(|n| message(n).into_bytes()).collect(),
            count,
        )
    }

    /// Bytes of one message as a reader gets it: all subjects and ids are equally long.
    fn delivered_len(&self) -> usize {
        let sizes = match self.header {
            true => format!("{} {}", HEADER.len(), HEADER.len() + self.payload),
            false => self.payload.to_string(),
        };
        let verb = if self.header { "HMSG" } else { "MSG" };
        let head = format!("{verb} {} 1000 {sizes}\r\n", Self::subject(0));
        let header = if self.header { HEADER.len() } else { 0 };
        head.len() + header + self.payload + 2
    }
}

/// What the visits of one side saw.
#[derive(Default, Clone, Copy)]
struct Sum {
    /// Microseconds of CPU for one, in the visit the neighbours disturbed least.
    cpu: Option<f64>,
    wall: Duration,
    count: usize,
}

impl Sum {
    fn visited(&mut self, nanoseconds: u64, count: usize) {
        let cpu = nanoseconds as f64 / 1000.0 / count as f64;
        self.cpu = Some(self.cpu.map_or(cpu, |best| best.min(cpu)));
        self.count += count;
    }

    fn per_one(&self) -> f64 {
        self.cpu.unwrap_or(f64::NAN)
    }
}

/// One flow on both servers.
pub(crate) fn flow(pair: &Pair, flow: &Flow, report: &mut Report) -> Result<()> {
    let mut sums = [Sum::default(); 2];
    for side in VISITS {
        visit(pair.get(side), flow, &mut sums[side as usize])?;
    }
    let [ours, theirs] = sums;
    report.compare(
        flow.name,
        "us CPU",
        ours.per_one(),
        theirs.per_one(),
        flow.wanted,
    );
    let rate = |sum: Sum| sum.count as f64 / sum.wall.as_secs_f64() / 1000.0;
    let rss = |side| pair.get(side).rss().map(|bytes| bytes as f64 / MB);
    report.note(&format!(
        "wall: {:.0} and {:.0} thousand/s; memory then: {:.1} and {:.1} MB",
        rate(ours),
        rate(theirs),
        rss(Side::Lite)?,
        rss(Side::Original)?
    ));
    Ok(())
}

fn visit(server: &Server, flow: &Flow, sum: &mut Sum) -> Result<()> {
    let mut publisher = Wire::connect(server.addr, Who::Publisher)?;
    let mut readers = Vec::new();
    for _ in 0..flow.readers {
        let mut reader = Wire::connect(server.addr, Who::Subscriber)?;
        reader.settle(&flow.subscriptions())?;
        readers.push(reader);
    }
    let (piece, count) = flow.piece();
    let times = flow.messages.div_ceil(count);
    // The first messages pay for caches and buffers.
    for repeat in [1, times] {
        let load = Load {
            piece: &piece,
            times: repeat,
        };
        let (cpu, began) = (server.cpu()?, Instant::now());
        pump(
            &mut publisher,
            &mut readers,
            &load,
            repeat * count * flow.delivered_len(),
        )?;
        publisher.settle("")?;
        if repeat == times {
            sum.wall += began.elapsed();
            sum.visited(server.cpu()? - cpu, times * count * flow.readers.max(1));
        }
    }
    Ok(())
}

/// Round trips of the request/reply case, per visit.
const ROUND_TRIPS: usize = 15_000;

/// Request and reply, one in flight.
pub(crate) fn round_trips(pair: &Pair, report: &mut Report) -> Result<()> {
    let mut sums = [Sum::default(); 2];
    let mut times = [Vec::new(), Vec::new()];
    for side in VISITS {
        let server = pair.get(side);
        let mut service = Wire::connect(server.addr, Who::Subscriber)?;
        service.settle("SUB bench.service 1\r\n")?;
        let mut asker = Wire::connect(server.addr, Who::Publisher)?;
        asker.settle("SUB _INBOX.asker.* 1\r\n")?;
        let cpu = server.cpu()?;
        for number in 0..ROUND_TRIPS {
            let began = Instant::now();
            round_trip(&mut asker, &mut service, number)?;
            times[side as usize].push(began.elapsed());
        }
        sums[side as usize].visited(server.cpu()? - cpu, ROUND_TRIPS);
    }
    report.compare(
        "request/reply, per round trip",
        "us CPU",
        sums[0].per_one(),
        sums[1].per_one(),
        Some(0.75),
    );
    times.iter_mut().for_each(|side| side.sort_unstable());
    for (name, share) in [("request/reply p50", 0.50), ("request/reply p99", 0.99)] {
        let at =
            |side: &Vec<Duration>| side[(side.len() as f64 * share) as usize].as_secs_f64() * 1e6;
        report.compare(name, "us", at(&times[0]), at(&times[1]), None);
    }
    Ok(())
}

fn round_trip(asker: &mut Wire, service: &mut Wire, number: usize) -> Result<()> {
    use std::io::Write;
    let inbox = format!("_INBOX.asker.{number:06}");
    let mut buffer = [0; 512];
    asker
        .stream
        .write_all(format!("PUB bench.service {inbox} 5\r\nhello\r\n").as_bytes())?;
    service.read_at_least(
        format!("MSG bench.service 1 {inbox} 5\r\nhello\r\n").len(),
        &mut buffer,
    )?;
    service
        .stream
        .write_all(format!("PUB {inbox} 5\r\nhello\r\n").as_bytes())?;
    asker.read_at_least(format!("MSG {inbox} 1 5\r\nhello\r\n").len(), &mut buffer)?;
    Ok(())
}

const MB: f64 = 1024.0 * 1024.0;

/// Resident memory of a server nobody has asked anything.
pub(crate) fn idle_memory(pair: &Pair, report: &mut Report) -> Result<()> {
    let rss = |side| pair.get(side).rss().map(|bytes| bytes as f64 / MB);
    report.bound(
        "idle process",
        "MB RSS",
        rss(Side::Lite)?,
        rss(Side::Original)?,
        4.0,
    );
    Ok(())
}

/// Memory per connection that only waits, each with one subscription.
pub(crate) fn idle_connections(pair: &Pair, descriptors: u64, report: &mut Report) -> Result<()> {
    let count = descriptors.saturating_sub(200).min(5000);
    report.note(&format!(
        "this shell allows {descriptors} descriptors: {count} idle connections"
    ));
    let mut per = [0.0; 2];
    for side in [Side::Lite, Side::Original] {
        let server = pair.get(side);
        let before = server.rss()?;
        let mut held = Vec::new();
        for number in 0..count {
            let mut wire = Wire::connect(server.addr, Who::Subscriber)?;
            wire.settle(&format!("SUB bench.idle.{number} 1\r\n"))?;
            held.push(wire);
        }
        per[side as usize] = server.rss()?.saturating_sub(before) as f64 / 1024.0 / count as f64;
    }
    report.bound(
        "idle connection with one subscription",
        "KB RSS",
        per[0],
        per[1],
        2.0,
    );
    Ok(())
}

/// Resident memory once all the flows are over and everybody has gone.
pub(crate) fn memory_after_bursts(pair: &Pair, report: &mut Report) -> Result<()> {
    let rss = |side| pair.get(side).rss().map(|bytes| bytes as f64 / MB);
    report.bound(
        "after all flows",
        "MB RSS",
        rss(Side::Lite)?,
        rss(Side::Original)?,
        16.0,
    );
    Ok(())
}

/// One subscriber that never reads beside one that does; and the same without it, for what the machine does.
pub(crate) fn stuck_consumer(report: &mut Report) -> Result<()> {
    let (mut waits, mut rss) = ([0.0; 2], [0.0; 2]);
    for side in [Side::Lite, Side::Original] {
        for with_stuck in [false, true] {
            let server = Server::start(side)?;
            let pumped = beside_stuck(&server, with_stuck)?;
            waits[side as usize] = pumped.longest_wait.as_secs_f64() * 1000.0;
            rss[side as usize] = server.rss()? as f64 / MB;
            report.note(&format!(
                "{} a stuck consumer the healthy one was done after {:.2} s, longest wait of the publisher {:.1} ms",
                if with_stuck { "with" } else { "without" },
                pumped.wall.as_secs_f64(),
                waits[side as usize]
            ));
        }
    }
    let what = "stuck consumer: longest wait of the publisher";
    report.bound(what, "ms", waits[0], waits[1], 60.0);
    report.bound(
        "stuck consumer: memory afterwards",
        "MB RSS",
        rss[0],
        rss[1],
        16.0,
    );
    Ok(())
}

fn beside_stuck(server: &Server, with_stuck: bool) -> Result<Pumped> {
    let flow = Flow {
        payload: 16_384,
        messages: 12_000,
        ..PLAIN
    };
    let (piece, count) = flow.piece();
    let times = flow.messages.div_ceil(count);
    let mut stuck = Wire::connect(server.addr, Who::Subscriber)?;
    if with_stuck {
        stuck.settle(&flow.subscriptions())?;
    }
    let mut healthy = [Wire::connect(server.addr, Who::Subscriber)?];
    healthy[0].settle(&flow.subscriptions())?;
    let mut publisher = Wire::connect(server.addr, Who::Publisher)?;
    let load = Load {
        piece: &piece,
        times,
    };
    let expected = times * count * flow.delivered_len();
    let pumped = pump(&mut publisher, &mut healthy, &load, expected)?;
    publisher.settle("")?;
    Ok(pumped)
}
