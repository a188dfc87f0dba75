//! Whether a started app is ready: the port takes a connection, as in the original, or a path answers 200, as in its successors.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout, timeout_at};

/// The first pause between two looks.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
/// How long one answer to the `http` check may take.
const ANSWER_LIMIT: Duration = Duration::from_secs(1);
/// Bytes of a status line up to the end of its number: `HTTP/1.1 200`.
const STATUS_LINE: usize = 12;

/// Why an app is not healthy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unhealthy {
    /// Nothing listens on the port.
    #[error("failed to accept connections within health check timeout")]
    NotListening,
    /// The path never answered 200.
    #[error("failed to answer the health check of {path} with 200 within its timeout ({last})")]
    NotOk {
        /// The path that was asked.
        path: String,
        /// What came of the last try.
        last: String,
    },
}

/// Pauses between two looks: short ones first, since most apps are up soon, and
/// `step` from then on.
fn pauses(step: Duration) -> impl Iterator<Item = Duration> {
    let doubled = move |pause: &Duration| Some((*pause * 2).min(step));
    std::iter::successors(Some(FIRST_PAUSE.min(step)), doubled)
}

/// Connects to the port until it answers or `limit` is over.
pub async fn port_opens(
    ip: IpAddr,
    port: u16,
    step: Duration,
    limit: Duration,
) -> Result<(), Unhealthy> {
    let deadline = Instant::now() + limit;
    let addr = SocketAddr::new(ip, port);
    for pause in pauses(step).take_while(|_| Instant::now() < deadline) {
        if let Ok(Ok(_)) = timeout_at(deadline, TcpStream::connect(addr)).await {
            return Ok(());
        }
        sleep(pause).await;
    }
    Err(Unhealthy::NotListening)
}

/// Asks for the path until it answers 200 or `limit` is over. One answer may take a second.
pub async fn path_answers(
    ip: IpAddr,
    port: u16,
    path: &str,
    step: Duration,
    limit: Duration,
) -> Result<(), Unhealthy> {
    let deadline = Instant::now() + limit;
    let addr = SocketAddr::new(ip, port);
    let mut last = String::from("not asked");
    for pause in pauses(step).take_while(|_| Instant::now() < deadline) {
        last = match timeout(ANSWER_LIMIT, status_of(addr, path)).await {
            Ok(Ok(status)) if status == "200" => return Ok(()),
            Ok(Ok(status)) => format!("last answer: {status}"),
            Ok(Err(error)) => format!("last try: {error}"),
            Err(_) => format!("last try: no answer within {} s", ANSWER_LIMIT.as_secs()),
        };
        sleep(pause).await;
    }
    Err(Unhealthy::NotOk {
        path: path.to_owned(),
        last,
    })
}

/// The three digits of the answer to a GET. Nothing more of the answer is read: what an app sends may be endless.
async fn status_of(addr: SocketAddr, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(addr).await?;
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {addr}\r\nUser-Agent: bloomery-health-check\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut head = [0; STATUS_LINE];
    stream.read_exact(&mut head).await?;
    let digits = head
        .strip_prefix(b"HTTP/1.")
        .and_then(|rest| rest.get(2..))
        .filter(|digits| digits.iter().all(u8::is_ascii_digit));
    let digits = digits.ok_or_else(|| std::io::Error::other("what answers there is no HTTP"))?;
    Ok(String::from_utf8_lossy(digits).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    #[tokio::test]
    async fn an_open_port_is_healthy_and_a_closed_one_is_not() {
        let listener = tokio::net::TcpListener::bind((HERE, 0))
            .await
            .expect("bind");
        let port = listener.local_addr().expect("addr").port();
        let step = Duration::from_millis(5);
        assert_eq!(
            port_opens(HERE, port, step, Duration::from_secs(5)).await,
            Ok(())
        );
        drop(listener);
        let closed = port_opens(HERE, port, step, Duration::from_millis(50)).await;
        assert_eq!(closed, Err(Unhealthy::NotListening));
    }

    #[test]
    fn pauses_grow_to_the_step_and_no_further() {
        let ms = |pause: Duration| pause.as_millis();
        let grown: Vec<_> = pauses(Duration::from_millis(5)).take(5).map(ms).collect();
        assert_eq!(grown, [1, 2, 4, 5, 5]);
    }

    /// Answers the connections in turn, the last text for all that follow. Gives the port.
    async fn answering(texts: &'static [&'static str]) -> u16 {
        let listener = tokio::net::TcpListener::bind((HERE, 0))
            .await
            .expect("bind");
        let port = listener.local_addr().expect("addr").port();
        tokio::spawn(async move {
            let mut turn = texts
                .iter()
                .chain(std::iter::repeat(&texts[texts.len() - 1]));
            while let (Ok((mut stream, _)), Some(text)) = (listener.accept().await, turn.next()) {
                let mut asked = [0; 12];
                let _ = stream.read_exact(&mut asked).await;
                if asked.starts_with(b"GET /up HTTP") {
                    let _ = stream.write_all(text.as_bytes()).await;
                }
            }
        });
        port
    }

    #[tokio::test]
    async fn a_path_is_healthy_once_it_answers_200() {
        let texts = &[
            "",
            "SSH-2.0-OpenSSH\r\n",
            "HTTP/1.1 503 Busy\r\n\r\n",
            "HTTP/1.0 200 OK\r\n\r\n",
        ];
        let port = answering(texts).await;
        let (step, limit) = (Duration::from_millis(5), Duration::from_secs(30));
        assert_eq!(path_answers(HERE, port, "/up", step, limit).await, Ok(()));
    }

    #[tokio::test]
    async fn a_path_that_answers_otherwise_is_unhealthy_and_its_answer_is_told() {
        let (step, limit) = (Duration::from_millis(5), Duration::from_millis(200));
        for (texts, told) in [
            (&["HTTP/1.1 404 No\r\n\r\n"], "last answer: 404"),
            (&["SSH-2.0-OpenSSH\r\n"], "no HTTP"),
        ] {
            let port = answering(texts).await;
            let checked = path_answers(HERE, port, "/up", step, limit).await;
            let text = checked.expect_err("unhealthy").to_string();
            assert!(text.contains("/up") && text.contains(told), "{text}");
        }
    }
}
