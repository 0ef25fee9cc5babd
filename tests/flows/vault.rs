//! The sealed file and the table under bad hands: another key, half a file, swapped values, many writers, foreign items.

use futures::future::join_all;
use rebond::account::{AccountId, HealthState};
use rebond::secret::ExposeSecret;
use rebond::vault::{MasterKey, Name, SealedFile, Vault, Version};
use rebond_tests::process::built;
use rebond_tests::world::{PASSWORD, World};
use serde_json::{Value, json};
use std::process::{Output, Stdio};
use tokio::io::AsyncWriteExt;

/// Runs the binary on the world's directory.
async fn run(world: &World, args: &[&str], input: &str, envs: &[(&str, &str)]) -> Output {
    let mut command = tokio::process::Command::new(built("rebond").unwrap());
    command.args(args).arg("--dir").arg(world.dir()).env_remove("REBOND_KEY").envs(envs.iter().copied());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().unwrap();
    // A command that asks for no secret may have ended before it reads one.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes()).await;
    child.wait_with_output().await.unwrap()
}

fn assert_fails(output: &Output, words: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.starts_with("rebond: ") && said.contains(words), "{said}");
    assert!(!said.contains("panicked"), "{said}");
}

fn vault_of(world: &World) -> SealedFile {
    let key = MasterKey::from_file(&world.dir().join("key")).unwrap();
    SealedFile::open(world.dir().join("vault.json"), &key).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn another_key_is_told_from_a_damaged_file_and_neither_is_overwritten() {
    let world = World::start().await.unwrap();
    let id = world.add_basic("bounces", |_| {}).await.unwrap();
    let path = world.dir().join("vault.json");
    let whole = std::fs::read(&path).unwrap();
    let other = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    let output = run(&world, &["poll", "bounces"], "", &[("REBOND_KEY", other)]).await;
    assert_fails(&output, "was sealed with another key: set REBOND_KEY, or put the right key file beside it");
    assert!(!String::from_utf8_lossy(&output.stderr).contains(other));
    let output = run(&world, &["poll", "bounces"], "", &[("REBOND_KEY", "too short")]).await;
    assert_fails(&output, "REBOND_KEY must hold 32 bytes in base64");
    assert!(!String::from_utf8_lossy(&output.stderr).contains("too short"));
    for (bytes, words) in [
        (&whole[..whole.len() / 2], "is damaged"),
        (&whole[..0], "is damaged"),
        (&b"{\"format\": 9, \"check\": \"\", \"secrets\": {}}"[..], "format 9 is not known"),
        (&[0xff, 0xfe, 0][..], "it is no text"),
    ] {
        std::fs::write(&path, bytes).unwrap();
        for args in [&["poll", "bounces"][..], &["account", "password", "bounces", "--secret-file", "-"]] {
            let output = run(&world, args, "another-password\n", &[]).await;
            assert_fails(&output, words);
            assert_eq!(
                std::fs::read(&path).unwrap(),
                bytes,
                "a damaged file is left for the backup to be compared with"
            );
        }
    }
    std::fs::write(&path, &whole).unwrap();
    // The account's state stayed whole through all of it.
    assert_eq!(world.poll(&id).await.unwrap().health.unwrap().state, HealthState::Active);
}

#[tokio::test(flavor = "multi_thread")]
async fn f48_a_value_swapped_between_names_or_rolled_back_does_not_open() {
    let world = World::start().await.unwrap();
    let one = world.add_basic("one", |_| {}).await.unwrap();
    let two = world.add_basic("two", |_| {}).await.unwrap();
    let path = world.dir().join("vault.json");
    let mut contents: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let swapped = contents["secrets"]["password/one"].clone();
    contents["secrets"]["password/two"] = swapped;
    std::fs::write(&path, contents.to_string()).unwrap();
    let error = world.poll(&two).await.unwrap_err().to_string();
    assert!(error.contains("password/two does not open under its own name and version"), "{error}");
    assert!(!error.contains(PASSWORD));
    let health = world.item(&two).await.unwrap().health;
    assert_eq!((health.state, health.advice.as_deref()), (HealthState::OurFault, Some("our-store")));
    assert_eq!(world.poll(&one).await.unwrap().health.unwrap().state, HealthState::Active, "the others open");
    // An older value under the newer one's version.
    let vault = vault_of(&world);
    let name = Name::Password(one.clone());
    let (old, new) = (uuid::Uuid::from_u128(1), uuid::Uuid::from_u128(2));
    vault.put(&name, old, &"old".to_owned().into()).await.unwrap();
    vault.put(&name, new, &"new".to_owned().into()).await.unwrap();
    let mut contents: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let values = contents["secrets"]["password/one"].as_array_mut().unwrap();
    let at = values.iter().position(|value| value["version"] == old.to_string()).unwrap();
    let sealed = values[at]["sealed"].clone();
    values.last_mut().unwrap()["sealed"] = sealed;
    std::fs::write(&path, contents.to_string()).unwrap();
    assert!(vault.get(&name, Version::Current).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn eight_processes_write_and_every_secret_is_there() {
    let world = World::start().await.unwrap();
    let ids: Vec<AccountId> = join_all((0..8).map(|n| {
        let world = &world;
        async move { world.add_basic(&format!("a{n}"), |_| {}).await.unwrap() }
    }))
    .await;
    let passwords: Vec<String> = (0..8).map(|n| format!("the-new-password-of-{n}")).collect();
    let runs = ids.iter().zip(&passwords).map(|(id, password)| {
        let world = &world;
        async move { run(world, &["account", "password", id.as_str(), "--secret-file", "-"], password, &[]).await }
    });
    for output in join_all(runs).await {
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let vault = vault_of(&world);
    for (id, password) in ids.iter().zip(&passwords) {
        let found = vault.get(&Name::Password(id.clone()), Version::Current).await.unwrap().unwrap();
        assert_eq!(found.expose_secret(), password);
    }
    use std::os::unix::fs::PermissionsExt;
    for file in ["vault.json", "key"] {
        let mode = std::fs::metadata(world.dir().join(file)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{file}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_item_of_another_version_is_said_and_left_alone() {
    let world = World::start().await.unwrap();
    world.add_basic("good", |_| {}).await.unwrap();
    let item = json!({"pk": {"S": "ACCOUNT#odd"}, "sk": {"S": "ACCOUNT"}, "settings": {"S": "of another age"}});
    world.raw("PutItem", json!({"TableName": "rebond", "Item": item})).await.unwrap();
    let output = run(&world, &["account", "show", "odd"], "", &[]).await;
    assert_fails(&output, "an item of the table cannot be understood");
    assert_fails(&run(&world, &["poll", "odd"], "", &[]).await, "written by another version, or by hand");
    let key = json!({"pk": {"S": "ACCOUNT#odd"}, "sk": {"S": "ACCOUNT"}});
    let found = world.raw("GetItem", json!({"TableName": "rebond", "Key": key})).await.unwrap();
    assert_eq!(found["Item"]["settings"]["S"], "of another age");
    let output = run(&world, &["poll", "good"], "", &[]).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
