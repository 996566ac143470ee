//! The job that migrates tables: which Secrets its accounts read, its contract after the upgrade, and what is refused.

use fairlead_tests::program::Ended;
use serde_json::{Value, json};

use crate::{CHART, HELMS, objects, template, text};

/// Renders the chart with these values, for an upgrade.
fn rendered(helm: &str, values: &Value, more: &[&str]) -> Ended {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), values.to_string()).expect("written");
    let values = ["--is-upgrade", "--values", file.path().to_str().expect("UTF-8")];
    template(helm, CHART, &[&values, more].concat())
}

fn values(password: &Value, tls: &Value) -> Value {
    let database =
        json!({"engine": "mariadb", "host": "db", "database": "shop", "username": "shop", "password": password, "tls": tls});
    json!({"triggerReplicator": {"enabled": false}, "schemaMigrator": {"enabled": true, "contract": {"enabled": true}},
        "configuration": {"tables": {"database": database, "migrations": [{"kind": "SchemaMigration"}]}}})
}

fn of<'a>(objects: &'a [Value], kind: &str, name: &str) -> Option<&'a Value> {
    objects.iter().find(|object| object["kind"] == kind && object["metadata"]["name"] == name)
}

#[test]
fn every_account_of_the_job_and_of_the_rollback_hooks_reads_the_secrets_that_are_named_and_no_others() {
    let secret = |namespace: &str, name: &str| json!({"namespace": namespace, "name": name, "key": "x"});
    let tls = json!({"ca": secret("dbs", "ca"), "certificate": {"name": "here", "key": "x"}, "key": secret("other", "db")});
    for helm in HELMS {
        let objects = objects(&rendered(helm, &values(&secret("dbs", "db"), &tls), &[]).expect(0).stdout);
        let is_outside = |object: &&Value| {
            let namespace = &object["metadata"]["namespace"];
            object["kind"] == "Role" && namespace != "shop" || object["kind"] == "ClusterRole"
        };
        let roles: Vec<&Value> = objects.iter().filter(is_outside).collect();
        let of_names = |names: &[&str]| json!([{"apiGroups": [""], "resources": ["secrets"], "resourceNames": names, "verbs": ["get"]}]);
        let of_rollback = |role: &&&Value| text(&role["metadata"]["name"]).starts_with("fairlead-schema-migrator-undo-");
        let given: Vec<&&Value> = roles.iter().filter(of_rollback).collect();
        // The rollback hooks have a ClusterRole of their own, and nothing else is outside the namespace.
        assert_eq!((given.len(), roles.len()), (2, 3), "{roles:?}");
        for (role, (namespace, names)) in given.iter().zip([("dbs", &["ca", "db"][..]), ("other", &["db"])]) {
            assert_eq!((&role["metadata"]["namespace"], &role["rules"]), (&json!(namespace), &of_names(names)), "{role}");
            // It outlives the step: what was made under other rules is taken back with those.
            assert_eq!(role["metadata"]["annotations"]["helm.sh/hook-delete-policy"], "before-hook-creation");
            let is_its = |it: &&Value| it["kind"] == "RoleBinding" && it["roleRef"]["name"] == role["metadata"]["name"];
            let accounts = objects.iter().find(is_its).expect("a binding")["subjects"].clone();
            let account =
                |name: &str| json!({"kind": "ServiceAccount", "name": format!("shop-{name}"), "namespace": "shop"});
            let expected =
                ["schema-migrator", "fairlead-rollback", "schema-migrator-contract", "schema-migrator-background"];
            assert_eq!(accounts, json!(expected.map(account)));
        }
        assert_ne!(given[0]["metadata"]["name"], given[1]["metadata"]["name"], "other rules, another name");
    }
}

#[test]
fn the_contract_comes_after_the_upgrade_and_the_background_is_no_hook() {
    for helm in HELMS {
        let objects = objects(&rendered(helm, &values(&Value::Null, &Value::Null), &[]).expect(0).stdout);
        let job = |name: &str| {
            let job = of(&objects, "Job", name).unwrap_or_else(|| panic!("{name}"));
            let [hook, weight] =
                ["hook", "hook-weight"].map(|it| job["metadata"]["annotations"][format!("helm.sh/{it}")].clone());
            let container = &job["spec"]["template"]["spec"]["containers"][0];
            // `check --upgrade` asks the program of that name.
            assert_eq!(container["name"], "schema-migrator");
            json!([hook, weight, container["args"]])
        };
        assert_eq!(job("shop-schema-migrator"), json!(["pre-upgrade", "12", ["apply"]]));
        assert_eq!(job("shop-schema-migrator-contract"), json!(["post-upgrade", "20", ["apply", "--phase", "contract"]]));
        for name in ["shop-schema-migrator", "shop-schema-migrator-contract", "shop-schema-migrator-background"] {
            let file = text(&of(&objects, "ConfigMap", name).expect(name)["data"]["configuration.yaml"]);
            assert!(file.contains("\ntables:\n") && file.contains("kind: SchemaMigration"), "{file}");
        }
        let background =
            objects.iter().find(|it| it["kind"] == "Job" && text(&it["metadata"]["name"]).contains("-background-1-"));
        let background = background.expect("it goes on with what is left");
        assert_eq!(background["metadata"]["annotations"], json!({}), "{background}");
        assert_eq!(background["spec"]["template"]["spec"]["containers"][0]["args"], json!(["background"]));
    }
}

#[test]
fn what_a_rollback_could_not_read_is_refused() {
    let variable = json!({"env": "DB_PASSWORD"});
    let secret = json!({"name": "db", "key": "password"});
    let said = |place: &str| {
        format!(
            "configuration.tables.database.{place}: the rollback hooks cannot read variable DB_PASSWORD: name a key of a Secret, \
             {{name: …, key: …}}"
        )
    };
    let no_database = json!({"schemaMigrator": {"enabled": true}});
    let cases = [
        (values(&variable, &Value::Null), said("password")),
        (values(&secret, &json!({"ca": variable})), said("tls.ca")),
        (no_database, "configuration.tables.database is missing: it says which database is migrated".to_owned()),
    ];
    for helm in HELMS {
        for (values, message) in &cases {
            let refused = rendered(helm, values, &[]);
            assert!(refused.status != Some(0) && refused.stderr.contains(message), "{}", refused.output());
        }
        // As a plain Job nobody waits until the old pods are gone.
        let plain = rendered(helm, &values(&secret, &Value::Null), &["--set", "mode=job"]);
        assert!(plain.stderr.contains("nobody knows when the last pod of the old release is gone"), "{}", plain.output());
        let by_hand = ["--set", "mode=job,schemaMigrator.contract.enabled=false,schemaMigrator.args={--phase,contract}"];
        let objects = objects(&rendered(helm, &values(&secret, &Value::Null), &by_hand).expect(0).stdout);
        let job = of(&objects, "Job", "shop-schema-migrator").expect("it is rendered");
        assert_eq!(job["spec"]["template"]["spec"]["containers"][0]["args"], json!(["apply", "--phase", "contract"]));
    }
}

/// The runs would be where the rollback hooks do not look.
#[test]
fn runs_are_not_recorded_in_the_database() {
    let mut values = values(&Value::Null, &Value::Null);
    for helm in HELMS {
        for args in
            [json!(["--store", "database"]), json!(["--store=database"]), json!(["--strict", "--store", "database", "-v"])]
        {
            values["schemaMigrator"]["args"] = args;
            let refused = rendered(helm, &values, &[]);
            assert_ne!(refused.status, Some(0), "{refused:?}");
            assert!(refused.stderr.contains("schemaMigrator.args: --store database is for pipelines"), "{}", refused.stderr);
        }
        values["schemaMigrator"]["args"] = json!(["--store", "cluster", "--phase=database"]);
        rendered(helm, &values, &[]).expect(0);
    }
}
