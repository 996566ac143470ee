use super::*;
use serde_json::{Value, json};

#[test]
fn values_of_secrets_and_credentials_are_hidden_and_references_to_them_are_not() {
    let mut document = json!({
        "changes": [{"after": {"kind": "Secret", "data": {"a": "c2VjcmV0"}, "stringData": {"b": "x"}, "type": "Opaque",
            "metadata": {"name": "s", "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}", "kept": "yes"}}}}],
        "spec": {"webhookAuth": {"clientSecret": "x", "clientId": "me", "api-key": "x"}, "secretName": "s", "tokenSecretRef": {"name": "s"}},
    });
    value(&mut document);
    let secret = &document["changes"][0]["after"];
    assert_eq!((&secret["data"], &secret["stringData"]), (&json!({"a": REDACTED}), &json!({"b": REDACTED})));
    assert_eq!(secret["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"], REDACTED);
    assert_eq!((&secret["metadata"]["annotations"]["kept"], &secret["type"]), (&json!("yes"), &json!("Opaque")));
    assert_eq!(document["spec"]["webhookAuth"], json!({"clientSecret": REDACTED, "clientId": "me", "api-key": REDACTED}));
    assert_eq!((&document["spec"]["secretName"], &document["spec"]["tokenSecretRef"]["name"]), (&json!("s"), &json!("s")));
}

#[test]
fn no_name_of_a_credential_is_longer_than_what_is_looked_at() {
    assert!(CREDENTIALS.iter().chain(&ADDRESSES).all(|end| end.len() <= LONGEST_END && ends_with(end, &[end])));
}

#[test]
fn copies_of_credentials_and_variables_of_containers_are_hidden() {
    let mut document = json!({
        "metadata": {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{\"clientSecret\": \"x\"}"}},
        "env": [{"name": "DB_PASSWORD", "value": "x"}, {"name": "LEVEL", "value": "info"}],
    });
    value(&mut document);
    assert_eq!(document["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"], REDACTED);
    assert_eq!((&document["env"][0]["value"], &document["env"][1]["value"]), (&json!(REDACTED), &json!("info")));
}

#[test]
fn credentials_in_urls_are_hidden_wherever_they_stand() {
    for (written, shown) in [
        ("http://me:pass@a.b/x", "http://(redacted)@a.b/x"),
        (
            "spec.endpoint \"ftp://u:p@h/x\" is neither http://u@h nor",
            "spec.endpoint \"ftp://(redacted)@h/x\" is neither http://(redacted)@h nor",
        ),
        ("http://a.b/@me?x=y@z", "http://a.b/@me?x=y@z"),
        ("http://a.b/?a=1&access_token=x&b=2#f", "http://a.b/?a=1&access_token=(redacted)&b=2#f"),
        ("\"http://a.b/?token=x\" is", "\"http://a.b/?token=(redacted)\" is"),
        ("what? no=url", "what? no=url"),
        ("no url", "no url"),
        ("://", "://"),
    ] {
        assert_eq!(text(written), shown);
    }
}

/// Every address with `hunter2` in it, as it is shown.
const SECRETS: [(&str, &str); 38] = [
    ("http://carrier:hunter2/slash@hook.depot/in", "http://(redacted)@hook.depot/in"),
    ("http://carrier:hunter2?question@hook.depot/in", "http://(redacted)@hook.depot/in"),
    ("http://carrier:hunter2#hash@hook.depot/in", "http://(redacted)@hook.depot/in"),
    ("http://carrier:x hunter2@hook.depot/in", "http://(redacted)@hook.depot/in"),
    ("http://carrier:hunter2 x@hook.depot/in", "http://(redacted)@hook.depot/in"),
    ("http://carrier:x@hunter2@hook.depot/in", "http://(redacted)@hook.depot/in"),
    ("http://carrier:x@/hunter2@hook.depot/in", "http://(redacted)@hook.depot/in"),
    ("carrier:hunter2@hook.depot/in", "(redacted)@hook.depot/in"),
    ("carrier:1/hunter2@hook.depot/in", "(redacted)@hook.depot/in"),
    ("//carrier:hunter2@hook.depot/in", "(redacted)@hook.depot/in"),
    ("http:/carrier:hunter2@hook.depot/in", "(redacted)@hook.depot/in"),
    ("http://carrier:hunter2'x@hook.depot/in", "http://(redacted)@hook.depot/in"),
    ("http://carrier:'hunter2'@hook.depot/in", "http://(redacted)@hook.depot/in"),
    ("http://carrier:hunter2%2Fx@hook.depot/in", "http://(redacted)@hook.depot/in"),
    ("http://carrier:hunter2%40hook.depot/in", "http://(redacted)%40hook.depot/in"),
    ("http://carrier:1/hunter2@hook.depot/in", "http://(redacted)@hook.depot/in"),
    ("http://hunter2@hook.depot/in", "http://(redacted)@hook.depot/in"),
    ("http://hunter2:@hook.depot/in", "http://(redacted)@hook.depot/in"),
    ("ftp://:hunter2@hook.depot/in", "ftp://(redacted)@hook.depot/in"),
    ("http://a.b/?a=1&sig=hunter2&b=2", "http://a.b/?a=1&sig=(redacted)&b=2"),
    ("http://a.b/?code=hunter2'x", "http://a.b/?code=(redacted)"),
    ("http://a.b/?X-Amz-Signature=hunter2#f", "http://a.b/?X-Amz-Signature=(redacted)#"),
    ("http://a.b/?co%64e=hunter2;api_key=hunter2", "http://a.b/?co%64e=(redacted);api_key=(redacted)"),
    ("http://a.b/#access_token=x&hunter2", "http://a.b/#access_token=(redacted)&"),
    ("http://a.b/?bearer=hunter2&x=y", "http://a.b/?bearer=(redacted)&x=y"),
    ("http://a.b/?PHPSESSID=hunter2&sid=hunter2", "http://a.b/?PHPSESSID=(redacted)&sid=(redacted)"),
    ("http://a.b/?sv=1&sas=hunter2", "http://a.b/?sv=1&sas=(redacted)"),
    ("http://a.b/in;jsessionid=hunter2", "http://a.b/in;jsessionid=(redacted)"),
    ("https://hooks.slack.com/services/T0/B0/hunter2", "https://hooks.slack.com/(redacted)"),
    ("https://discord.com/api/webhooks/123/hunter2?wait=true", "https://discord.com/api/webhooks/(redacted)?wait=true"),
    (
        "https://depot.webhook.office.com/webhookb2/a@b/IncomingWebhook/hunter2/c",
        "https://depot.webhook.office.com/(redacted)",
    ),
    ("https://outlook.office.com/webhook/hunter2", "https://outlook.office.com/webhook/(redacted)"),
    ("https://chat.depot.example/hooks/hunter2", "https://chat.depot.example/hooks/(redacted)"),
    ("https://hook.eu1.make.com/hunter2", "https://hook.eu1.make.com/(redacted)"),
    ("https://open.feishu.cn/open-apis/bot/v2/hook/hunter2", "https://open.feishu.cn/open-apis/bot/v2/hook/(redacted)"),
    ("https://api.telegram.org/bot12:hunter2/sendMessage", "https://api.telegram.org/(redacted)"),
    ("https://maker.ifttt.com/trigger/x/with/key/hunter2", "https://maker.ifttt.com/trigger/x/with/key/(redacted)"),
    ("http://me:x@a.b/api-token/hunter2?sid=hunter2", "http://(redacted)@a.b/api-token/(redacted)?sid=(redacted)"),
];

#[test]
fn no_credential_is_shown_wherever_its_address_stands() {
    for (written, shown) in SECRETS {
        assert_eq!(address(written), shown);
        let escaped = format!("spec.endpoint {written:?} is no URL: see http://docs.depot/");
        assert_eq!(text(&escaped), format!("spec.endpoint {shown:?} is no URL: see http://docs.depot/"));
        assert!(!text(&format!("may deliver to {written} as Trigger a, b")).contains("hunter2"), "{written}");
        for key in ["endpoint", "uri", "callbackUrl"] {
            let mut document = json!({"spec": {key: written}});
            value(&mut document);
            assert_eq!(document, json!({"spec": {key: shown}}));
        }
        assert_eq!(text(&text(&escaped)), text(&escaped), "once more changes nothing");
    }
}

#[test]
fn what_is_no_credential_is_shown() {
    for plain in [
        "http://10.0.0.1:8080/x?a=b@c",
        "http://mail.orders:8080/in?type=order.created",
        "http://[::1]:8080/in",
        "http://hooks.depot/in/here",
        "http://webhook.depot.svc.cluster.local:80/in/here",
        "https://mail.orders.example/webhooks",
        "https://mail.orders.example/token/",
        "ghcr.io/fairlead/job:0.1.0@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
        "npm install @fairlead/job",
        "a label \"app=shop,tier=web\"; its key: a/b",
        "https://mail.orders.example:8443/in?zone=a&size=",
        "failed to get http://a.b:443: connection refused: ask admin@example.com",
        "a=b, 100%",
        "name \"a@b\" and \"c\"",
        "an unclosed \" quote",
    ] {
        assert_eq!(text(plain), plain);
    }
}

/// Addresses that are none, that stand in others, or whose parameters are called in another way, each with `hunter2` in it.
const ODD: [&str; 52] = [
    "http://u:/hunter2@nats",
    "http://CORP\\carrier:hunter2@hook.depot/in",
    "http://corp/carrier:hunter2@hook.depot/in",
    "http://carrier:/hunter2@hook.depot/in",
    "http://carrier:?hunter2@hook.depot/in",
    "http://carrier:#hunter2@hook.depot/in",
    "http://john.doe:2024/hunter2@hook.depot/in",
    "http://svc.mail:0/ahunter2+x==@hook.depot/in",
    "http:///carrier:hunter2@hook.depot/in",
    "http://carrier%3Ahunter2%40hook.depot/in",
    "http://carrier%253Ahunter2%2540hook.depot/in",
    "http://carrier:\"hunter2\"@hook.depot/in",
    "http://carrier:a\"hunter2@hook.depot/in",
    "http://carrier:hunter2\u{ff20}hook.depot/in",
    "http:carrier:hunter2@hook.depot/in",
    "htp//carrier:hunter2@hook.depot/in",
    "http//:carrier:hunter2@hook.depot/in",
    "http:\\\\carrier:hunter2@hook.depot\\in",
    "<http://carrier:hunter2@hook.depot/in>",
    "hunter2@hook.depot/in",
    "carrier:hunter2@sha256:abc",
    "http://carrier:hunter2@sha256:abc",
    "http://proxy.depot/fwd?url=http://u:hunter2@x.y/in",
    "http://proxy.depot/fwd?url=http%3A%2F%2Fu%3Ahunter2%40x.y%2Fin",
    "http://proxy.depot:80/fwd?url=http%253A%252F%252Fu%253Ahunter2%2540x.y%252Fin",
    "http://proxy.depot/fwd/http://u:hunter2@x.y/in",
    "http://proxy.depot/fwd?url=http%3A%2F%2Fx.y%2Fin%3Ftoken%3Dhunter2",
    "http://proxy.depot/fwd?url=https://hooks.slack.com/services/T0/B0/hunter2",
    "http://a.b/in,http://carrier:hunter2@hook.depot/in",
    "u:hunter2@a.b,http://hook.depot/in",
    "http://hook.depot/in?pw=hunter2",
    "http://hook.depot/in?passwort=hunter2",
    "http://hook.depot/in?auth[token]=hunter2",
    "http://hook.depot/in?token[]=hunter2",
    "http://hook.depot/in?token%5B0%5D=hunter2",
    "http://hook.depot/in?secret1=hunter2",
    "http://hook.depot/in?key1=hunter2",
    "http://hook.depot/in?basic=hunter2",
    "http://hook.depot/in?secret_id=hunter2",
    "http://hook.depot/in?token_value=hunter2",
    "http://hook.depot/in?pin=hunter2",
    "http://hook.depot/in?access_token%20=hunter2",
    "http://hook.depot/in?token=aa&hunter2=",
    "http://hook.depot/in?token=aa&x&hunter2==",
    "http://hook.depot/in?a=b%26token%3Dhunter2",
    "http://hook.depot/in?token:hunter2",
    "http://hook.depot/in?d={\"token\":\"hunter2\"}",
    "http://hook.depot/in/token=hunter2",
    "http://hook.depot/in/token:hunter2",
    "http://hook.depot/in#/x?token=hunter2",
    "hook.depot/in?token=hunter2",
    "http://hook.depot/in?a=b&amp;token=hunter2",
];

#[test]
fn no_credential_of_an_odd_address_is_shown() {
    let spaced = ["http://a.b/in http://carrier:hunter2@hook.depot/in", "http://hook.depot/in?access_token =hunter2"];
    for written in ODD.iter().chain(&spaced) {
        let shown = address(written).into_owned();
        assert!(!shown.contains("hunter2"), "{written}: {shown}");
        assert_eq!(address(&shown), shown, "once more changes nothing");
        for text in [
            text(&format!("spec.endpoint {written:?} is no URL: see http://docs.depot/")),
            text(&format!("may deliver to {written} as Trigger a, b")),
            text(&json!({"message": written}).to_string()),
        ] {
            let is_spaced = written.contains("access_token =") && text.starts_with("may");
            assert!(is_spaced || !text.contains("hunter2"), "{written}: {text}");
        }
    }
}

#[test]
fn credentials_in_annotations_and_below_their_names_are_hidden() {
    let mut document = json!({
        "metadata": {"annotations": {
            "a": "[{\"password\":\"hunter2\"}]",
            "b": "password=hunter2",
            "c": "x: 1\npassword: hunter2\nlast: 2\n",
            "d": "Authorization: Bearer hunter2",
            "e": "password: |\n  hunter2\nz: 1\n",
            "f": "user=me token=hunter2",
            "kept": "on: today\nby: me",
        }},
        "spec": {
            "token": {"value": "hunter2"}, "key": "hunter2", "sas": "hunter2", "passwordHash": "hunter2", "pin": 7,
            "credentials": {"basic": {"user": "hunter2", "numbers": ["hunter2"]}},
        },
    });
    value(&mut document);
    assert!(!document.to_string().contains("hunter2"), "{document}");
    let annotations = &document["metadata"]["annotations"];
    assert_eq!(
        (&annotations["b"], &annotations["c"]),
        (&json!("password=(redacted)"), &json!("x: 1\npassword: (redacted)\nlast: 2\n"))
    );
    assert_eq!(annotations["kept"], "on: today\nby: me");
    let plain = json!({
        "volumes": [{"secret": {"secretName": "s", "defaultMode": 420, "items": [{"key": "a", "path": "b"}]}}],
        "env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "a"}}}],
        "password": {"secretKeyRef": {"name": "s", "key": "a"}},
        "tolerations": [{"key": "a", "operator": "Exists"}],
        "schema": {"properties": {"token": {"type": "string", "description": "a token"}}},
    });
    let mut shown: Value = plain.clone();
    value(&mut shown);
    assert_eq!(shown, plain);
}

#[test]
fn accounts_of_a_database_are_shown_and_addresses_that_look_like_one_are_not() {
    for shown in [
        "Access denied for user 'migrator'@'127.0.0.1' (using password: NO)",
        "grant select on `test`.* to 'reader'@'%';",
        "grant select on `test`.* to 'reader'@'10.0.0.0/255.255.255.0';",
        "view `v` has the definer `root`@`localhost`, which is gone",
    ] {
        assert_eq!(text(shown), shown);
    }
    for hidden in ["'me:hunter2'@'host/x';", "'hunter2'@'host/a/b'", "hunter2@'host/x';", "http://'me:hunter2'@'host'"] {
        assert!(!text(hidden).contains("hunter2"), "{}", text(hidden));
    }
}
