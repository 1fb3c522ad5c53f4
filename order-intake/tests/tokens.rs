//! Who may ask: forged tokens, other people's reservations, and what only operators may do.

mod kit;

use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use kit::{Client, Server, Setting, line};
use serde_json::{Value, json};

const RSA: &[u8] = include_bytes!("keys/rsa.pem");
const RSA_PUBLIC: &str = include_str!("keys/rsa.pub.pem");
const P256: &[u8] = include_bytes!("keys/p256.pem");
const P256_PUBLIC: &str = include_str!("keys/p256.pub.pem");
const ED25519: &[u8] = include_bytes!("keys/ed25519.pem");
const ED25519_PUBLIC: &str = include_str!("keys/ed25519.pub.pem");
/// A key that nobody trusts.
const STRANGER: &[u8] = include_bytes!("keys/stranger.pem");

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs()
}

fn claims() -> Value {
    json!({"sub": "buyer-1", "exp": now() + 600, "iss": "shop", "aud": "holdfast"})
}

fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[name] = value;
    claims
}

fn without(name: &str) -> Value {
    let mut claims = claims();
    claims.as_object_mut().expect("an object").remove(name);
    claims
}

fn key(algorithm: Algorithm) -> EncodingKey {
    match algorithm {
        Algorithm::RS256 => EncodingKey::from_rsa_pem(RSA),
        Algorithm::ES256 => EncodingKey::from_ec_pem(P256),
        Algorithm::EdDSA => EncodingKey::from_ed_pem(ED25519),
        other => panic!("no key for {other:?}"),
    }
    .expect("a private key")
}

fn signed(algorithm: Algorithm, claims: &Value) -> String {
    encode(&Header::new(algorithm), claims, &key(algorithm)).expect("it signs")
}

/// A server that trusts the three keys of these tests, for one issuer and audience.
fn server() -> Server {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("keys.pem");
    std::fs::write(&file, format!("{RSA_PUBLIC}{P256_PUBLIC}{ED25519_PUBLIC}")).expect("written");
    let mut setting = Setting::default();
    setting.config.auth.keys_file = Some(file);
    setting.config.auth.issuer = Some("shop".into());
    setting.config.auth.audience = Some("holdfast".into());
    Server::with(setting)
}

/// The status that a token is answered with. What it asks for does not exist, so a good one gets 404.
fn status(server: &Server, token: &str) -> u16 {
    let mut client = Client::new(server.intake.local_addr(), token);
    let answer = client.get("/v1/skus/A1/availability");
    if answer.status == 401 {
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
        answer.clone().problem(401, "UNAUTHENTICATED");
    }
    answer.status
}

#[test]
fn tokens_of_all_three_algorithms_are_taken() {
    let server = server();
    for algorithm in [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA] {
        let token = signed(algorithm, &claims());
        assert_eq!(status(&server, &token), 404, "{algorithm:?}");
        assert_eq!(status(&server, &token), 404, "remembered");
    }
    let edge = with("exp", json!(now() - 20));
    assert_eq!(status(&server, &signed(Algorithm::EdDSA, &edge)), 404, "a little skew is forgiven");
}

/// A token with this head and body, signed as it says.
fn raw(head: &Value, claims: &Value, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    let part = |value: &Value| base64(value.to_string().as_bytes());
    let message = format!("{}.{}", part(head), part(claims));
    let signature = base64(&sign(message.as_bytes()));
    format!("{message}.{signature}")
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let number =
            chunk.iter().fold(0u32, |sum, byte| sum << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for digit in 0..=chunk.len() {
            let at = number >> (18 - 6 * digit) & 63;
            text.push(char::from(DIGITS[usize::try_from(at).expect("below 64")]));
        }
    }
    text
}

fn hmac(secret: &[u8], algorithm: Algorithm) -> String {
    encode(&Header::new(algorithm), &claims(), &EncodingKey::from_secret(secret)).expect("it signs")
}

#[test]
fn forged_and_broken_tokens_are_refused() {
    let server = server();
    let good = signed(Algorithm::EdDSA, &claims());
    assert_eq!(status(&server, &good), 404);
    let (message, signature) = good.rsplit_once('.').expect("three parts");
    let (head, _) = message.split_once('.').expect("three parts");
    let other_claims = base64(with("sub", json!("somebody")).to_string().as_bytes());
    let stranger = EncodingKey::from_ed_pem(STRANGER).expect("a key");
    let with_head = |change: &dyn Fn(&mut Header)| {
        let mut header = Header::new(Algorithm::EdDSA);
        change(&mut header);
        encode(&header, &claims(), &stranger).expect("it signs")
    };
    let table = [
        ("no signature", format!("{message}.")),
        ("no algorithm", raw(&json!({"alg":"none","typ":"JWT"}), &claims(), |_| Vec::new())),
        ("no algorithm, written otherwise", raw(&json!({"alg":"nOnE"}), &claims(), |_| Vec::new())),
        ("HMAC with the public RSA key as secret", hmac(RSA_PUBLIC.as_bytes(), Algorithm::HS256)),
        ("HMAC with the public Ed25519 key as secret", hmac(ED25519_PUBLIC.as_bytes(), Algorithm::HS512)),
        (
            "another algorithm of the key's family",
            encode(&Header::new(Algorithm::RS512), &claims(), &key(Algorithm::RS256)).expect("it signs"),
        ),
        (
            "another padding of the key's family",
            encode(&Header::new(Algorithm::PS256), &claims(), &key(Algorithm::RS256)).expect("it signs"),
        ),
        ("a stranger's key", encode(&Header::new(Algorithm::EdDSA), &claims(), &stranger).expect("it signs")),
        (
            "a stranger's key, brought along",
            with_head(&|head| head.jku = Some("http://127.0.0.1:1/jwks".into())),
        ),
        ("an unknown key", with_head(&|head| head.kid = Some("nobody".into()))),
        ("a changed claim", format!("{head}.{other_claims}.{signature}")),
        (
            "another head",
            format!("{}.{}", base64(br#"{"alg":"ES256"}"#), good.split_once('.').expect("parts").1),
        ),
        ("expired", signed(Algorithm::EdDSA, &with("exp", json!(now() - 31)))),
        ("no expiry", signed(Algorithm::EdDSA, &without("exp"))),
        ("expiry as text", signed(Algorithm::EdDSA, &with("exp", json!("9999999999")))),
        ("expiry as null", signed(Algorithm::EdDSA, &with("exp", Value::Null))),
        ("not yet good", signed(Algorithm::EdDSA, &with("nbf", json!(now() + 600)))),
        ("not-before as text", signed(Algorithm::EdDSA, &with("nbf", json!("0")))),
        ("no subject", signed(Algorithm::EdDSA, &without("sub"))),
        ("an empty subject", signed(Algorithm::EdDSA, &with("sub", json!("")))),
        ("a subject that is no text", signed(Algorithm::EdDSA, &with("sub", json!(7)))),
        ("a subject that is too long", signed(Algorithm::EdDSA, &with("sub", json!("x".repeat(256))))),
        ("another issuer", signed(Algorithm::EdDSA, &with("iss", json!("somebody")))),
        ("no issuer", signed(Algorithm::EdDSA, &without("iss"))),
        ("another audience", signed(Algorithm::EdDSA, &with("aud", json!("somebody")))),
        ("no audience", signed(Algorithm::EdDSA, &without("aud"))),
        (
            "two subjects",
            raw_ed25519(r#"{"sub":"a","sub":"b","exp":99999999999,"iss":"shop","aud":"holdfast"}"#),
        ),
        ("too large", signed(Algorithm::EdDSA, &with("x", json!("x".repeat(8_192))))),
        ("not a token", "x".into()),
        ("three dots", "...".into()),
        ("four parts", format!("{good}.x")),
        ("not base64", "a+b.c/d.e=f".into()),
    ];
    for (what, token) in table {
        assert_eq!(status(&server, &token), 401, "{what}: {token}");
    }
    assert_eq!(status(&server, &good), 404, "the good one is still good");
}

/// A token whose head is exactly this text, signed with a trusted key.
fn headed_ed25519(head: &str) -> String {
    let message = format!("{}.{}", base64(head.as_bytes()), base64(claims().to_string().as_bytes()));
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key(Algorithm::EdDSA), Algorithm::EdDSA);
    format!("{message}.{}", signature.expect("it signs"))
}

#[test]
fn a_token_with_something_critical_in_its_head_is_refused() {
    let server = server();
    let head = |more: &str| headed_ed25519(&format!(r#"{{"alg":"EdDSA","typ":"JWT"{more}}}"#));
    assert_eq!(status(&server, &head("")), 404);
    assert_eq!(status(&server, &head(r#","b64":true,"exp":1"#)), 404, "what is not critical is ignored");
    for critical in [
        r#","crit":["exp"],"exp":1"#,
        r#","crit":["b64"],"b64":false"#,
        r#","crit":["unknown"]"#,
        r#","cr\u0069t":["unknown"]"#,
        r#","crit":[]"#,
        r#","crit":"exp""#,
        r#","crit":[1]"#,
        r#","crit":{}"#,
        r#","crit":null"#,
        r#","crit":["alg"],"crit":[]"#,
    ] {
        assert_eq!(status(&server, &head(critical)), 401, "{critical}");
    }
}

/// A token whose claims are exactly this text, signed with a trusted key.
fn raw_ed25519(claims: &str) -> String {
    let message = format!("{}.{}", base64(br#"{"alg":"EdDSA","typ":"JWT"}"#), base64(claims.as_bytes()));
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key(Algorithm::EdDSA), Algorithm::EdDSA);
    format!("{message}.{}", signature.expect("it signs"))
}

#[test]
fn a_request_without_a_token_is_refused() {
    let server = server();
    let token = signed(Algorithm::EdDSA, &claims());
    let mut client = Client::new(server.intake.local_addr(), &token);
    for header in ["", "Bearer", "Bearer ", "Basic eDp5", &token] {
        client
            .ask("GET", "/v1/skus/A1/availability", &[("authorization", header)], "")
            .problem(401, "UNAUTHENTICATED");
    }
    client
        .ask("GET", "/v1/skus/A1/availability", &[("authorization", &format!("bearer {token}"))], "")
        .problem(404, "UNKNOWN_SKU");
}

#[test]
fn a_jwk_set_names_its_keys() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("jwks.json");
    let jwk = |key: EncodingKey, algorithm, kid: &str| {
        let mut jwk = jsonwebtoken::jwk::Jwk::from_encoding_key(&key, algorithm).expect("a public key");
        jwk.common.key_id = Some(kid.into());
        jwk
    };
    let keys = [
        jwk(key(Algorithm::RS256), Algorithm::RS256, "r"),
        jwk(key(Algorithm::ES256), Algorithm::ES256, "e"),
    ];
    std::fs::write(&file, json!({"keys": keys}).to_string()).expect("written");
    let mut setting = Setting::default();
    setting.config.auth.keys_file = Some(file);
    let server = Server::with(setting);
    let token = |algorithm, kid: Option<&str>| {
        let mut header = Header::new(algorithm);
        header.kid = kid.map(Into::into);
        encode(&header, &without("aud"), &key(algorithm)).expect("it signs")
    };
    assert_eq!(status(&server, &token(Algorithm::RS256, Some("r"))), 404);
    assert_eq!(status(&server, &token(Algorithm::ES256, Some("e"))), 404);
    assert_eq!(status(&server, &token(Algorithm::ES256, None)), 404);
    assert_eq!(status(&server, &token(Algorithm::ES256, Some("r"))), 401, "a key has one algorithm");
    assert_eq!(status(&server, &token(Algorithm::ES256, Some("x"))), 401);
    assert_eq!(status(&server, &token(Algorithm::EdDSA, None)), 401);
}

#[test]
fn nobody_touches_somebody_elses_reservation() {
    let server = Server::start();
    server.sale("A1", 10, "");
    let (mut one, mut two) = (server.buyer("one"), server.buyer("two"));
    let id = one.reserve("k", &line("A1", 1)).expect(201).text("/reservation_id");
    two.show(&id).problem(403, "NOT_OWNER");
    two.on(&id, "confirm").problem(403, "NOT_OWNER");
    two.on(&id, "release").problem(403, "NOT_OWNER");
    two.extend(&id, 1_000).problem(403, "NOT_OWNER");
    // The same key of somebody else is another key.
    let other = two.reserve("k", &line("A1", 2)).expect(201).text("/reservation_id");
    assert_ne!(id, other);
    one.show(&other).problem(403, "NOT_OWNER");
    assert_eq!(one.show(&id).text("/state"), "held");
    let nothing = "0000".to_owned() + &"5".repeat(28);
    one.show(&nothing).problem(404, "UNKNOWN_RESERVATION");
    for action in ["confirm", "release"] {
        one.on(&nothing, action).problem(404, "UNKNOWN_RESERVATION");
    }
    one.extend(&nothing, 1_000).problem(404, "UNKNOWN_RESERVATION");
}

#[test]
fn operators_routes_are_for_operators() {
    let server = Server::start();
    server.sale("A1", 10, "");
    let before = server.commands();
    let mut buyer = server.buyer("operator");
    let mut almost = Client::new(
        server.intake.local_addr(),
        &server.token("operator", &["administrator", "admins", "xadmin"]),
    );
    for client in [&mut buyer, &mut almost] {
        let stock = r#"{"on_hand":1,"reason":"x"}"#;
        client.put("/v1/admin/skus/A1/stock", stock).problem(403, "FORBIDDEN");
        client.post("/v1/admin/skus/A1/adjustments", r#"{"delta":1,"reason":"x"}"#).problem(403, "FORBIDDEN");
        client.put("/v1/admin/sales/sale", r#"{"skus":["A1"]}"#).problem(403, "FORBIDDEN");
        client.get("/v1/admin/sales/sale").problem(403, "FORBIDDEN");
        for action in ["open", "pause", "close"] {
            client.post(&format!("/v1/admin/sales/sale/{action}"), "").problem(403, "FORBIDDEN");
        }
    }
    assert_eq!(server.commands(), before);
    let mut both = Client::new(server.intake.local_addr(), &server.token("operator", &["read", "admin"]));
    both.get("/v1/admin/sales/sale").expect(200);
}

#[test]
fn keys_that_cannot_be_trusted_stop_the_start() {
    use holdfast_intake::IntakeError;
    let server = Server::start();
    let directory = tempfile::tempdir().expect("a directory");
    let start = |name: &str, text: &str| {
        let file = directory.path().join(name);
        std::fs::write(&file, text).expect("written");
        let mut config = Setting::default().config;
        config.data_dir = directory.path().into();
        config.auth.keys_file = Some(file);
        holdfast_intake::Intake::start(server.log.clone(), server.sequencer.clone(), config)
    };
    let private = String::from_utf8(P256.to_vec()).expect("text");
    let shared = r#"{"keys":[{"kty":"oct","k":"c2VjcmV0","alg":"HS256"}]}"#;
    let short = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"AAAA"}]}"#;
    for (name, text) in
        [("empty", ""), ("private", &private), ("shared", shared), ("short", short), ("garbage", "{}")]
    {
        assert!(matches!(start(name, text), Err(IntakeError::Key(_))), "{name}");
    }
    assert!(start("good", P256_PUBLIC).is_ok());
}
