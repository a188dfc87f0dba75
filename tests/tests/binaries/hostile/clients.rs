//! What a hostile client does to the doors of the platform: connections that are held, passwords that are guessed, lists that are
//! long. All of it ends when the ground says so.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, OnceLock};
use std::time::Duration;

use reqwest::Client;
use tests::binaries::Noise;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;

use super::tally::Tally;

/// Connections of one kind at a time.
const CONNECTIONS: u64 = 100;
/// Guesses, and lists, at a time.
const GUESSERS: u64 = 8;
const LISTS: u64 = 4;
/// A list of files of 34 MB, within the number of files that may be asked for.
const LIST_BYTES: usize = 34_000_000;
const LIST_FILES: usize = 199_000;

/// What hostile clients know of the platform.
#[derive(Debug)]
pub(super) struct Ground {
    /// The API's own port, where tokens and log streams are as well.
    pub(super) api: SocketAddr,
    /// The router.
    pub(super) router: SocketAddr,
    /// Domain of the apps.
    pub(super) domain: String,
    /// The session of a hostile developer.
    pub(super) token: String,
    /// An app of that developer which floods its log, once there is one.
    pub(super) flooding: OnceLock<String>,
    /// Whose passwords are worth guessing.
    pub(super) names: Vec<String>,
    /// Set when it is time to end.
    pub(super) over: AtomicBool,
}

impl Ground {
    /// Whether there is time left.
    pub(super) fn goes_on(&self) -> bool {
        !self.over.load(Ordering::Relaxed)
    }
}

/// A way to hurt from outside.
#[derive(Debug, Clone, Copy)]
pub(super) enum Harm {
    /// Connections that are held.
    Hold(Hold),
    /// Passwords that are guessed.
    Guess,
    /// Lists of files that nobody has.
    Lists,
}

/// A connection that is held: opened with something, then a byte now and then, its answer never read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hold {
    /// At which door.
    pub(super) door: Door,
    /// What it begins with; none while it cannot begin.
    pub(super) opening: fn(&Ground) -> Option<String>,
    /// What it sends now and then.
    pub(super) drip: &'static str,
}

/// Where a connection goes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Door {
    /// The API.
    Api,
    /// The router.
    Router,
}

impl Harm {
    /// Does it with as many tasks as it takes, until the ground says that it is over.
    pub(super) async fn run(self, ground: Arc<Ground>, mut dice: Noise, tally: Tally) {
        let count = match self {
            Self::Hold(_) => dice.between(CONNECTIONS / 2, CONNECTIONS),
            Self::Guess => GUESSERS,
            Self::Lists => LISTS,
        };
        let mut tasks = JoinSet::new();
        for _ in 0..count {
            let dice = Noise::seeded(dice.between(0, u64::MAX - 1));
            tasks.spawn(self.one(Arc::clone(&ground), dice, tally.clone()));
        }
        tasks.join_all().await;
    }

    async fn one(self, ground: Arc<Ground>, mut dice: Noise, tally: Tally) {
        let client = Client::builder().no_proxy().build();
        let client = client.expect("a client without certificates needs nothing");
        while ground.goes_on() {
            match self {
                Self::Hold(hold) => held(hold, &ground, &mut dice, &tally).await,
                Self::Guess => guess(&client, &ground, &mut dice, &tally).await,
                Self::Lists => list(&client, &ground, &tally).await,
            }
            tokio::time::sleep(Duration::from_millis(dice.between(0, 200))).await;
        }
    }
}

/// The life of one held connection.
async fn held(hold: Hold, ground: &Ground, dice: &mut Noise, tally: &Tally) {
    let Some(opening) = (hold.opening)(ground) else {
        return;
    };
    let door = match hold.door {
        Door::Api => ground.api,
        Door::Router => ground.router,
    };
    let Ok(mut stream) = connected(door).await else {
        return tally.count("refused");
    };
    tally.count("opened");
    if stream.write_all(opening.as_bytes()).await.is_err() {
        return tally.count("closed");
    }
    let mut heard = false;
    while ground.goes_on() {
        let pause = Duration::from_millis(dice.between(200, 2000));
        let mut head = [0; 12];
        match tokio::time::timeout(pause, stream.peek(&mut head)).await {
            // Looked at, not read: a reader that does not read.
            Ok(Ok(12)) if !heard => {
                let status = String::from_utf8_lossy(&head[9..]).into_owned();
                tally.count(&status);
                heard = true;
                if status != "101" {
                    return;
                }
            }
            Ok(Ok(0) | Err(_)) => return tally.count("closed"),
            Ok(Ok(_)) => tokio::time::sleep(pause).await,
            Err(_) => {}
        }
        if !heard && stream.write_all(hold.drip.as_bytes()).await.is_err() {
            return tally.count("closed");
        }
    }
    tally.count("held to the end");
}

/// A connection with a small window: what is not read stays with the sender.
async fn connected(door: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(4096)?;
    let connecting = socket.connect(door);
    tokio::time::timeout(Duration::from_secs(10), connecting).await?
}

/// One guess, as the `cf` client asks.
async fn guess(client: &Client, ground: &Ground, dice: &mut Noise, tally: &Tally) {
    let stranger = format!("guest-{}", dice.between(0, 99));
    let at = dice.between(0, ground.names.len() as u64) as usize;
    let name = ground.names.get(at).unwrap_or(&stranger);
    let password = dice.between(0, 999_999).to_string();
    let form = [
        ("grant_type", "password"),
        ("username", name),
        ("password", &password),
    ];
    let request = client
        .post(format!("http://{}/oauth/token", ground.api))
        .basic_auth("cf", Some(""))
        .form(&form);
    tally.count(&outcome(request).await);
}

/// One list of files.
async fn list(client: &Client, ground: &Ground, tally: &Tally) {
    static LIST: LazyLock<Vec<u8>> = LazyLock::new(long_list);
    let request = client
        .put(format!("http://{}/v2/resource_match", ground.api))
        .header("Authorization", &ground.token)
        .header("Content-Type", "application/json")
        .body(LIST.as_slice());
    tally.count(&outcome(request).await);
}

/// Digests of nothing, and names that fill the list up.
fn long_list() -> Vec<u8> {
    let mut noise = Noise::default();
    let mut entry = |_| {
        let words: Vec<String> = noise
            .by_ref()
            .take(3)
            .map(|w| format!("{w:016x}"))
            .collect();
        let sha1 = &words.concat()[..40];
        let entry = format!(r#"{{"sha1":"{sha1}","size":70000,"fn":""#);
        format!("{entry:f<width$}\"}}", width = LIST_BYTES / LIST_FILES - 3)
    };
    let entries: Vec<String> = (0..LIST_FILES).map(&mut entry).collect();
    format!("[{}]", entries.join(",")).into_bytes()
}

async fn outcome(request: reqwest::RequestBuilder) -> String {
    match request.timeout(Duration::from_secs(60)).send().await {
        Ok(answer) => {
            let status = answer.status().as_u16().to_string();
            // Read to its end, so that the connection is good for the next one.
            let _ = answer.bytes().await;
            status
        }
        Err(error) if error.is_timeout() => "no answer within 60 s".to_owned(),
        Err(_) => "closed".to_owned(),
    }
}
