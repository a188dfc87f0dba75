//! Several stagers, played by hand: who has how much room, and what each hears.

use std::time::Duration;

use bus::{Bus, Subscription};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::Platform;

/// What one advertises. Memory and disk in MB.
#[derive(Debug, Clone)]
pub struct Room {
    pub id: &'static str,
    pub memory: i64,
    pub disk: i64,
    pub stack: &'static str,
    /// Whether somebody listens there.
    pub listens: bool,
}

impl Room {
    pub fn of(id: &'static str, memory: i64) -> Room {
        Room {
            id,
            memory,
            disk: 20_000,
            stack: "host",
            listens: true,
        }
    }
}

/// A request and the inbox of whoever sent it.
#[derive(Debug, Clone)]
pub struct Heard {
    pub request: Value,
    pub inbox: String,
}

impl Heard {
    pub fn app(&self) -> &str {
        self.request["app_id"].as_str().unwrap()
    }

    pub fn task(&self) -> &str {
        self.request["task_id"].as_str().unwrap()
    }

    /// An address of the request.
    pub fn address(&self, key: &str) -> &str {
        self.request[key].as_str().unwrap()
    }
}

/// Stagers that advertise as long as the test runs.
pub struct Stagers {
    bus: Bus,
    heard: mpsc::UnboundedReceiver<Heard>,
    /// Requests that came while another was waited for.
    pub strays: Vec<Heard>,
}

impl Stagers {
    /// Starts them; the controller knows all when this returns.
    pub async fn start(platform: &Platform, rooms: &[Room]) -> Stagers {
        let bus = platform.bus.clone();
        let (tell, heard) = mpsc::unbounded_channel();
        for room in rooms.iter().filter(|room| room.listens) {
            let subject = format!("staging.{}.start", room.id);
            let mut requests: Subscription<Value> = bus.subscribe_to(&subject).await.unwrap();
            let tell = tell.clone();
            tokio::spawn(async move {
                loop {
                    let delivery = requests.next().await;
                    let inbox = delivery.reply.unwrap();
                    let request = delivery.body;
                    let _ = tell.send(Heard { request, inbox });
                }
            });
        }
        bus.flush().await.unwrap();
        if !rooms.is_empty() {
            keep_advertising(&bus, rooms).await;
        }
        platform.knows_stagers(rooms.len()).await;
        Stagers {
            bus,
            heard,
            strays: Vec::new(),
        }
    }

    /// The next request about this app.
    pub async fn next(&mut self, app: &str) -> Heard {
        loop {
            let next = tokio::time::timeout(super::PATIENCE, self.heard.recv()).await;
            let heard = next.expect("a staging request comes").unwrap();
            if heard.app() == app {
                return heard;
            }
            self.strays.push(heard);
        }
    }

    pub async fn reply(&self, to: &Heard, body: Value) {
        let mut body = body;
        body["task_id"] = json!(to.task());
        let _ = self.bus.publish_to(&to.inbox, &body).await;
        let _ = self.bus.flush().await;
    }
}

/// At once, whenever somebody asks, and again and again: adverts expire on a busy machine.
async fn keep_advertising(bus: &Bus, rooms: &[Room]) {
    let mut asked: Subscription<bus::Anything> = bus.subscribe_to("staging.locate").await.unwrap();
    let (bus, rooms) = (bus.clone(), rooms.to_vec());
    tokio::spawn(async move {
        loop {
            for room in &rooms {
                let advert = json!({"id": room.id, "stacks": [room.stack], "available_memory": room.memory,
                                    "available_disk": room.disk});
                let _ = bus.publish_to("staging.advertise", &advert).await;
            }
            let pause = Duration::from_millis(300);
            let _ = tokio::time::timeout(pause, asked.next()).await;
        }
    });
}
