//! Tokens nobody gave, and requests that try to be something else.

use crate::support::{Platform, guid, read};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Method;
use serde_json::{Value, json};

/// The three parts of a token.
fn parts(token: &str) -> [String; 3] {
    let parts: Vec<String> = token.split('.').map(str::to_owned).collect();
    parts.try_into().unwrap()
}

fn decoded(part: &str) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

fn encoded(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

/// HMAC-SHA256, as a server would use it that takes the public key for a shared secret.
fn hmac(secret: &[u8], text: &str) -> String {
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, secret);
    URL_SAFE_NO_PAD.encode(aws_lc_rs::hmac::sign(&key, text.as_bytes()).as_ref())
}

async fn ask(platform: &Platform, token: &str) -> crate::support::Answer {
    platform.call_as(token, Method::GET, "/v2/apps", None).await
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_that_were_altered_or_signed_by_others_are_1000() {
    let platform = Platform::start().await;
    let [header, payload, signature] = parts(&platform.token);
    let (head, claims) = (decoded(&header), decoded(&payload));
    let with = |value: &Value, key: &str, new: Value| {
        let mut value = value.clone();
        value[key] = new;
        value
    };
    let keys = platform.get("/token_key").await.expect(200);
    let public = keys["value"].as_str().unwrap();
    let hs = encoded(&with(&head, "alg", json!("HS256")));
    let confused = format!("{hs}.{payload}");
    let none = encoded(&with(&head, "alg", json!("none")));
    let later = encoded(&with(&claims, "exp", json!(4_000_000_000_i64)));
    let admin = encoded(&with(&claims, "scope", json!(["cloud_controller.admin"])));
    let mut cut = signature.clone();
    cut.truncate(signature.len() - 4);
    let stranger = {
        let other = Platform::start().await;
        other.token.clone()
    };
    let forged = [
        ("no algorithm", format!("{none}.{payload}.")),
        (
            "no algorithm, old signature",
            format!("{none}.{payload}.{signature}"),
        ),
        (
            "NONE in capitals",
            format!("{}.{payload}.", encoded(&with(&head, "alg", json!("NONE")))),
        ),
        (
            "the public key as secret",
            format!("{confused}.{}", hmac(public.as_bytes(), &confused)),
        ),
        (
            "an empty secret",
            format!("{confused}.{}", hmac(b"", &confused)),
        ),
        ("a longer life", format!("{header}.{later}.{signature}")),
        ("more scopes", format!("{header}.{admin}.{signature}")),
        ("a cut signature", format!("{header}.{payload}.{cut}")),
        ("no signature", format!("{header}.{payload}.")),
        ("two parts", format!("{header}.{payload}")),
        (
            "four parts",
            format!("{header}.{payload}.{signature}.{signature}"),
        ),
        (
            "another key id",
            format!(
                "{}.{payload}.{signature}",
                encoded(&with(&head, "kid", json!("../../etc/passwd")))
            ),
        ),
        (
            "no key id",
            format!(
                "{}.{payload}.{signature}",
                encoded(&json!({"alg": "RS256"}))
            ),
        ),
        (
            "a key of its own",
            format!(
                "{}.{payload}.{signature}",
                encoded(&with(&head, "jku", json!("http://127.0.0.1:1/")))
            ),
        ),
        ("another platform's", stranger),
        ("a refresh token", platform.refresh_token.clone()),
        ("nothing", String::new()),
        ("noise", "\u{7f}~~~".to_owned()),
        ("a very long one", "a".repeat(60_000)),
    ];
    ask(&platform, &platform.token).await.expect(200);
    for (what, token) in forged {
        let Ok(value) = reqwest::header::HeaderValue::from_str(&format!("bearer {token}")) else {
            continue;
        };
        let request = platform.client.get(format!("{}/v2/apps", platform.base));
        let answer = read(request.header("authorization", value)).await;
        if answer.status == 431 {
            continue;
        }
        let body = answer.expect(401);
        assert_eq!(
            (&body["code"], &body["error_code"]),
            (&json!(1000), &json!("CF-InvalidAuthToken")),
            "{what}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_for_somebody_else_or_without_scopes_opens_nothing() {
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), "s").unwrap();
    let client = |id: &str, authorities: &[&str]| uaa::ClientConfig {
        id: id.into(),
        secret_file: secret.path().into(),
        authorities: authorities
            .iter()
            .map(|scope| (*scope).to_owned())
            .collect(),
        ..uaa::ClientConfig::default()
    };
    let platform = Platform::start_with(|config| {
        config.uaa.clients = vec![
            client("elsewhere", &["billing.read"]),
            client("reader", &["cloud_controller.read"]),
        ];
    })
    .await;
    let token = async |id: &str| {
        let request = platform
            .client
            .post(format!("{}/oauth/token", platform.base));
        let request = request
            .basic_auth(id, Some("s"))
            .form(&[("grant_type", "client_credentials")]);
        read(request).await.expect(200)["access_token"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let elsewhere = token("elsewhere").await;
    ask(&platform, &elsewhere)
        .await
        .expect_error(401, 1000, "CF-InvalidAuthToken");
    let reader = token("reader").await;
    ask(&platform, &reader).await.expect(200);
    let body = Some(json!({"name": "x"}));
    let answer = platform
        .call_as(&reader, Method::POST, "/v2/organizations", body)
        .await;
    answer.expect_error(403, 10_007, "CF-InsufficientScope");
}

/// Texts that mean something to a database, a shell, a page or a file system.
const INJECTIONS: [&str; 13] = [
    "' OR '1'='1",
    "'; DROP TABLE apps; --",
    "\" OR \"\"=\"",
    "1) OR (1=1",
    "x' UNION SELECT * FROM uaa_users --",
    "%' OR name LIKE '%",
    "\\'; SELECT 1; --",
    "${jndi:ldap://127.0.0.1/a}",
    "$(touch /tmp/evil)",
    "`id`",
    "<script>alert(1)</script>",
    "../../etc/passwd",
    "{{7*7}}",
];

#[tokio::test(flavor = "multi_thread")]
async fn injections_in_filters_orders_and_names_are_texts_like_any_other() {
    let platform = Platform::start().await;
    let (_, space) = platform.target().await;
    platform.create_app("honest").await;
    let get = async |pairs: &[(&str, &str)]| {
        let url =
            url::Url::parse_with_params(&format!("{}/v2/apps", platform.base), pairs).unwrap();
        let token = format!("bearer {}", platform.token);
        read(platform.client.get(url).header("authorization", token)).await
    };
    for text in INJECTIONS {
        let quoted = text.replace(';', ";;");
        let found = get(&[("q", &format!("name:{quoted}"))]).await.expect(200);
        assert_eq!(found["total_results"], 0, "{text}");
        let within = get(&[("q", &format!("name IN {}", quoted.replace(',', "")))])
            .await
            .expect(200);
        assert_eq!(within["total_results"], 0, "{text}");
        get(&[("q", &format!("{quoted}:x"))]).await.expect_error(
            400,
            10_005,
            "CF-BadQueryParameter",
        );
        get(&[("order-by", text)]).await.expect(200);
        get(&[("order-direction", text)])
            .await
            .expect_error(400, 10_005, "CF-BadQueryParameter");
        get(&[("page", text)])
            .await
            .expect_error(400, 10_005, "CF-BadQueryParameter");
        get(&[("inline-relations-depth", text)]).await.expect_error(
            400,
            10_005,
            "CF-BadQueryParameter",
        );

        let body = json!({"name": text, "space_guid": space, "memory": 64});
        let made = platform.post("/v2/apps", body).await.expect(201);
        assert_eq!(made["entity"]["name"], text, "kept as it is");
        let found = get(&[("q", &format!("name:{quoted}"))]).await.expect(200);
        assert_eq!(found["total_results"], 1, "{text}");
        platform
            .delete(&format!("/v2/apps/{}", guid(&made)))
            .await
            .expect(204);
        let host = json!({"host": text, "space_guid": space});
        assert_eq!(
            platform.post("/v2/routes", host).await.status,
            400,
            "{text}"
        );
    }
    assert_eq!(
        get(&[]).await.expect(200)["total_results"],
        1,
        "the honest app is all there is"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_are_deep_huge_or_no_text_are_refused_and_nothing_is_written() {
    let platform = Platform::start().await;
    let (_, space) = platform.target().await;
    let deep =
        |open: &str, close: &str| format!("{}{}", open.repeat(100_000), close.repeat(100_000));
    let mut huge = json!({"name": "x", "space_guid": space}).to_string();
    huge.insert_str(
        1,
        &format!("\"padding\":\"{}\",", "a".repeat(17 * 1024 * 1024)),
    );
    let bodies: [(&str, Vec<u8>); 9] = [
        ("deep arrays", deep("[", "]").into_bytes()),
        (
            "deep objects",
            format!("{{\"a\":{}}}", deep("{\"a\":", "}").replace("}}", "1}}")).into_bytes(),
        ),
        ("huge", huge.into_bytes()),
        ("no UTF-8", b"{\"name\":\"\xff\xfe\"}".to_vec()),
        (
            "half a surrogate",
            br#"{"name":"\ud800","space_guid":"x"}"#.to_vec(),
        ),
        (
            "a number too large",
            format!("{{\"name\":\"x\",\"space_guid\":\"{space}\",\"memory\":1e999}}").into_bytes(),
        ),
        (
            "a whole number too large",
            format!(
                "{{\"name\":\"x\",\"space_guid\":\"{space}\",\"memory\":99999999999999999999}}"
            )
            .into_bytes(),
        ),
        ("two values", b"{} {}".to_vec()),
        ("nothing", Vec::new()),
    ];
    for (what, body) in bodies {
        let request = platform.client.post(format!("{}/v2/apps", platform.base));
        let request = request
            .header("authorization", format!("bearer {}", platform.token))
            // The server hangs up on what it does not read to its end; the next one must not find that out.
            .header("connection", "close")
            .body(body);
        let Ok(answer) = request.send().await else {
            // Whoever sends that much may see the connection close first.
            assert_eq!(what, "huge");
            continue;
        };
        let (status, text) = (answer.status().as_u16(), answer.text().await.unwrap());
        assert!((400..500).contains(&status), "{what}: {status} {text}");
        let body: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{what}: {text}"));
        assert!(body["code"].is_u64(), "{what}: {text}");
    }
    assert_eq!(
        platform.get("/v2/apps").await.expect(200)["total_results"],
        0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn path_tricks_in_guids_and_files_lead_nowhere() {
    let platform = Platform::start().await;
    let app = platform.create_app_with_bits("web").await;
    for trick in [
        "..%2f..%2fetc%2fpasswd",
        "%2e%2e/%2e%2e/etc/passwd",
        "%00",
        "a%0d%0aX-Evil:%20yes",
        "....//....//etc",
        "%c0%ae%c0%ae%2f",
    ] {
        for path in [
            format!("/v2/apps/{trick}"),
            format!("/v2/apps/{app}/instances/0/files/{trick}"),
            format!("/v2/apps/{app}/instances/{trick}/files"),
            format!("/v2/buildpacks/{trick}"),
            format!("/staging/apps/{trick}"),
            format!("/internal/v2/droplets/{app}/{trick}/download"),
        ] {
            let answer = platform.get(&path).await;
            assert!(answer.status.is_client_error(), "{path}: {answer:?}");
            assert!(answer.headers.get("x-evil").is_none(), "{path}");
            let text = String::from_utf8_lossy(&answer.bytes);
            assert!(!text.contains("root:"), "{path}: {text}");
        }
    }
}
